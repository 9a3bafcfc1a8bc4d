"""`optsync sync`, `status`, `rankings`, `doctor` on a sandbox market: counts, failures, exit codes, stopping."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from optsync_pipeline.sandbox.running import Sandbox, running_sandbox, sandbox_process
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline_tests.commands import Ended, Run, run, run_program, settings_of_test, start_program

__all__ = ["run", "settings_of_test"]

SYMBOLS = 6


@pytest.fixture
def sandbox(settings_of_test: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox market to which the settings point."""
    with running_sandbox(symbols=SYMBOLS) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def stocked(sandbox: Sandbox, run: Run) -> Sandbox:
    """The same, its symbols imported."""
    run("stocks", "add", *sandbox.symbols())
    return sandbox


def test_all_stocks_are_synced_and_ranked(stocked: Sandbox, run: Run) -> None:
    ended = run("sync", "--all")
    assert ended.exit_code == 0, ended.err
    assert "job 1 (all): completed" in ended.out
    assert f"symbols    {SYMBOLS}: {SYMBOLS} ok, 0 failed, 0 skipped" in ended.out
    assert "ranked " in ended.out
    assert "asking yahoo, then cboe" in ended.err
    assert f"{SYMBOLS} of {SYMBOLS}: {SYMBOLS} ok" in ended.err
    ranked = run("rankings", "--strategy", "cash_secured_put", "--json").json
    assert ranked
    assert {row["strategy"] for row in ranked} == {"cash_secured_put"}
    assert [row["rank"] for row in ranked] == list(range(1, len(ranked) + 1))


def test_a_ranking_is_shown_with_its_age_one_contract_a_line(stocked: Sandbox, run: Run) -> None:
    run("sync", "--all")
    ended = run("rankings", "--limit", "2")
    title, headings, first, *_ = ended.out.splitlines()
    assert title.startswith("Cash-secured puts, ranked ")
    assert "(just now)" in title
    assert headings.split()[:4] == ["#", "symbol", "expires", "days"]
    assert first.split()[0] == "1"


def test_symbols_are_named_in_any_spelling(stocked: Sandbox, run: Run, database: Database) -> None:
    ended = run("sync", "brk/b", "aapl", "BRK-B")
    assert ended.exit_code == 0
    assert [row["symbol"] for row in sync_log.read_results(database, 1)] == ["AAPL", "BRK.B"]


def test_a_failed_symbol_is_told_with_its_reason_and_others_are_done(stocked: Sandbox, run: Run) -> None:
    stocked.fault("html", symbol="AAPL")
    ended = run("sync", "--all")
    assert ended.exit_code == 1
    assert f"{SYMBOLS - 1} ok, 1 failed" in ended.out
    assert "invalid_data" in ended.out
    status = run("status", "1")
    assert "AAPL    failed  invalid_data  yahoo: invalid_data, cboe: invalid_data" in status.out
    stocked.clear_faults()
    again = run("sync", "--failed")
    assert again.exit_code == 0
    assert "symbols    1: 1 ok" in again.out


def test_a_symbol_that_no_vendor_knows_is_skipped_which_is_well(stocked: Sandbox, run: Run) -> None:
    run("stocks", "add", "ZZZZZ")
    ended = run("sync", "AAPL", "ZZZZZ")
    assert ended.exit_code == 0
    assert "1 ok, 0 failed, 1 skipped" in ended.out
    assert "delisted" in ended.out


def test_nothing_done_at_all_ends_with_three(stocked: Sandbox, run: Run) -> None:
    stocked.fault("html")
    ended = run("sync", "AAPL", "NVDA")
    assert ended.exit_code == 3
    assert "(symbols): failed" in ended.out
    assert "`optsync retry 1` asks for the failed ones again" in ended.out


def test_a_stock_that_is_not_there_is_named_with_how_to_add_it(stocked: Sandbox, run: Run, database: Database) -> None:
    ended = run("sync", "AAPL", "NOSUCH")
    assert ended.exit_code == 2
    assert "NOSUCH; add with `optsync stocks add NOSUCH`" in ended.err
    assert sync_log.list_jobs(database) == []


