"""The documentation and the files around the code say what is true: commands, links, pins, hooks, one entry for CI."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from optsync_pipeline.cli.errors import NOTHING_DONE, OK, SOME_FAILED, STOPPED, WRONG_USE
from optsync_pipeline.cli.job_view import read_view
from optsync_pipeline.providers.base import FetchError
from optsync_pipeline.settings import PROJECT_ROOT, load_settings
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.chunks import NOW, open_job
from optsync_pipeline_tests.test_cli_help import COMMANDS, does_nothing_alone

OPERATIONS = (PROJECT_ROOT / "docs" / "operations.md").read_text()
PROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())
PINS = {
    canonicalize_name(line.partition("==")[0]): line.partition("==")[2]
    for line in (PROJECT_ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
}
PAGES = sorted([*PROJECT_ROOT.glob("*.md"), *PROJECT_ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("path", [path for path in COMMANDS[1:] if not does_nothing_alone(path)], ids=" ".join)
def test_every_command_is_on_the_operations_page(path: tuple[str, ...]) -> None:
    assert f"| `optsync {' '.join(path)}` |" in OPERATIONS


def test_the_operations_page_names_no_command_that_does_not_exist() -> None:
    known = {" ".join(path) for path in COMMANDS}
    groups = "|".join(" ".join(path) for path in COMMANDS[1:] if does_nothing_alone(path))
    for words in re.findall(rf"`optsync ((?:{groups}|providers) \w+|[a-z]+)\b", OPERATIONS):
        assert words in known


def test_the_operations_page_has_every_kind_of_failure() -> None:
    kinds = {error.error_type for error in leaves_of(FetchError)} | {"db_error"}
    _, _, part = OPERATIONS.partition("| kind | meaning | what to do |")
    assert kinds <= set(re.findall(r"`(\w+)`", part))


def leaves_of(error: type[FetchError]) -> set[type[FetchError]]:
    """Return the errors of the tree that have a kind of their own."""
    children = error.__subclasses__()
    return set().union(*(leaves_of(child) for child in children)) if children else {error}


def test_the_operations_page_has_every_key_of_the_status_in_json(database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    sync_log.mark_in_progress(database, job_id, ["AAPL"], NOW)
    job = sync_log.read_job(database, job_id)
    assert job is not None
    view = read_view(database, load_settings(env_file=None), [job], NOW)
    (progress,) = view["progress"]
    told = set(re.findall(r"`(\w+)`", OPERATIONS.partition("| key | meaning |")[2].partition("\n\n")[0]))
    for keys in (view, progress, *progress["under_way"], *view["providers"]):
        assert set(keys) <= told


def test_the_operations_page_has_the_exit_codes() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", OPERATIONS, flags=re.MULTILINE)}
    assert told == {OK, SOME_FAILED, WRONG_USE, NOTHING_DONE, STOPPED}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_dependency_is_pinned_within_its_range() -> None:
    for line in [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]:
        requirement = Requirement(line)
        assert PINS[canonicalize_name(requirement.name)] in requirement.specifier, line


def test_the_pins_name_no_index_and_nothing_unpinned() -> None:
    lines = (PROJECT_ROOT / "constraints.txt").read_text().splitlines()
    assert all(line.startswith("# ") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][\w.+!]*", line) for line in lines)


def test_all_dagster_packages_are_of_one_release() -> None:
    pins = {str(name): version for name, version in PINS.items() if name.startswith("dagster")}
    # Dagster's libraries have numbers of their own.
    assert pins.pop("dagster-postgres") == pins["dagster"].replace("1.13.", "0.29.")
    assert len(set(pins.values())) == 1


def test_the_hooks_are_valid() -> None:
    hooks = PROJECT_ROOT / ".pre-commit-config.yaml"
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(hooks)]
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_ci_runs_make_test_and_nothing_else_but_with_a_browser() -> None:
    text = (PROJECT_ROOT / ".ci" / "run").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if "make" in line] == ["exec make test"]
    assert lines[-2:] == ["export REQUIRE_BROWSER=1", "exec make test"]
    assert [line.split("install ")[1].split(";")[0] for line in lines if "install " in line] == ["chromium"]
