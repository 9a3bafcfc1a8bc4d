"""Settings: defaults, every way of being wrong, and that .env.example and docs/configuration.md tell the same."""

import re
from collections.abc import Iterator
from datetime import time
from pathlib import Path

import pytest

from optsync_pipeline.settings import PREFIX, PROJECT_ROOT, Settings, SettingsError, load_settings

EXAMPLE = PROJECT_ROOT / ".env.example"
CONFIGURATION = PROJECT_ROOT / "docs" / "configuration.md"
NAMES = {PREFIX + name.upper() for name in Settings.model_fields}


@pytest.fixture(autouse=True)
def clean_environment() -> Iterator[None]:
    """No setting of the machine that runs the tests may leak in."""
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
        yield


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(PREFIX + name, value)
    return load_settings(env_file=None)


def complaint(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **environment)
    return str(caught.value)


def test_nothing_needs_to_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert settings.uses_embedded_database
    assert settings.daily_sync_time == time(16, 30)
    assert settings.target_dtes == (30,)


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, PROVIDERS="yahoo, cboe", TARGET_DTES="30,45")
    assert settings.providers == ("yahoo", "cboe")
    assert settings.target_dtes == (30, 45)


def test_a_provider_without_credentials_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert settings.usable_providers == ("yahoo",)
    assert "no credentials" in (settings.why_left_out("robinhood") or "")


def test_an_unknown_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "OPTSYNC_PROVIDER:" in complaint(monkeypatch, PROVIDER="yahoo")


def test_an_unknown_name_in_the_env_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPTSYNC_TARGET_DTE=30\n")
    with pytest.raises(SettingsError, match="unknown setting OPTSYNC_TARGET_DTE"):
        load_settings(env_file=tmp_path / ".env")


def test_the_environment_wins_over_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("OPTSYNC_TARGET_DTES=45\nOPTSYNC_CHUNK_SYMBOLS=7\n")
    monkeypatch.setenv("OPTSYNC_TARGET_DTES", "60")
    settings = load_settings(env_file=tmp_path / ".env")
    assert (settings.target_dtes, settings.chunk_symbols) == ((60,), 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROVIDERS", "yahoo,bloomberg"),
        ("PROVIDERS", "yahoo,yahoo"),
        ("PROVIDERS", ""),
        ("TARGET_DTES", "0"),
        ("TARGET_DTES", "soon"),
        ("MAX_CONCURRENT_FETCHES", "0"),
        ("CHUNK_SYMBOLS", "many"),
        ("RISK_FREE_RATE", "4"),
        ("DAILY_SYNC_TIME", "25:00"),
        ("DAILY_SYNC_TIME", "half past four"),
        ("YAHOO_URL", "127.0.0.1:9000"),
        ("DATABASE_URL", "mysql://localhost/optsync"),
        ("WEBSERVER_PORT", "70000"),
        ("YAHOO_REQUESTS_PER_MINUTE", "0"),
    ],
)
def test_a_bad_value_is_refused_by_the_settings_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint(monkeypatch, **{name: value}).startswith(f"OPTSYNC_{name}: ")


def test_a_delta_range_upside_down_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "OPTSYNC_MIN_ABS_DELTA must not be above" in complaint(monkeypatch, MIN_ABS_DELTA="0.5", MAX_ABS_DELTA="0.3")


def test_no_error_repeats_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    message = complaint(monkeypatch, DATABASE_URL="postgres:/user:tomato@host/db")
    assert "OPTSYNC_DATABASE_URL" in message
    assert "tomato" not in message


def test_secrets_print_as_asterisks(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, DATABASE_URL="postgresql://user:tomato@host/db", ROBINHOOD_PASSWORD="potato")
    assert "tomato" not in repr(settings)
    assert "potato" not in repr(settings)


def test_a_relative_home_counts_from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, HOME="state").home == PROJECT_ROOT / "state"


