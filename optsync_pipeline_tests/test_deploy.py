"""What deploy/ holds fits the program: settings and commands exist, no secret is inside, systemd takes the unit."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from optsync_pipeline.settings import PREFIX, PROJECT_ROOT, Settings
from optsync_pipeline_tests.test_cli_help import COMMANDS

DEPLOY = PROJECT_ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "optsync.service"
FILES = [UNIT, DEPLOY / "compose.yaml", DEPLOY / "Dockerfile", DEPLOY / "README.md"]
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
MAX_EXPOSURE = 30  # of 100, as systemd-analyze counts


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", path.read_text())) <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_that_is_named_exists(path: Path) -> None:
    known = {" ".join(words) for words in COMMANDS}
    named = re.findall(r"(?:\.venv/bin/optsync|run --rm cli) (\w+)", path.read_text())
    assert set(named) <= known


def test_the_containers_run_commands_that_exist() -> None:
    known = {" ".join(words) for words in COMMANDS}
    for name, service in SERVICES.items():
        if name == "postgres":
            continue
        command = service["command"]
        if service.get("entrypoint"):
            assert command[0].startswith('eval "$$(optsync env)" && exec dagster-'), name
        else:
            assert " ".join(command).split(" --")[0] in known, name


def test_a_container_waits_for_others_that_say_when_they_are_ready() -> None:
    for service in SERVICES.values():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]
            else:
                assert SERVICES[other]["restart"] == "no"
    assert all("healthcheck" in SERVICES[name] for name in ("postgres", "webserver", "daemon", "metrics"))


def test_containers_are_reached_from_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_password_is_in_the_files_and_without_one_nothing_starts() -> None:
    for service in SERVICES.values():
        for value in service["environment"].values():
            for password in re.findall(r"://\w+:(.+)@", value):
                assert password.startswith("${POSTGRES_PASSWORD:?")
    assert SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    assert ".env" in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()


def test_containers_run_as_nobody_in_particular_and_can_do_little() -> None:
    assert re.search(r"^USER \d+$", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    for name, service in SERVICES.items():
        if name != "postgres":
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])


@pytest.fixture
def unit_of_this_checkout(tmp_path: Path) -> Path:
    """The unit with the paths of this checkout and a user that exists: systemd looks whether they do."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = UNIT.read_text().replace("/srv/optsync_pipeline", str(PROJECT_ROOT))
    unit = tmp_path / "optsync.service"
    unit.write_text(re.sub(r"^(User|Group)=optsync$", r"\1=root", text, flags=re.MULTILINE))
    return unit


def test_systemd_takes_the_unit(unit_of_this_checkout: Path) -> None:
    ended = systemd_analyze("verify", str(unit_of_this_checkout))
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_systemd_finds_the_unit_well_confined(unit_of_this_checkout: Path) -> None:
    ended = systemd_analyze("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", str(unit_of_this_checkout))
    assert ended.returncode == 0, ended.stdout


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
