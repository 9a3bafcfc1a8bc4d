"""Two syncs of the same symbols at once: rows are of one or the other whole, and both come to their end."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.sync.engine import JobTakenError, SyncEngine, SyncPlan
from optsync_pipeline_tests.recovery import (
    assert_rows_whole,
    assert_whole,
    done_symbols,
    hold_up,
    run_sync,
    settings_for,
)

SYMBOLS = 12
ROUNDS = 5
MIXED = """
SELECT symbol
FROM stock_data
JOIN option_chains AS chain USING (symbol)
LEFT JOIN stock_premiums AS premium USING (symbol, expiration_date, strike_price, option_type)
GROUP BY symbol, stock_data.data_provider, stock_data.last_updated
HAVING bool_or(chain.data_provider <> stock_data.data_provider OR chain.last_updated <> stock_data.last_updated)
    OR bool_or(premium.data_provider <> stock_data.data_provider OR premium.updated_at <> stock_data.last_updated)
"""
"""Symbols whose rows are not all of one reply."""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=SYMBOLS) as running:
        yield running


def test_two_syncs_of_the_same_symbols_leave_whole_rows_of_the_one_or_the_other(
    sandbox: Sandbox, database: Database, database_url: str, symbols: list[str]
) -> None:
    def sync(provider: str, ordered: list[str]) -> list[int]:
        settings = settings_for(sandbox, database_url, providers=provider, chunk_symbols=3)
        with closing(Database(database_url)) as own:
            return [run_sync(SyncEngine(own, settings), ordered)[1] for _ in range(ROUNDS)]

    over = threading.Event()

    def read() -> int:
        looks = 0
        while not over.is_set():
            assert database.fetch_all(MIXED) == []
            looks += 1
        return looks

    with ThreadPoolExecutor(max_workers=3) as threads:
        reader = threads.submit(read)
        try:
            syncs = [threads.submit(sync, "yahoo", symbols), threads.submit(sync, "cboe", symbols[::-1])]
            jobs = [job_id for told in syncs for job_id in told.result()]
        finally:
            over.set()
        assert reader.result() > 0

    stored = {row["symbol"]: row for row in database.fetch_all("SELECT symbol, data_provider FROM stock_data")}
    assert sorted(stored) == sorted(symbols)
    for job_id in jobs:
        assert done_symbols(database, job_id) == set(symbols)
    for job_id in (jobs[ROUNDS - 1], jobs[-1]):
        for row in sync_log.read_results(database, job_id):
            if row["data_provider"] == stored[row["symbol"]]["data_provider"]:
                assert_rows_whole(database, sandbox, row)


def test_a_sync_that_was_cut_off_gives_way_to_who_has_taken_up_its_job(
    sandbox: Sandbox, database: Database, database_url: str, symbols: list[str]
) -> None:
    engine = SyncEngine(database, settings_for(sandbox, database_url))
    hold_up(sandbox, symbols[-4:])
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as cut_off:
        outcomes = iter(cut_off)
        for _ in symbols[:-4]:
            next(outcomes)
        database.fetch_all(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s",
            (cut_off.job_id,),
        )
        with engine.start(SyncPlan(symbols=(), sync_type="all", continue_job_id=cut_off.job_id)) as other:
            sandbox.clear_faults()
            with pytest.raises(JobTakenError, match="taken up by another process"):
                list(outcomes)
            assert sorted(outcome.symbol for outcome in other) == sorted(symbols)

    assert_whole(database, sandbox, symbols, cut_off.job_id)
