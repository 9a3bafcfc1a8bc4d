"""The engine against a real PostgreSQL and the sandbox market over HTTP."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from optsync_pipeline.providers.base import ChainReply, ChainRequest, InvalidReply, NotEntitled, Provider
from optsync_pipeline.providers.build import build_providers
from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.settings import Settings, load_settings
from optsync_pipeline.storage import stocks, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.refresh_requests import request_refresh
from optsync_pipeline.sync.engine import SyncEngine, SyncError, SyncPlan, ask_last
from optsync_pipeline.sync.outcome import SymbolOutcome
from optsync_pipeline_tests.chunks import open_job
from optsync_pipeline_tests.limits import UNLIMITED
from optsync_pipeline_tests.scripted_vendor import ScriptedVendor

TRADING = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)  # Monday, 11:00 in New York
EVENING = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)  # the same Monday, 20:00
SATURDAY = datetime(2026, 11, 21, 18, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(TRADING)


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with running_sandbox(symbols=30, clock=clock) as running:
        yield running


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> Settings:
    return load_settings(
        env_file=None,
        home=tmp_path,
        providers="yahoo,cboe",
        yahoo_url=sandbox.yahoo_url,
        cboe_url=sandbox.cboe_url,
        chunk_symbols=10,
        **UNLIMITED,
    )


@pytest.fixture
def symbols(sandbox: Sandbox, database: Database) -> list[str]:
    names = sandbox.symbols()
    stocks.upsert_stocks(database, [{"symbol": name} for name in names])
    return names


@pytest.fixture
def engine(database: Database, settings: Settings, clock: Clock) -> SyncEngine:
    return SyncEngine(database, settings, clock)


def run(engine: SyncEngine, names: list[str], **plan: Any) -> tuple[dict[str, SymbolOutcome], int]:
    with engine.start(SyncPlan(symbols=tuple(names), **{"sync_type": "all", "tries": 1, **plan})) as running:
        outcomes = {outcome.symbol: outcome for outcome in running}
    return outcomes, running.job_id


def count(database: Database, table: str, symbol: str) -> int:
    row = database.fetch_one(f"SELECT count(*) AS n FROM {table} WHERE symbol = %s", (symbol,))  # noqa: S608
    assert row is not None
    return int(row["n"])


def test_every_symbol_ends_with_its_rows_written(engine: SyncEngine, database: Database, symbols: list[str]) -> None:
    outcomes, job_id = run(engine, symbols)
    assert {outcome.status for outcome in outcomes.values()} == {"success"}
    assert set(outcomes) == set(symbols)
    for symbol in symbols:
        assert count(database, "option_chains", symbol) == outcomes[symbol].options_inserted > 0
        assert count(database, "stock_premiums", symbol) == outcomes[symbol].premiums_inserted > 0
        assert count(database, "stock_data", symbol) == count(database, "stock_prices", symbol) == 1
    job = sync_log.read_job(database, job_id)
    assert job is not None
    assert (job["status"], job["successful_stocks"], job["failed_stocks"]) == ("completed", len(symbols), 0)


def test_every_contract_fetched_is_sellable_or_has_its_rule(
    engine: SyncEngine, database: Database, symbols: list[str]
) -> None:
    outcomes, job_id = run(engine, symbols)
    for outcome in outcomes.values():
        refused = database.fetch_all(
            "SELECT contract_symbol FROM rejected_quotes WHERE job_id = %s AND symbol = %s", (job_id, outcome.symbol)
        )
        assert outcome.options_fetched == outcome.premiums_inserted + len(refused)


def test_one_symbols_fault_is_its_own(engine: SyncEngine, sandbox: Sandbox, symbols: list[str]) -> None:
    sandbox.fault("html", symbol=symbols[3])
    sandbox.fault("server_error", symbol=symbols[7])
    outcomes, _ = run(engine, symbols)
    failed = {name: outcome.error_type for name, outcome in outcomes.items() if outcome.status != "success"}
    assert failed == {symbols[3]: "invalid_data", symbols[7]: "provider_error"}


def test_a_failure_falls_back_to_the_next_provider_and_tells_both(
    engine: SyncEngine, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.fault("server_error", provider="yahoo", symbol=symbols[0])
    outcomes, _ = run(engine, symbols[:3])
    outcome = outcomes[symbols[0]]
    assert (outcome.status, outcome.data_provider) == ("success", "cboe")
    assert [(attempt.provider, attempt.error_type) for attempt in outcome.attempts] == [
        ("yahoo", "provider_error"),
        ("cboe", None),
    ]


def test_a_second_sync_asks_one_request_a_symbol(engine: SyncEngine, sandbox: Sandbox, symbols: list[str]) -> None:
    run(engine, symbols)
    outcomes, _ = run(engine, symbols)
    assert sum(outcome.requests for outcome in outcomes.values()) == len(symbols)


def test_an_unknown_symbol_is_delisted_where_others_are_answered(
    engine: SyncEngine, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.fault("delisted", symbol=symbols[0])
    outcomes, _ = run(engine, symbols[:5])
    assert (outcomes[symbols[0]].status, outcomes[symbols[0]].error_type) == ("skipped", "delisted")


def test_an_unknown_symbol_alone_is_proven_by_asking_a_known_one(
    engine: SyncEngine, sandbox: Sandbox, symbols: list[str]
) -> None:
    run(engine, symbols)
    sandbox.fault("delisted", symbol=symbols[0])
    outcomes, _ = run(engine, symbols[:1])
    assert outcomes[symbols[0]].error_type == "delisted"


def test_a_vendor_that_refuses_everybody_proves_nothing(
    engine: SyncEngine, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.fault("delisted", symbol="*")
    outcomes, _ = run(engine, symbols[:4])
    assert {(outcome.status, outcome.error_type) for outcome in outcomes.values()} == {("failed", "auth_error")}


def test_a_stock_without_options_is_skipped_and_remembered(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.fault("no_options", symbol=symbols[1])
    outcomes, _ = run(engine, symbols[:4])
    assert (outcomes[symbols[1]].status, outcomes[symbols[1]].error_type) == ("skipped", "no_options")
    row = database.fetch_one("SELECT has_options FROM stocks WHERE symbol = %s", (symbols[1],))
    assert row == {"has_options": False}


def test_a_failed_refresh_keeps_the_old_rows(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    run(engine, symbols)
    before = count(database, "option_chains", symbols[2])
    for kind in ("zero_quotes", "empty_chain", "stale_quote", "cut_json", "no_options"):
        sandbox.fault(kind, symbol=symbols[2])
        outcomes, _ = run(engine, symbols[:4])
        assert outcomes[symbols[2]].status == "failed", kind
        assert count(database, "option_chains", symbols[2]) == before
        sandbox.clear_faults()


def test_a_chain_of_zero_quotes_is_refused_contract_by_contract(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.fault("zero_quotes", symbol=symbols[0])
    outcomes, job_id = run(engine, symbols[:2])
    assert outcomes[symbols[0]].error_type == "invalid_data"
    rules = database.fetch_all(
        "SELECT rule, count(*) AS n FROM rejected_quotes WHERE job_id = %s AND symbol = %s GROUP BY rule",
        (job_id, symbols[0]),
    )
    assert [(row["rule"], row["n"]) for row in rules] == [("zero_quote", outcomes[symbols[0]].options_rejected)]
    assert count(database, "stock_premiums", symbols[0]) == 0


@pytest.mark.parametrize("now", [EVENING, SATURDAY])
def test_after_the_close_and_on_a_weekend_the_latest_session_is_synced(
    engine: SyncEngine, database: Database, clock: Clock, symbols: list[str], now: datetime
) -> None:
    clock.now = now
    outcomes, _ = run(engine, symbols[:4])
    assert {outcome.status for outcome in outcomes.values()} == {"success"}
    finals = database.fetch_all("SELECT DISTINCT is_final FROM stock_prices")
    assert finals == [{"is_final": True}]


def test_a_bar_of_a_session_that_goes_on_is_not_final(
    engine: SyncEngine, database: Database, symbols: list[str]
) -> None:
    run(engine, symbols[:2])
    assert database.fetch_all("SELECT DISTINCT is_final FROM stock_prices") == [{"is_final": False}]


def test_a_late_reply_that_lost_its_quotes_never_replaces_the_sessions_rows(
    engine: SyncEngine, database: Database, sandbox: Sandbox, clock: Clock, symbols: list[str]
) -> None:
    run(engine, symbols[:2])
    clock.now = EVENING
    # Four of five quotes zero: not dead by itself, but much less than the session's rows have.
    sandbox.fault("zero_quotes", symbol=symbols[0])
    sandbox.fault("zero_quotes", symbol=symbols[1], every=1)
    query = "SELECT sum((bid > 0)::int) AS bids FROM option_chains WHERE symbol = %s"
    before = database.fetch_one(query, (symbols[0],))
    outcomes, _ = run(engine, symbols[:2])
    assert {outcome.error_type for outcome in outcomes.values()} == {"stale_data"}
    assert database.fetch_one(query, (symbols[0],)) == before


def test_no_more_vendor_calls_at_once_than_the_setting_allows(
    database: Database, settings: Settings, clock: Clock, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.control("POST", "latency", {"provider": "yahoo", "seconds": 0.1})
    few = settings.model_copy(update={"max_concurrent_fetches": 3})
    run(SyncEngine(database, few, clock), symbols)
    assert sandbox.requests("yahoo")["most_at_once"] == 3


def test_a_stop_keeps_what_is_fetched_and_the_next_run_continues_the_job(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str], clock: Clock
) -> None:
    sandbox.control("POST", "latency", {"provider": "yahoo", "seconds": 0.3})
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        while not sandbox.requests("yahoo")["by_path"].get("options"):
            time.sleep(0.01)
        running.stop()  # what is under way may end
        first = list(running)
    assert running.cancelled
    assert 0 < len(first) < len(symbols)
    job = sync_log.read_job(database, running.job_id)
    assert job is not None
    assert job["status"] == "cancelled"
    sandbox.control("POST", "latency", {"provider": "yahoo", "seconds": 0})
    found = sync_log.find_unfinished_job(
        database, since=clock() - timedelta(hours=3), target_dtes=engine.settings.target_dtes
    )
    assert found == running.job_id
    sandbox.control("POST", "requests/reset")
    outcomes, job_id = run(engine, symbols, continue_job_id=found)
    assert job_id == running.job_id
    assert {outcome.symbol for outcome in outcomes.values() if outcome.already_done} == {one.symbol for one in first}
    asked = sandbox.requests("yahoo")["by_symbol"]
    assert set(asked) == set(symbols) - {one.symbol for one in first}


def test_leaving_the_block_early_stops_the_sync_and_cancels_its_job(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.control("POST", "latency", {"provider": "yahoo", "seconds": 0.3})
    running = engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all"))
    with running:
        next(iter(running))
    job = sync_log.read_job(database, running.job_id)
    assert job is not None
    assert job["status"] == "cancelled"


def test_a_job_that_runs_is_never_taken_over(engine: SyncEngine, sandbox: Sandbox, symbols: list[str]) -> None:
    sandbox.control("POST", "latency", {"provider": "yahoo", "seconds": 0.3})
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        with pytest.raises(SyncError, match="still running"):
            engine.start(SyncPlan(symbols=(), sync_type="all", continue_job_id=running.job_id))
        running.stop()


def test_a_symbol_asked_again_moves_its_jobs_counts(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.fault("html", symbol=symbols[0])
    _, job_id = run(engine, symbols[:3])
    sandbox.clear_faults()
    outcomes, _ = run(engine, symbols[:1], continue_job_id=job_id, reask=True)
    assert outcomes[symbols[0]].status == "success"
    job = sync_log.read_job(database, job_id)
    assert job is not None
    assert (job["successful_stocks"], job["failed_stocks"]) == (3, 0)


def test_an_empty_list_is_refused_with_what_to_do(engine: SyncEngine) -> None:
    with pytest.raises(SyncError, match="optsync stocks add"):
        engine.start(SyncPlan(symbols=(), sync_type="all"))


def test_a_job_in_which_nothing_could_be_done_is_failed(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.fault("server_error", symbol="*")
    _, job_id = run(engine, symbols[:3])
    job = sync_log.read_job(database, job_id)
    assert job is not None
    assert job["status"] == "failed"
    assert job["error_summary"] == {"provider_error": 3}


def test_a_running_job_is_alive_from_the_moment_it_can_be_seen(
    engine: SyncEngine, database: Database, symbols: list[str]
) -> None:
    running = engine.start(SyncPlan(symbols=tuple(symbols[:2]), sync_type="all"))
    assert sync_log.is_alive(database, running.job_id)
    with running:
        list(running)
    assert not sync_log.is_alive(database, running.job_id)


def test_a_new_sync_says_of_dead_jobs_that_they_failed(
    engine: SyncEngine, database: Database, symbols: list[str]
) -> None:
    dead = open_job(database, symbols)
    run(engine, symbols[:1], sync_type="symbols")
    job = sync_log.read_job(database, dead)
    assert job is not None
    assert job["status"] == "failed"


def test_a_vendor_that_blocks_us_is_asked_for_one_known_symbol_a_chunk(
    engine: SyncEngine, sandbox: Sandbox, symbols: list[str]
) -> None:
    run(engine, symbols)
    sandbox.fault("delisted", symbol="*", status=403)
    sandbox.reset_requests()
    outcomes, _ = run(engine, symbols)
    assert {outcome.error_type for outcome in outcomes.values()} == {"auth_error"}
    chunks = len(symbols) // engine.settings.chunk_symbols
    for provider in ("yahoo", "cboe"):
        assert sandbox.requests(provider)["total"] <= len(symbols) + chunks + 2  # cookie and crumb


def test_of_two_answers_the_proven_one_counts(engine: SyncEngine, sandbox: Sandbox, symbols: list[str]) -> None:
    sandbox.fault("delisted", provider="yahoo", symbol="*")
    sandbox.fault("no_options", provider="cboe", symbol=symbols[0])
    outcomes, _ = run(engine, symbols[:5])
    assert (outcomes[symbols[0]].status, outcomes[symbols[0]].error_type) == ("skipped", "no_options")


def test_a_stock_that_was_delisted_since_the_last_sync_is_told_as_such(
    engine: SyncEngine, sandbox: Sandbox, symbols: list[str]
) -> None:
    run(engine, symbols[:5])
    sandbox.fault("delisted", symbol=symbols[0], status=200)
    outcomes, _ = run(engine, symbols[:5])
    assert (outcomes[symbols[0]].status, outcomes[symbols[0]].error_type) == ("skipped", "delisted")


def test_contracts_of_a_dead_chain_are_not_refused_where_another_provider_delivered(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.fault("stale_quote", provider="yahoo", symbol=symbols[0])
    outcomes, job_id = run(engine, symbols[:2])
    outcome = outcomes[symbols[0]]
    assert (outcome.status, outcome.data_provider) == ("success", "cboe")
    rules = database.fetch_all("SELECT DISTINCT rule, data_provider FROM rejected_quotes WHERE job_id = %s", (job_id,))
    assert "stale_quote" not in {row["rule"] for row in rules}
    assert outcome.options_fetched == outcome.premiums_inserted + outcome.options_rejected


def test_no_vendor_call_begins_after_a_stop(engine: SyncEngine, sandbox: Sandbox, symbols: list[str]) -> None:
    run(engine, symbols)  # every symbol now costs one request, and the cookie is there
    sandbox.control("POST", "latency", {"provider": "yahoo", "seconds": 0.5})
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        while sandbox.requests("yahoo")["at_once"] < engine.settings.max_concurrent_fetches:
            time.sleep(0.01)
        running.stop()
        begun = sandbox.requests("yahoo")["total"]
        list(running)
    time.sleep(0.5)
    assert sandbox.requests("yahoo")["total"] == begun


def test_a_stop_does_not_wait_for_a_vendor_that_hangs(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.fault("timeout", symbol="*", seconds=60)
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        time.sleep(0.5)
        running.stop()
        assert list(running) == []
    assert sandbox.requests("yahoo")["at_once"] > 0  # it still hangs, and nobody waits
    job = sync_log.read_job(database, running.job_id)
    assert job is not None
    assert job["status"] == "cancelled"


def test_a_reply_that_our_own_code_cannot_digest_fails_alone(
    database: Database, settings: Settings, clock: Clock, symbols: list[str]
) -> None:
    # A bug by construction: a provider whose reply breaks what every provider promises.
    (yahoo,) = build_providers(settings.model_copy(update={"providers": ("yahoo",)}))
    engine = SyncEngine(database, settings, clock, [Breaking(yahoo, symbols[1])])
    outcomes, _ = run(engine, symbols[:4])
    failed = {name: outcome.error_type for name, outcome in outcomes.items() if outcome.status == "failed"}
    assert failed == {symbols[1]: "provider_error"}
    assert "please report it" in (outcomes[symbols[1]].error_message or "")


@pytest.mark.parametrize("ends_provider", [False, True])
def test_words_that_no_text_of_postgresql_holds_fail_their_symbol_alone(
    database: Database, settings: Settings, clock: Clock, symbols: list[str], ends_provider: bool
) -> None:
    garbage = InvalidReply("a page with \0 and \ud800 in it", ends_provider=ends_provider)
    engine = SyncEngine(database, settings, clock, [ScriptedVendor({symbols[0]: garbage})])
    outcomes, job_id = run(engine, symbols[:1])
    assert "a page with  and ? in it" in (outcomes[symbols[0]].error_message or "")
    assert outcomes[symbols[0]].attempts[0].message == "a page with  and ? in it"
    job = sync_log.read_job(database, job_id)
    assert job is not None
    assert job["left_out"] == ({"yahoo": "a page with  and ? in it"} if ends_provider else {})


class Breaking:
    """A provider whose reply for one symbol names an expiration that is no date."""

    name = "yahoo"
    quote_delay = timedelta(0)

    def __init__(self, provider: Provider, victim: str) -> None:
        self._provider = provider
        self._victim = victim

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        reply = self._provider.fetch_chain(request)
        if request.symbol != self._victim:
            return reply
        broken = [quote._replace(expiration_date=cast("date", "soon")) for quote in reply.contracts]
        return replace(reply, contracts=broken)

    def close(self) -> None:
        self._provider.close()


def test_a_continued_job_leaves_out_stocks_that_are_no_longer_asked_for(
    engine: SyncEngine, database: Database, symbols: list[str]
) -> None:
    dead = open_job(database, symbols[:5])
    outcomes, _ = run(engine, symbols[:4], continue_job_id=dead)
    assert set(outcomes) == set(symbols[:4])


def test_a_continued_job_asks_in_order_of_priority(
    database: Database, engine: SyncEngine, symbols: list[str], clock: Clock
) -> None:
    dead = open_job(database, symbols)
    request_refresh(database, [sorted(symbols)[-1]], clock.now, None)
    _, lock, work = engine._take_up_job(
        SyncPlan(symbols=(), sync_type="all", continue_job_id=dead), dead, ["yahoo"], clock.now
    )
    lock.release()
    assert work.todo == stocks.active_symbols(database)
    assert work.todo[0] == sorted(symbols)[-1]


def test_what_a_symbol_cost_adds_up_over_the_runs_of_its_job(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    run(engine, symbols[:3])
    sandbox.fault("server_error", symbol=symbols[0])
    sandbox.reset_requests()
    _, job_id = run(engine, symbols[:3])
    run(engine, symbols[:1], continue_job_id=job_id, reask=True)
    row = database.fetch_one(
        "SELECT requests, jsonb_array_length(attempts) AS attempts FROM sync_stock_results"
        " WHERE job_id = %s AND symbol = %s",
        (job_id, symbols[0]),
    )
    assert row == {"requests": 4, "attempts": 4}  # two providers, twice
    assert sandbox.total_requests() == 4 + 2


def test_a_lost_lock_is_taken_again_and_the_job_goes_on(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        database.fetch_all(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s",
            (running.job_id,),
        )
        assert len(list(running)) == len(symbols)
        assert sync_log.is_alive(database, running.job_id)


def test_a_retry_asks_another_provider_first(engine: SyncEngine, sandbox: Sandbox, symbols: list[str]) -> None:
    sandbox.fault("html", symbol=symbols[0])
    outcomes, job_id = run(engine, symbols[:3])
    assert [attempt.provider for attempt in outcomes[symbols[0]].attempts] == ["yahoo", "cboe"]
    sandbox.clear_faults()
    outcomes, _ = run(engine, [], continue_job_id=job_id, retry=True)
    assert (outcomes[symbols[0]].status, outcomes[symbols[0]].data_provider) == ("success", "cboe")


def test_asked_last_are_those_that_failed_or_where_all_did_the_first_of_them() -> None:
    failed = {"provider": "yahoo", "error_type": "provider_error", "requests": 5}
    passed_over = {"provider": "cboe", "error_type": "circuit_open", "requests": 0}
    assert ask_last([failed, passed_over], ["yahoo", "cboe"]) == {"yahoo"}
    assert ask_last([failed, {**passed_over, "requests": 1}], ["yahoo", "cboe"]) == {"yahoo"}
    assert ask_last([passed_over], ["yahoo", "cboe"]) == frozenset()


def test_a_plan_that_does_not_include_it_fails_every_symbol_of_that_and_opens_no_breaker(
    database: Database, settings: Settings, clock: Clock, symbols: list[str]
) -> None:
    refusal = NotEntitled("the plan has no snapshots", ends_provider=True)
    vendor = ScriptedVendor(dict.fromkeys(symbols, refusal))
    outcomes, job_id = run(SyncEngine(database, settings, clock, (vendor,)), symbols)
    assert {outcome.error_type for outcome in outcomes.values()} == {"not_entitled"}
    assert vendor.asked.total() <= 4 * settings.max_concurrent_fetches  # the calls under way when the first was refused
    state = database.fetch_one(
        "SELECT circuit_state, consecutive_failures FROM api_rate_limits WHERE provider = 'yahoo'"
    )
    assert state == {"circuit_state": "closed", "consecutive_failures": 0}
    job = sync_log.read_job(database, job_id)
    assert job is not None
    assert job["left_out"] == {"yahoo": "the plan has no snapshots"}


def test_who_asked_for_the_end_of_a_job_that_was_just_done_does_not_stop_what_is_asked_of_it_later(
    engine: SyncEngine, database: Database, sandbox: Sandbox, symbols: list[str]
) -> None:
    sandbox.fault("html", symbol=symbols[0])
    with engine.start(SyncPlan(symbols=tuple(symbols[:3]), sync_type="all", tries=1)) as running:
        assert len(list(running)) == 3
        assert sync_log.request_cancel(database, running.job_id, TRADING)  # the lock is still held
    sync_log.finish_job(database, running.job_id, "completed", TRADING)
    sandbox.clear_faults()
    outcomes, _ = run(engine, symbols[:1], continue_job_id=running.job_id, reask=True)
    assert outcomes[symbols[0]].status == "success"


def test_a_chain_that_is_cut_off_is_had_whole_from_the_other_vendor(
    engine: SyncEngine, sandbox: Sandbox, database: Database, symbols: list[str]
) -> None:
    before, _ = run(engine, symbols[:5])
    sandbox.fault("short_chain", provider="yahoo", symbol=symbols[0])
    after, _ = run(engine, symbols[:5])
    short = after.pop(symbols[0])
    assert (short.status, short.data_provider) == ("success", "cboe")
    assert "; asked once more, cboe gave it whole" in str(short.chain_note)
    assert count(database, "option_chains", symbols[0]) == before[symbols[0]].options_inserted
    assert {outcome.chain_note for outcome in after.values()} == {None}
