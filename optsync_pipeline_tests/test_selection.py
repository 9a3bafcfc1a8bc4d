"""What a sync is about: choices in one order, and fresh by market time and by when we last asked."""

from datetime import UTC, datetime, timedelta

import pytest

from optsync_pipeline.settings import Settings, load_settings
from optsync_pipeline.storage import stocks, watchlists
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline.sync import selection
from optsync_pipeline_tests.chunks import make_chunk, open_job

FRIDAY_CLOSE = datetime(2026, 7, 17, 20, 0, tzinfo=UTC)
SUNDAY = datetime(2026, 7, 19, 16, 0, tzinfo=UTC)
MONDAY_OPEN = datetime(2026, 7, 20, 13, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def settings() -> Settings:
    return load_settings(env_file=None)


def synced(database: Database, at: datetime, *, prices_only: bool = False) -> None:
    """Let AAPL be synced at a time, its last trade being of long before."""
    chunk = make_chunk(open_job(database, ["AAPL"], prices_only=prices_only), ["AAPL"])
    chunk.prices_only = prices_only
    chunk.stock_data["last_updated"] = at
    chunk.stock_data["quoted_at"] = at - timedelta(hours=5)
    chunk.results[0] |= {"started_at": at, "completed_at": at}
    write_chunk(database, chunk)


@pytest.mark.parametrize(
    ("synced_at", "now", "is_stale"),
    [
        pytest.param(FRIDAY_CLOSE, SUNDAY, False, id="a Friday close on Sunday"),
        pytest.param(FRIDAY_CLOSE - MINUTE, SUNDAY, True, id="from just before the close"),
        pytest.param(FRIDAY_CLOSE, MONDAY_OPEN + 60 * MINUTE, False, id="an hour after the next open"),
        pytest.param(FRIDAY_CLOSE, MONDAY_OPEN + 61 * MINUTE, True, id="more than that"),
        pytest.param(MONDAY_OPEN + 10 * MINUTE, MONDAY_OPEN + 70 * MINUTE, False, id="an hour within a session"),
        pytest.param(MONDAY_OPEN + 10 * MINUTE, MONDAY_OPEN + 71 * MINUTE, True, id="more than that in a session"),
    ],
)
def test_a_chain_is_fresh_for_an_hour_of_trading_and_not_over_a_close(
    synced_at: datetime, now: datetime, is_stale: bool, database: Database, settings: Settings
) -> None:
    synced(database, synced_at)
    assert selection.select_stale(database, settings, now).symbols == (("AAPL",) if is_stale else ())


def test_a_price_is_fresh_for_five_minutes_and_makes_no_chain_fresh(database: Database, settings: Settings) -> None:
    synced(database, MONDAY_OPEN + 10 * MINUTE, prices_only=True)

    def stale(minutes: int, prices_only: bool) -> tuple[str, ...]:
        now = MONDAY_OPEN + minutes * MINUTE
        return selection.select_stale(database, settings, now, prices_only=prices_only).symbols

    assert stale(15, prices_only=True) == ()
    assert stale(16, prices_only=True) == ("AAPL",)
    assert stale(10, prices_only=False) == ("AAPL",)


def test_how_long_is_a_setting(database: Database) -> None:
    synced(database, MONDAY_OPEN + 10 * MINUTE)
    now = MONDAY_OPEN + 30 * MINUTE
    for minutes, stale in ((20, ()), (19, ("AAPL",))):
        settings = load_settings(env_file=None, chain_fresh_minutes=minutes)
        assert selection.select_stale(database, settings, now).symbols == stale


def test_older_counts_hours_of_trading(database: Database) -> None:
    synced(database, FRIDAY_CLOSE - 30 * MINUTE)
    assert selection.select_older(database, 1, MONDAY_OPEN + 30 * MINUTE).symbols == ()
    assert selection.select_older(database, 1, MONDAY_OPEN + 31 * MINUTE).symbols == ("AAPL",)
    assert selection.select_older(database, 1, SUNDAY).symbols == ()
    assert selection.select_older(database, 0.25, SUNDAY).symbols == ("AAPL",)


def test_what_is_fresh_is_passed_over_in_place_and_counted(database: Database, settings: Settings) -> None:
    stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in ("MSFT", "AAPL", "NVDA")])
    watchlists.create_watchlist(database, "mine", SUNDAY)
    watchlists.put_on(database, "mine", {"NVDA": "manual"}, SUNDAY)
    synced(database, FRIDAY_CLOSE)

    chosen = selection.pass_over_fresh(database, settings, SUNDAY, selection.select_all(database))
    assert chosen == selection.Selection("all", ("NVDA", "MSFT"), passed_over=1, fresh_since=FRIDAY_CLOSE)
    watched = selection.select_stale(database, settings, SUNDAY, watched_only=True)
    assert watched == selection.Selection("stale", ("NVDA",))
    assert selection.select_watchlist(database, "mine") == selection.Selection("watchlist", ("NVDA",))


def test_other_days_to_expiration_than_were_asked_for_are_not_fresh(database: Database, settings: Settings) -> None:
    synced(database, FRIDAY_CLOSE)
    every = selection.select_all(database)
    assert selection.pass_over_fresh(database, settings, SUNDAY, every, target_dtes=(60,)).symbols == ("AAPL",)
