"""When every provider fails, the rows of the last good sync stay as they are, and their age can be seen."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline.sync.engine import SyncEngine
from optsync_pipeline_tests.limits import limits
from optsync_pipeline_tests.recovery import list_market, run_sync, settings_for

__all__ = ["limits"]

SYMBOLS = 5
TABLES = ("stock_data", "stock_prices", "option_chains", "stock_premiums")
WAYS_TO_FAIL = (
    "server_error",
    "connection_reset",
    "html",
    "cut_json",
    "blocked",
    "delisted",  # of every symbol: not believed
    "no_options",
    "empty_chain",
    "zero_quotes",
    "stale_quote",
)
"""What a provider may do to every symbol."""


class Clock:
    """A clock that stands until it is set: 11:00 on a Monday in New York."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with running_sandbox(symbols=SYMBOLS, clock=clock) as running:
        yield running


@pytest.fixture
def engine(sandbox: Sandbox, database: Database, database_url: str, clock: Clock) -> SyncEngine:
    return SyncEngine(database, settings_for(sandbox, database_url), clock)


@pytest.fixture
def synced(engine: SyncEngine, database: Database, sandbox: Sandbox, clock: Clock) -> list[str]:
    """The symbols, each with the rows of a good sync an hour ago."""
    symbols = list_market(database, sandbox)
    run_sync(engine, symbols)
    clock.now += timedelta(hours=1)
    return symbols


def rows_of(database: Database, symbol: str = "%") -> dict[str, list[str]]:
    """Return the market rows of a symbol, or of all, as text, with the transaction that wrote each."""
    query = "SELECT xmin::text || stored::text AS told FROM {} AS stored WHERE symbol LIKE %s ORDER BY 1"
    return {table: [row["told"] for row in database.fetch_all(query.format(table), (symbol,))] for table in TABLES}


def test_no_way_in_which_all_providers_fail_touches_a_row(
    engine: SyncEngine, database: Database, sandbox: Sandbox, synced: list[str], limits: ProviderLimits
) -> None:
    before = rows_of(database)
    assert all(len(rows) >= SYMBOLS for rows in before.values())
    for way in WAYS_TO_FAIL:
        sandbox.fault(way)
        outcomes, _ = run_sync(engine, synced)
        assert {outcome.status for outcome in outcomes.values()} == {"failed"}, way
        assert rows_of(database) == before, way
        sandbox.clear_faults()
        for provider in ("yahoo", "cboe"):
            limits.reset(provider)


def test_a_stock_that_is_said_to_be_gone_keeps_its_rows(
    engine: SyncEngine, database: Database, sandbox: Sandbox, synced: list[str]
) -> None:
    before = rows_of(database, synced[0])
    sandbox.fault("delisted", symbol=synced[0])
    outcomes, _ = run_sync(engine, synced)
    assert (outcomes[synced[0]].status, outcomes[synced[0]].error_type) == ("skipped", "delisted")
    assert rows_of(database, synced[0]) == before


def test_the_age_of_rows_that_were_not_refreshed_can_be_seen(
    engine: SyncEngine, database: Database, sandbox: Sandbox, synced: list[str], clock: Clock
) -> None:
    failing = synced[1]
    sandbox.fault("server_error", symbol=failing)
    run_sync(engine, synced)
    ages = {row["symbol"]: clock.now - row["last_updated"] for row in database.fetch_all("SELECT * FROM stock_data")}
    assert ages == {symbol: timedelta(hours=symbol == failing) for symbol in synced}
    quoted = {row["symbol"]: row["quoted_at"] for row in stocks.list_stocks(database)}
    assert all(quoted[failing] < quoted[symbol] for symbol in synced if symbol != failing)
    assert stocks.symbols_stale(database, since=clock.now, target_dtes=()) == [failing]


def test_a_later_good_sync_makes_everything_fresh_again(
    engine: SyncEngine, database: Database, sandbox: Sandbox, synced: list[str], clock: Clock
) -> None:
    sandbox.fault("server_error")
    _, job_id = run_sync(engine, synced)
    sandbox.clear_faults()
    run_sync(engine, continue_job_id=job_id, retry=True)
    assert stocks.symbols_stale(database, since=clock.now, target_dtes=()) == []
