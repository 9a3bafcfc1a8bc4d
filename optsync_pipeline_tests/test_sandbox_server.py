"""The sandbox's control API, and how it starts and stops."""

import csv
import io
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from optsync_pipeline.sandbox.server import (
    ControlError,
    Sandbox,
    SandboxError,
    run,
    running_sandbox,
    sandbox_process,
)
from optsync_pipeline_tests.sandbox_client import NOW, Client


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=25, seed=11, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    sandbox.control("POST", "requests/reset")
    yield client
    sandbox.clear_faults()
    sandbox.control("POST", "latency", {"provider": "*", "seconds": 0})


@pytest.mark.parametrize(
    ("path", "wish", "said"),
    [
        ("faults", {"provider": "yahoo", "kind": "nonsense"}, "kind: .*'timeout'.*'stale_quote'"),
        (
            "faults",
            {"provider": "nasdaq", "kind": "html"},
            r"provider: .*'yahoo', 'cboe', 'robinhood', 'polygon' or '\*'",
        ),
        ("faults", {"provider": "yahoo", "kind": "html", "how": 1}, "how: Extra inputs"),
        ("faults", {"provider": "yahoo", "kind": "html", "symbol": "NOSUCH"}, "'NOSUCH' is not listed"),
        ("faults", {"provider": "yahoo", "kind": "html", "share": 2}, "share: .*less than or equal to 1"),
        ("latency", {"provider": "nasdaq", "seconds": 1}, "provider: "),
        ("latency", {"provider": "yahoo"}, "seconds: Field required"),
        ("limits", {"provider": "yahoo"}, "give per_second, per_minute or per_hour"),
        ("limits", {"provider": "yahoo", "per_minute": 0}, "per_minute: .*greater than or equal to 1"),
        ("down", {"provider": "yahoo", "how": "sulk"}, "how: .*'refuse', 'error' or 'hang'"),
        ("up", {"provider": "nasdaq"}, "provider: "),
        ("robinhood", {"verification": "carrier pigeon"}, "verification: .*'device_approval' or 'sms'"),
    ],
)
def test_a_wrong_order_is_refused_naming_what_is_allowed(
    client: Client, path: str, wish: dict[str, Any], said: str
) -> None:
    with pytest.raises(ControlError, match=said):
        client.sandbox.control("POST", path, wish)
    assert client.sandbox.control("GET", "faults")["faults"] == []


def test_a_body_that_is_no_json_is_refused(sandbox: Sandbox) -> None:
    assert requests.post(f"{sandbox.url}/control/faults", data=b"{", timeout=5).status_code == 400


def test_latency_is_set_for_a_provider_and_for_a_symbol(client: Client) -> None:
    begun = time.monotonic()
    client.sandbox.control("POST", "latency", {"provider": "yahoo", "seconds": 0.15})
    client.chain("AAPL")
    assert time.monotonic() - begun >= 0.15
    # Longer than the client waits: what has its own latency, or another provider's, answers all the same.
    client.sandbox.control("POST", "latency", {"provider": "yahoo", "seconds": 30})
    client.sandbox.control("POST", "latency", {"provider": "yahoo", "symbol": "KO", "seconds": 0})
    assert client.chain("KO").ok
    assert client.cboe("AAPL").ok


def test_requests_are_counted_by_provider_path_status_and_symbol(client: Client) -> None:
    client.chain("AAPL")
    client.chain("NOSUCH")
    client.yahoo("/v7/finance/quote", symbols="AAPL,BRK-B")
    client.cboe("KO")
    counts = client.sandbox.control("GET", "requests")
    yahoo = counts["providers"]["yahoo"]
    assert counts["total"] == 4
    assert yahoo["by_path"] == {"options": 2, "quote": 1}
    assert yahoo["by_status"] == {"200": 2, "404": 1}
    assert yahoo["by_symbol"] == {"AAPL": 2, "NOSUCH": 1, "BRK.B": 1}
    assert counts["providers"]["cboe"]["by_symbol"] == {"KO": 1}
    client.sandbox.reset_requests()
    assert client.sandbox.total_requests() == 0


def test_the_greatest_number_of_requests_at_once_is_counted(client: Client) -> None:
    client.sandbox.control("POST", "latency", {"provider": "cboe", "seconds": 0.2})
    threads = [threading.Thread(target=Client(client.sandbox).cboe, args=("KO",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.sandbox.requests("cboe")["most_at_once"] == 3


def test_symbols_come_as_json_and_as_csv(sandbox: Sandbox) -> None:
    rows = list(csv.DictReader(io.StringIO(sandbox.symbols_csv().decode())))
    assert [row["symbol"].replace("/", ".") for row in rows] == sandbox.symbols()
    assert len(rows) == 25


def test_the_truth_of_an_unknown_symbol_is_an_error(sandbox: Sandbox) -> None:
    with pytest.raises(ControlError, match="NOSUCH is not listed"):
        sandbox.truth("NOSUCH")


def test_a_process_of_its_own_serves_and_ends_with_the_block() -> None:
    with sandbox_process(symbols=3, seed=11) as process:
        assert len(process.symbols()) == 3
        url = process.url
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/control/symbols", timeout=2)


def test_a_busy_port_and_a_bad_wish_are_refused_in_one_line(sandbox: Sandbox, tmp_path: Path) -> None:
    for wish, said in (
        ({"port": sandbox.address.port}, f"port {sandbox.address.port} on 127.0.0.1 cannot be had"),
        ({"recorded_dir": tmp_path}, "holds no recording"),
        ({"symbols": 0}, "at least one symbol"),
        ({"host": "0.0.0.0", "port": 0}, "loopback alone"),
        ({"port": 0, "faults": ["yahoo:AAPL:nonsense"]}, "kind: "),
        ({"port": 0, "faults": ["nonsense"]}, "PROVIDER:SYMBOL:KIND"),
    ):
        with pytest.raises(SandboxError, match=said) as caught:
            run(**wish)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_first_that_this_is_no_market_and_stops_cleanly(number: signal.Signals) -> None:
    code = "from optsync_pipeline.sandbox.server import run; run(port=0, symbols=3, faults=['yahoo:AAPL:html'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    while "control/requests" not in said:
        line = process.stdout.readline()
        assert line, process.communicate()
        said += line
    assert "NOT A REAL MARKET" in said.splitlines()[1]
    for name in ("yahoo", "cboe", "robinhood", "polygon"):
        assert re.search(rf"export OPTSYNC_{name.upper()}_URL=http://127\.0\.0\.1:\d+/{name}\b", said)
    assert "optsync stocks import" in said
    assert "Ctrl-C" in said
    assert len(said.splitlines()) <= 24
    assert max(map(len, said.splitlines())) <= 120
    process.send_signal(number)
    _, errors = process.communicate(timeout=5)
    assert (process.returncode, errors) == (0, "")
