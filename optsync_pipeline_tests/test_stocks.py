"""The universe: what is added, filled in and taken out, and what a sync can know of it beforehand."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from optsync_pipeline.storage import refresh_requests, stocks, watchlists
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline_tests.chunks import EXPIRATION, NOW, make_chunk, open_job


def add(database: Database, *symbols: str) -> None:
    stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in symbols])


def test_adding_tells_new_stocks_from_known_ones(database: Database) -> None:
    assert stocks.upsert_stocks(database, [{"symbol": "AAPL"}, {"symbol": "BRK.B"}]) == (2, 0)
    assert stocks.upsert_stocks(database, [{"symbol": "AAPL"}, {"symbol": "MSFT"}, {"symbol": "MSFT"}]) == (1, 1)
    assert stocks.upsert_stocks(database, []) == (0, 0)


def test_adding_again_fills_in_and_never_empties(database: Database) -> None:
    stocks.upsert_stocks(database, [{"symbol": "AAPL", "company_name": "Apple", "market_cap": 3e12}])
    stocks.upsert_stocks(database, [{"symbol": "AAPL", "sector": "Technology"}])

    (apple,) = stocks.list_stocks(database)
    assert (apple["company_name"], apple["sector"], apple["market_cap"]) == ("Apple", "Technology", Decimal(3 * 10**12))


def test_active_stocks_come_largest_first(database: Database) -> None:
    rows = [("TINY", 1e6), ("HUGE", 1e12), ("ZERO", None), ("ALSO", None)]
    stocks.upsert_stocks(database, [{"symbol": symbol, "market_cap": cap} for symbol, cap in rows])

    assert stocks.active_symbols(database) == ["HUGE", "TINY", "ALSO", "ZERO"]


def test_a_stock_taken_out_is_not_synced_and_comes_back_when_added(database: Database) -> None:
    add(database, "AAPL", "MSFT")

    assert stocks.deactivate(database, ["AAPL", "NONE"], NOW) == ["AAPL"]
    assert stocks.active_symbols(database) == ["MSFT"]
    assert [row["symbol"] for row in stocks.list_stocks(database)] == ["AAPL", "MSFT"]
    add(database, "AAPL")
    assert stocks.active_symbols(database) == ["AAPL", "MSFT"]


def test_known_expirations_are_those_still_to_come(database: Database) -> None:
    write_chunk(database, make_chunk(open_job(database, ["AAPL", "MSFT"]), ["AAPL"]))

    def known(day: date) -> dict[str, stocks.KnownExpirations]:
        return stocks.known_expirations(database, ["AAPL", "MSFT"], on_or_after=day)

    assert known(date(2026, 7, 17)) == {"AAPL": stocks.KnownExpirations((date(2026, 7, 17), EXPIRATION), "yahoo")}
    assert known(date(2026, 7, 18)) == {"AAPL": stocks.KnownExpirations((EXPIRATION,), "yahoo")}
    assert known(date(2026, 9, 1)) == {}


def test_stored_quotes_count_the_two_sided_ones(database: Database) -> None:
    write_chunk(database, make_chunk(open_job(database, ["AAPL", "MSFT"]), ["AAPL"], contracts=6))

    assert stocks.stored_quotes(database, ["AAPL", "MSFT"]) == {
        "AAPL": stocks.StoredQuotes(quoted_at=NOW, expirations=(EXPIRATION,), two_sided=5)
    }


def test_a_failure_counts_until_a_later_sync_succeeds(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT"])
    chunk = make_chunk(job_id, ["AAPL", "MSFT"])
    chunk.results[0] |= {"status": "failed", "error_type": "api_timeout"}
    write_chunk(database, chunk)
    assert stocks.symbols_failed_last(database) == ["AAPL"]

    again = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    assert stocks.symbols_failed_last(database) == ["AAPL"]
    again.results[0]["completed_at"] = NOW + timedelta(hours=1)
    write_chunk(database, again)
    assert stocks.symbols_failed_last(database) == []


def stale(database: Database, since: datetime, dtes: tuple[int, ...] = (30,), **choice: bool) -> list[str]:
    return stocks.symbols_stale(database, since=since, target_dtes=dtes, **choice)


def test_a_stock_is_stale_when_never_answered_or_too_long_ago(database: Database) -> None:
    write_chunk(database, make_chunk(open_job(database, ["AAPL", "MSFT"]), ["AAPL"]))

    assert stale(database, NOW) == ["MSFT"]
    assert stale(database, NOW + timedelta(seconds=1)) == ["AAPL", "MSFT"]


def test_a_chain_for_other_days_to_expiration_is_stale(database: Database) -> None:
    write_chunk(database, make_chunk(open_job(database, ["AAPL"], target_dtes=(30, 45)), ["AAPL"]))

    assert stale(database, NOW, (45,)) == []
    assert stale(database, NOW, (30, 60)) == ["AAPL"]


def test_a_failure_keeps_what_was_fresh_fresh_and_makes_nothing_so(database: Database) -> None:
    write_chunk(database, make_chunk(open_job(database, ["AAPL", "MSFT"]), ["AAPL"]))
    failed = make_chunk(open_job(database, ["AAPL", "MSFT"]), ["AAPL", "MSFT"])
    for result in failed.results:
        result |= {"status": "failed", "error_type": "api_timeout", "completed_at": NOW + timedelta(minutes=1)}
    write_chunk(database, failed)

    assert stale(database, NOW) == ["MSFT"]


def test_a_price_without_a_chain_leaves_the_chain_stale(database: Database) -> None:
    prices = make_chunk(open_job(database, ["AAPL"], prices_only=True), ["AAPL"])
    prices.prices_only = True
    write_chunk(database, prices)

    assert stale(database, NOW) == ["AAPL"]
    assert stocks.symbols_with_stale_prices(database, since=NOW) == []
    assert stocks.symbols_with_stale_prices(database, since=NOW + timedelta(seconds=1)) == ["AAPL"]


def test_an_answer_that_there_is_nothing_to_have_is_fresh_as_well(database: Database) -> None:
    chunk = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    chunk.results[0] |= {"status": "skipped", "error_type": "no_options"}
    write_chunk(database, chunk)

    assert stale(database, NOW) == []


def test_only_watched_stocks_are_stale_where_only_they_are_asked_for(database: Database) -> None:
    add(database, "AAPL", "MSFT")
    watchlists.create_watchlist(database, "mine", NOW)
    watchlists.put_on(database, "mine", {"MSFT": "manual"}, NOW)

    assert stale(database, NOW, watched_only=True) == ["MSFT"]
    assert stocks.symbols_with_stale_prices(database, since=NOW, watched_only=True) == ["MSFT"]


def test_stocks_are_asked_by_who_waits_who_watches_volume_and_price(database: Database) -> None:
    symbols = ["REST", "DEAR", "BUSY", "SEEN", "WISH"]
    stocks.upsert_stocks(
        database,
        [{"symbol": symbol, "market_cap": 10.0 ** (12 - place)} for place, symbol in enumerate(symbols)],
    )
    chunk = make_chunk(open_job(database, symbols), symbols)
    chunk.stock_data["current_price"] = [50.0, 50.01, 10.0, 10.0, 10.0]
    chunk.stock_data["volume"] = [1_000_000, 1_000_000, 1_000_001, 0, 0]
    write_chunk(database, chunk)
    watchlists.create_watchlist(database, "mine", NOW)
    watchlists.put_on(database, "mine", {"SEEN": "manual"}, NOW)
    refresh_requests.request_refresh(database, ["WISH"], NOW, None)

    assert stocks.active_symbols(database) == ["WISH", "SEEN", "BUSY", "DEAR", "REST"]
    refresh_requests.claim_requests(database, NOW, 10)
    assert stocks.active_symbols(database) == ["SEEN", "BUSY", "DEAR", "REST", "WISH"]


def test_a_known_good_symbol_is_one_that_the_provider_answered(database: Database) -> None:
    write_chunk(database, make_chunk(open_job(database, ["AAPL", "MSFT"]), ["AAPL", "MSFT"]))

    assert stocks.known_good_symbol(database, "yahoo", but="AAPL") == "MSFT"
    assert stocks.known_good_symbol(database, "yahoo", but="XYZ") == "AAPL"
    assert stocks.known_good_symbol(database, "cboe", but="XYZ") is None