def test_without_stocks_it_says_how_to_get_some(sandbox: Sandbox, run: Run) -> None:
    ended = run("sync", "--all")
    assert ended.exit_code == 2
    assert "optsync stocks import" in ended.err


def test_nothing_stale_and_nothing_failed_is_well(stocked: Sandbox, run: Run) -> None:
    run("sync", "--all")
    for choice in (("--stale", "1"), ("--failed",)):
        ended = run("sync", *choice)
        assert ended.exit_code == 0
        assert "nothing to sync" in ended.out


def test_a_second_sync_of_all_right_after_the_first_asks_nobody(stocked: Sandbox, run: Run, database: Database) -> None:
    run("stocks", "add", "ZZZZZ")  # which no vendor knows: that is an answer, and as fresh as any
    run("sync", "--all")
    asked = stocked.total_requests()
    ended = run("sync", "--all")
    assert ended.exit_code == 0
    assert f"nothing to sync: all {SYMBOLS + 1} stocks are fresh, asked for since " in ended.out
    assert "--fresh asks anyway" in ended.out
    assert stocked.total_requests() == asked
    assert len(sync_log.list_jobs(database)) == 1
    assert f"symbols    {SYMBOLS + 1}:" in run("sync", "--all", "--fresh").out


def test_only_what_is_not_fresh_is_asked_and_the_rest_is_counted(stocked: Sandbox, run: Run) -> None:
    run("sync", "AAPL")
    ended = run("sync", "--all")
    assert f"symbols    {SYMBOLS - 1}: {SYMBOLS - 1} ok" in ended.out
    assert f"passing over 1 of {SYMBOLS} stocks, which are fresh" in ended.err


def test_a_named_stock_is_asked_however_fresh_it_is(stocked: Sandbox, run: Run) -> None:
    run("sync", "AAPL")
    assert "symbols    1: 1 ok" in run("sync", "AAPL").out


def test_fresh_prices_leave_the_chains_to_be_asked(stocked: Sandbox, run: Run) -> None:
    run("sync", "--all", "--prices")
    assert f"all {SYMBOLS} stocks are fresh" in run("sync", "--all", "--prices").out
    assert f"symbols    {SYMBOLS}: {SYMBOLS} ok" in run("sync", "--all").out


def test_other_days_to_expiration_are_not_fresh(stocked: Sandbox, run: Run) -> None:
    run("sync", "--all")
    assert f"symbols    {SYMBOLS}: {SYMBOLS} ok" in run("sync", "--all", "--dte", "60").out


def test_a_watchlist_is_synced_and_its_ranking_shown_with_the_ranks_among_all(stocked: Sandbox, run: Run) -> None:
    run("watchlist", "create", "mine")
    run("watchlist", "add", "mine", "NVDA", "AAPL")
    ended = run("sync", "--watchlist", "mine")
    assert "(watchlist): completed" in ended.out
    assert "symbols    2: 2 ok" in ended.out
    assert "all 2 stocks are fresh" in run("sync", "--watchlist", "mine").out
    run("sync", "--all")
    ranks = {(row["strategy"], row["symbol"]): row["rank"] for row in run("rankings", "--json").json}
    watched = run("rankings", "--watchlist", "mine", "--json").json
    assert watched
    assert {row["symbol"] for row in watched} <= {"AAPL", "NVDA"}
    assert all(ranks[row["strategy"], row["symbol"]] == row["rank"] for row in watched)


@pytest.mark.parametrize("command", ["sync", "rankings"])
def test_a_watchlist_that_is_not_there_is_named_with_those_that_are(command: str, sandbox: Sandbox, run: Run) -> None:
    run("watchlist", "create", "mine")
    ended = run(command, "--watchlist", "mien")
    assert ended.exit_code == 2
    assert "there is no watchlist 'mien'; there are: mine" in ended.err