class TestTokenHome:
    """Where Robinhood's token is kept: never in the checkout."""

    @pytest.fixture(autouse=True)
    def person(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("HOME", str(tmp_path / "person"))
        monkeypatch.delenv("XDG_STATE_HOME", raising=False)
        return tmp_path / "person"

    @pytest.mark.parametrize("home", [None, "state", str(PROJECT_ROOT), f"{PROJECT_ROOT}/.optsync/demo"])
    def test_a_home_in_the_checkout_leaves_it_to_the_users_own_folder(
        self, home: str | None, person: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = load(monkeypatch, **({} if home is None else {"HOME": home}))
        assert settings.token_home == person / ".local" / "state" / "optsync"

    def test_the_users_state_folder_is_where_xdg_says(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
        assert load(monkeypatch).token_home == tmp_path / "states" / "optsync"

    def test_an_xdg_folder_that_is_relative_counts_for_nothing(
        self, person: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", "states")
        assert load(monkeypatch).token_home == person / ".local" / "state" / "optsync"

    def test_a_home_elsewhere_keeps_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert load(monkeypatch, HOME=str(tmp_path / "home")).token_home == tmp_path / "home"


@pytest.mark.parametrize(
    "name", ["ROBINHOOD_USERNAME", "ROBINHOOD_PASSWORD", "ROBINHOOD_MFA_SECRET", "POLYGON_API_KEY"]
)
def test_an_empty_credential_is_one_that_is_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert getattr(load(monkeypatch, **{name: ""}), name.lower()) is None


def test_the_example_file_has_every_setting_once_with_its_default(tmp_path: Path) -> None:
    lines = re.findall(r"^# (OPTSYNC_\w+)=(.*)$", EXAMPLE.read_text(), flags=re.MULTILINE)
    assert sorted(name for name, _ in lines) == sorted(NAMES)
    taken = tmp_path / ".env"
    taken.write_text("\n".join(f"{name}={value}" for name, value in lines if value))
    assert load_settings(env_file=taken) == load_settings(env_file=None)


def test_the_example_file_as_it_is_changes_nothing(tmp_path: Path) -> None:
    taken = tmp_path / ".env"
    taken.write_text(re.sub(r"^# (OPTSYNC_\w+=)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE))
    settings = load_settings(env_file=taken)
    assert settings.uses_embedded_database
    assert settings.usable_providers == ("yahoo",)


def test_the_configuration_page_has_every_setting_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(OPTSYNC_\w+)` \|(.*?)\|", CONFIGURATION.read_text(), flags=re.MULTILINE))
    assert set(rows) == NAMES
    example = dict(re.findall(r"^# (OPTSYNC_\w+)=(.*)$", EXAMPLE.read_text(), flags=re.MULTILINE))
    assert {name: default.strip("` ") for name, default in rows.items()} == example


# -- alerts ------------------------------------------------------------------------------------------------------------


def test_alert_urls_are_parted_by_commas_or_spaces_that_a_scheme_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, ALERT_URLS=" json://a/1,tgram://b ,  mailto://c?to=x@d.com,y@d.com\ndiscord://e/f ")
    assert [url.get_secret_value() for url in settings.alert_urls] == [
        "json://a/1",
        "tgram://b",
        "mailto://c?to=x@d.com,y@d.com",
        "discord://e/f",
    ]
    assert "tgram" not in repr(settings)


def test_a_text_that_is_no_alert_url_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    message = complaint(monkeypatch, ALERT_URLS="potato/4711,tgram://b")
    assert message.startswith("OPTSYNC_ALERT_URLS: give Apprise URLs")
    assert "potato" not in message


def test_an_unknown_alert_rule_is_named_with_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    message = complaint(monkeypatch, ALERT_RULES_OFF="low_success,loud_success")
    assert "there is no rule loud_success: there are sync_finished, low_success, too_long" in message


def test_a_url_in_the_wrong_setting_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "potato" not in complaint(monkeypatch, ALERT_RULES_OFF="tgram://potato/4711")
    assert "there is no kind of sync weekly" in complaint(
        monkeypatch, ALERT_RULES_OFF="too_long", ALERT_SUMMARY_TYPES="weekly"
    )
