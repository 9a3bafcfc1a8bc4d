"""What is sent to services by real Apprise over real HTTP, and what is said of those that did not take it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from optsync_pipeline.alerts import delivery
from optsync_pipeline.alerts.messages import Message
from optsync_pipeline_tests.alerting import TOKEN, Inbox, open_inbox

MESSAGE = Message("a title", "a text with <tags> & *stars*", "warning")


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with open_inbox() as opened:
        yield opened


def send(*urls: str, messages: int = 1) -> list[delivery.Errors]:
    return delivery.send([SecretStr(url) for url in urls], [[MESSAGE] * messages] * len(urls), deadline_seconds=2)


def test_a_service_gets_title_text_and_kind(inbox: Inbox) -> None:
    assert send(inbox.url) == [[None]]
    (message,) = inbox.messages
    assert (message["title"], message["message"], message["type"]) == ("a title", MESSAGE.body, "warning")


def test_each_service_is_judged_by_its_own_answer(inbox: Inbox) -> None:
    inbox.answers = [403]
    with open_inbox() as second:
        assert send(inbox.url, second.url, "json://127.0.0.1:1/", f"tgram://{TOKEN}") == [
            ["refused with status 403"],
            [None],
            ["no connection"],
            ["Apprise does not understand this URL"],
        ]


def test_after_a_message_that_was_not_taken_the_service_is_asked_no_further(inbox: Inbox) -> None:
    inbox.answers = [500]
    ((first, second),) = send(inbox.url, messages=2)
    assert first == "refused with status 500"
    assert second is not None
    assert inbox.messages == []


def test_a_slow_service_does_not_hold_up_the_others(inbox: Inbox) -> None:
    inbox.drip = True
    with open_inbox() as second:
        assert send(inbox.url, second.url) == [["no answer within 2 s"], [None]]


def test_no_process_is_left_behind_by_a_service_that_hangs(inbox: Inbox) -> None:
    inbox.drip = True
    send(inbox.url)
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True)
    assert "optsync_pipeline.alerts.sender" not in listed.stdout


def test_urls_are_not_on_a_command_line(inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is replaced by a program that writes down how it was called."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n')
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    assert send(inbox.url) == [["no answer within 2 s"]]
    assert TOKEN not in (tmp_path / "arguments").read_text()


def test_a_sender_that_cannot_start_or_breaks_is_an_error_and_no_traceback(
    inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))
    ((error,),) = send(inbox.url)
    assert str(error).startswith("the process that sends could not be started: ")
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert send(inbox.url) == [["the process that sends ended with 1"]]


def test_urls_are_understood_without_sending(inbox: Inbox) -> None:
    assert delivery.understood([SecretStr(inbox.url), SecretStr(f"tgram://{TOKEN}")]) == [True, False]
    assert inbox.messages == []


@pytest.mark.parametrize(
    "url",
    [
        "tgram://123456789:abcdefg_hijklmnop/12315544/",  # pragma: allowlist secret
        "mailtos://you:secret@mail.example.com?to=a@example.com,b@example.com",  # pragma: allowlist secret
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",  # pragma: allowlist secret
    ],
)
def test_the_usual_services_are_understood(url: str) -> None:
    assert delivery.understood([SecretStr(url)]) == [True]


def test_a_service_is_named_by_place_and_scheme() -> None:
    assert delivery.names_of([SecretStr("JSON://a/b"), SecretStr("tgram://c")]) == ["1 json", "2 tgram"]