def test_a_stock_that_is_said_to_be_gone_a_week_later_is_retired_at_the_end(
    stocked: Sandbox, run: Run, database: Database
) -> None:
    run("stocks", "add", "ZZZZZ")
    run("sync", "ZZZZZ", "AAPL")
    database.execute("UPDATE stocks SET delisted_since = delisted_since - interval '8 days' WHERE symbol = 'ZZZZZ'")
    ended = run("sync", "ZZZZZ", "AAPL")
    assert "retired    ZZZZZ (delisted); `optsync stocks list --inactive`" in ended.out
    assert "ZZZZZ" not in run("stocks", "list").out


def test_stocks_never_synced_are_stale(stocked: Sandbox, run: Run) -> None:
    assert f"symbols    {SYMBOLS}:" in run("sync", "--stale", "24").out


def test_targets_and_pace_of_one_sync_are_chosen(stocked: Sandbox, run: Run, database: Database) -> None:
    assert run("sync", "AAPL", "--dte", "30,45", "--dte", "60", "--concurrency", "3").exit_code == 0
    job = sync_log.read_job(database, 1)
    assert job is not None
    assert (job["target_dtes"], job["concurrency_level"]) == ([30, 45, 60], 3)


def test_status_lists_syncs_the_newest_first(stocked: Sandbox, run: Run) -> None:
    run("sync", "AAPL")
    run("sync", "NVDA")
    assert [job["job_id"] for job in run("status", "--json").json["jobs"]] == [2, 1]
    assert len(run("status").out.splitlines()) == 3
    story = run("status", "2", "--json").json
    assert [row["symbol"] for row in story["results"]] == ["NVDA"]


def test_a_job_that_does_not_exist_is_said_so(sandbox: Sandbox, run: Run) -> None:
    ended = run("status", "99")
    assert ended.exit_code == 2
    assert "there is no job 99" in ended.err


def test_before_the_first_sync_lists_say_what_to_do(sandbox: Sandbox, run: Run) -> None:
    assert "optsync sync --all" in run("status").err
    assert "optsync sync --all" in run("rankings").err
    assert run("rankings", "--json").json == []


def test_doctor_finds_all_well_and_a_vendor_that_is_not(stocked: Sandbox, run: Run) -> None:
    findings = run("doctor", "--json").json
    assert [finding for finding in findings if finding["level"] == "fail"] == []
    assert "provider yahoo" in {finding["subject"] for finding in findings}
    stocked.fault("blocked", provider="cboe")
    ended = run("doctor")
    assert ended.exit_code == 1
    (line,) = [line for line in ended.out.splitlines() if line.startswith("fail")]
    assert "provider cboe" in line
    assert "OPTSYNC_CBOE_URL" in line
    assert run("doctor", "--offline").exit_code == 0


@pytest.fixture
def slow_market(settings_of_test: dict[str, str]) -> Iterator[dict[str, str]]:
    """The settings of a market in its own process, slow enough to be stopped in the middle; its symbols imported."""
    with sandbox_process(symbols=60, latency_seconds=0.5) as running:
        settings = {**settings_of_test, **running.environment, "OPTSYNC_CHUNK_SYMBOLS": "5"}
        assert run_program("stocks", "add", *running.symbols(), settings=settings).exit_code == 0
        yield settings


def wait_for_rows(database: Database, process: subprocess.Popen[str]) -> None:
    """Wait until some of a sync is committed."""
    deadline = time.monotonic() + 60
    while not (database.fetch_one("SELECT count(*) AS rows FROM stock_data") or {})["rows"]:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def stop_in_the_middle(settings: dict[str, str], database: Database, signal_number: signal.Signals) -> Ended:
    """Start a sync of all, and send it a signal once some of it is committed."""
    process = start_program("sync", "--all", "--concurrency", "4", settings=settings)
    wait_for_rows(database, process)
    process.send_signal(signal_number)
    out, err = process.communicate(timeout=10)
    return Ended(process.returncode, out, err)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_sync_keeps_what_was_fetched_and_is_cancelled(
    signal_number: signal.Signals, slow_market: dict[str, str], database: Database
) -> None:
    ended = stop_in_the_middle(slow_market, database, signal_number)
    assert ended.exit_code == 130
    assert "(all): cancelled" in ended.out
    assert "Traceback" not in ended.err
    (job,) = sync_log.list_jobs(database)
    assert job["status"] == "cancelled"
    assert 0 < job["successful_stocks"] < 60


