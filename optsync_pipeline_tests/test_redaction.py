"""What no log line shows: known secrets in every spelling, and what stands where secrets stand."""

from urllib.parse import quote, quote_plus

import pytest

from optsync_pipeline.redaction import (
    MASK,
    keep_secret,
    redact,
    redact_text,
    secrets_of_alert_url,
    secrets_of_database_url,
)

SECRET = 'tö"ma to/7%&+\\'
"""One whose every spelling differs."""


@pytest.mark.parametrize(
    "spell", [str, quote, lambda one: quote(one, safe=""), quote_plus, lambda one: repr(one)[1:-1]]
)
def test_a_known_secret_is_hidden_in_every_spelling(spell) -> None:  # type: ignore[no-untyped-def]
    keep_secret(SECRET)
    assert redact_text(f"a {spell(SECRET)} b") == f"a {MASK} b"
    assert redact_text(f"a {spell(SECRET).lower()} b") == f"a {MASK} b" or "%" not in spell(SECRET)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer abc.def-123", "abc.def-123"),
        ("{'authorization': 'Token abcdef'}", "abcdef"),
        ("headers were Basic dXNlcjpwYXNz done", "dXNlcjpwYXNz"),
        ("postgresql://user:p@ss/w@host:5432/db", "p@ss"),
        ("https://onlytoken@example.com/x", "onlytoken"),
        ("GET /v7/finance?crumb=a.b/c&x=1", "a.b/c"),
        ("https://api/x?apiKey=KEY123&y=2", "KEY123"),
        ('{"access_token": "T0K", "x": 1}', "T0K"),
        ("Set-Cookie: A3=secretcookie; Path=/", "secretcookie"),
    ],
)
def test_what_stands_where_secrets_stand_is_hidden(text: str, hidden: str) -> None:
    assert hidden not in redact_text(text)
    assert MASK in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "yahoo answered AAPL with status 429: it was asked too often; it asks to wait 30 s",
        "PostgreSQL at db.example.com:5432/optsync gives no connection: timeout",
        "percent-encode special characters in the password: / is %2F",
        "a token of yahoo is due: in 5 s",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert redact_text(text) == text


def test_fields_named_like_secrets_and_nested_ones_are_hidden() -> None:
    keep_secret("tomato-soup")
    line = {"a": ["tomato-soup", {"b": ("x tomato-soup",)}], "password": "z", "n": 1, "o": None, "tomato-soup": 2}
    assert redact(line) == {"a": [MASK, {"b": [f"x {MASK}"]}], "password": MASK, "n": 1, "o": None, MASK: 2}


def test_another_object_is_told_by_its_repr_without_secrets() -> None:
    keep_secret("tomato-soup")
    assert redact(ValueError("tomato-soup")) == f"ValueError('{MASK}')"


def test_a_short_secret_does_not_eat_words() -> None:
    keep_secret("ab", "")
    assert redact_text("about") == "about"


def test_a_database_url_hides_itself_and_its_password_as_meant() -> None:
    keep_secret(*secrets_of_database_url("postgresql://u:to%2Fmato1@h/db"))  # pragma: allowlist secret
    assert redact_text("no to/mato1 and no to%2fmato1, at h/db") == f"no {MASK} and no {MASK}, at h/db"
    assert secrets_of_database_url("postgresql://h:5432/db") == []


def test_an_alert_url_hides_its_keys_and_not_its_host() -> None:
    keep_secret(*secrets_of_alert_url("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"))
    keep_secret(*secrets_of_alert_url("mailtos://me%40x:longpassword@smtp.example.com?to=a"))
    told = redact_text("POST smtp.example.com/JHMHI8qBe7bk2ZwO5U711o3dV_js as longpassword 4174216298")
    assert told == f"POST smtp.example.com/{MASK} as {MASK} {MASK}"


def test_the_host_of_an_alert_service_is_no_secret_and_its_key_is() -> None:
    for host in ("alerts.example.com", "127.0.0.1", "192.168.100.200"):
        hidden = secrets_of_alert_url(f"json://{host}:8080/made-up-key-of-a-webhook")
        assert host not in hidden
        assert "made-up-key-of-a-webhook" in hidden