def test_the_next_sync_of_all_continues_a_killed_one_and_says_so(
    slow_market: dict[str, str], database: Database
) -> None:
    stop_in_the_middle(slow_market, database, signal.SIGKILL)
    assert "dead" in run_program("status", settings=slow_market).out
    ended = run_program("sync", "--all", settings=slow_market)
    assert ended.exit_code == 0
    assert "continuing job 1" in ended.err
    assert "symbols    60: 60 ok" in ended.out
    assert len(sync_log.list_jobs(database)) == 1


def test_fresh_starts_anew(slow_market: dict[str, str], database: Database) -> None:
    stop_in_the_middle(slow_market, database, signal.SIGINT)
    ended = run_program("sync", "--all", "--fresh", settings=slow_market)
    assert "job 2 (all): completed" in ended.out


def test_prices_alone_are_synced_without_chains_and_without_a_ranking(
    stocked: Sandbox, run: Run, database: Database
) -> None:
    ended = run("sync", "--all", "--prices")
    assert ended.exit_code == 0, ended.err
    assert "job 1 (all, prices alone): completed" in ended.out
    assert f"symbols    {SYMBOLS}: {SYMBOLS} ok" in ended.out
    assert "contracts" not in ended.out
    assert "ranked" not in ended.out
    assert (database.fetch_one("SELECT count(*) AS rows FROM stock_data") or {})["rows"] == SYMBOLS
    assert (database.fetch_one("SELECT count(*) AS rows FROM option_chains") or {})["rows"] == 0


def test_prices_alone_of_providers_that_give_none_is_wrong_use_before_anything_is_opened(
    stocked: Sandbox, run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTSYNC_PROVIDERS", "polygon,cboe")
    ended = run("sync", "--all", "--prices")
    assert ended.exit_code == 2
    assert "prices alone cannot be had of cboe: add yahoo or robinhood to OPTSYNC_PROVIDERS" in ended.err
    assert sync_log.list_jobs(database) == []


def test_the_end_of_a_sync_says_what_each_provider_served(stocked: Sandbox, run: Run) -> None:
    stocked.fault("html", provider="yahoo", symbol="AAPL")
    out = run("sync", "AAPL").out
    assert "  cboe     1 of 1 symbols served, 1 requests\n" in out
    assert "  yahoo    0 of 1 symbols served, " in out
    assert "; invalid_data 1" in out


def test_a_sync_is_cancelled_from_another_terminal_and_finished_by_retry(
    slow_market: dict[str, str], database: Database
) -> None:
    process = start_program("sync", "--all", "--concurrency", "4", settings=slow_market)
    wait_for_rows(database, process)
    ended = run_program("cancel", "1", settings=slow_market)
    out, err = process.communicate(timeout=30)
    assert (ended.exit_code, ended.out) == (0, "job 1 is cancelled; `optsync retry 1` finishes it\n")
    assert process.returncode == 130
    assert "(all): cancelled" in out
    assert "`optsync retry 1` finishes the sync" in err
    finished = run_program("retry", settings=slow_market)
    assert finished.exit_code == 0
    assert "symbols    60: 60 ok" in finished.out
    assert len(sync_log.list_jobs(database)) == 1


def test_doctor_leaves_a_provider_alone_whose_circuit_is_open(stocked: Sandbox, run: Run, database: Database) -> None:
    with closing(ProviderLimits(database)) as limits:
        limits.declare("cboe", 60, 3600)
        limits.note_failure("cboe", 20, "network_error: gone")
    ended = run("doctor")
    (line,) = [line for line in ended.out.splitlines() if "provider cboe" in line]
    assert line.startswith("warn")
    assert "not asked: it failed 20 times in a row" in line
    assert stocked.requests("cboe")["total"] == 0
