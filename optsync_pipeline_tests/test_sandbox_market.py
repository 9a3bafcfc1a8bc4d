"""The invented and the recorded market, without HTTP."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optsync_pipeline.options import black_scholes
from optsync_pipeline.sandbox.market import InventedMarket
from optsync_pipeline.sandbox.model import RATE, Chain
from optsync_pipeline.sandbox.recorded import RecordedMarket, RecordingError
from optsync_pipeline.sandbox.sessions import market_state, quote_time, session_book
from optsync_pipeline.sandbox.truth import symbols_csv
from optsync_pipeline.symbols import normalise_symbol

IN_SESSION = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)  # Tuesday, 11:00 in New York
THANKSGIVING = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def market() -> InventedMarket:
    return InventedMarket(symbols=60, seed=3)


@pytest.fixture(scope="module")
def recorded(market_dir: Path) -> RecordedMarket:
    return RecordedMarket(market_dir, date(2026, 7, 16))


def same(one: Chain, other: Chain) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        if isinstance(getattr(one, name), np.ndarray)
        else getattr(one, name) == getattr(other, name)
        for name in Chain.__dataclass_fields__
    )


def test_the_same_seed_gives_the_same_market_in_whatever_order_it_is_asked(market: InventedMarket) -> None:
    again = InventedMarket(symbols=60, seed=3)
    for symbol in reversed(again.symbols):
        for expiration in reversed(again.expirations(symbol, IN_SESSION)[:2]):
            assert same(again.chain(symbol, expiration, IN_SESSION), market.chain(symbol, expiration, IN_SESSION))
        assert again.stock(symbol, IN_SESSION) == market.stock(symbol, IN_SESSION)


def test_another_seed_gives_another_market(market: InventedMarket) -> None:
    other = InventedMarket(symbols=60, seed=4)
    assert other.stock("AAPL", IN_SESSION).price != market.stock("AAPL", IN_SESSION).price
    assert other.symbols != market.symbols


def test_a_larger_market_begins_with_the_smaller_one(market: InventedMarket) -> None:
    larger = InventedMarket(symbols=90, seed=3)
    assert larger.symbols[:60] == market.symbols
    assert larger.stock("KO", IN_SESSION) == market.stock("KO", IN_SESSION)


def test_symbols_are_distinct_us_tickers_with_a_class_share_among_them() -> None:
    symbols = InventedMarket(symbols=12_000).symbols
    assert len(set(symbols)) == 12_000
    assert "BRK.B" in symbols
    assert all(normalise_symbol(symbol) == symbol for symbol in symbols)
    assert all(len(symbol.replace(".", "")) <= 5 and symbol.replace(".", "").isalpha() for symbol in symbols)


def test_figures_stay_for_a_session_while_the_quote_time_moves(market: InventedMarket) -> None:
    later = IN_SESSION + timedelta(hours=2)
    expiration = market.expirations("AAPL", IN_SESSION)[3]
    assert same(market.chain("AAPL", expiration, later), market.chain("AAPL", expiration, IN_SESSION))
    assert market.stock("AAPL", later)._replace(quoted_at=IN_SESSION) == market.stock("AAPL", IN_SESSION)
    assert market.stock("AAPL", later).quoted_at == later


def test_prices_differ_from_session_to_session_and_the_strikes_stay(market: InventedMarket) -> None:
    tomorrow = IN_SESSION + timedelta(days=1)
    expiration = market.expirations("AAPL", IN_SESSION)[3]
    today, then = (market.chain("AAPL", expiration, now) for now in (IN_SESSION, tomorrow))
    assert today.contract_symbols == then.contract_symbols
    assert not np.array_equal(today.bid, then.bid)
    assert market.stock("AAPL", tomorrow).previous_close == market.stock("AAPL", IN_SESSION).price


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (IN_SESSION, IN_SESSION),
        (datetime(2026, 11, 24, 23, 0, tzinfo=UTC), datetime(2026, 11, 24, 21, 0, tzinfo=UTC)),
        (datetime(2026, 11, 24, 12, 0, tzinfo=UTC), datetime(2026, 11, 23, 21, 0, tzinfo=UTC)),
        (THANKSGIVING, datetime(2026, 11, 25, 21, 0, tzinfo=UTC)),
        (datetime(2026, 11, 29, 18, 0, tzinfo=UTC), datetime(2026, 11, 27, 18, 0, tzinfo=UTC)),
    ],
    ids=["in session", "evening", "before the open", "holiday", "weekend after an early close"],
)
def test_a_quote_is_of_the_latest_session_that_has_begun(
    market: InventedMarket, now: datetime, expected: datetime
) -> None:
    quoted_at = market.stock("AAPL", now).quoted_at
    assert quoted_at == quote_time(now) == expected
    assert session_book(now).latest(now).opens_at <= quoted_at <= now


def test_market_states_are_yahoos_words_for_the_hour() -> None:
    hours = {8: "PREPRE", 10: "PRE", 16: "REGULAR", 22: "POST"}
    assert {hour: market_state(IN_SESSION.replace(hour=hour)) for hour in hours} == hours
    assert market_state(datetime(2026, 11, 25, 2, 0, tzinfo=UTC)) == "POSTPOST"
    assert market_state(THANKSGIVING) == "CLOSED"


def test_expirations_fall_on_trading_days_and_on_thursday_where_friday_is_closed(market: InventedMarket) -> None:
    book = session_book(IN_SESSION)
    listed = {symbol: market.expirations(symbol, IN_SESSION) for symbol in market.symbols}
    assert all(book.on(day) for days in listed.values() for day in days)
    assert date(2026, 12, 24) in listed["AAPL"]
    good_friday_month = datetime(2027, 6, 1, 15, 0, tzinfo=UTC)
    assert date(2027, 6, 17) in market.expirations("AAPL", good_friday_month)


def test_some_symbols_have_weeklies_and_others_only_monthlies() -> None:
    market = InventedMarket(symbols=400)
    next_week = date(2026, 12, 4)
    with_weeklies = sum(next_week in market.expirations(symbol, IN_SESSION) for symbol in market.symbols)
    assert 100 < with_weeklies < 390
    assert all(date(2026, 12, 18) in market.expirations(symbol, IN_SESSION) for symbol in market.symbols)


def test_contracts_are_priced_by_black_scholes_between_bid_and_ask(market: InventedMarket) -> None:
    stock = market.stock("KO", IN_SESSION)
    expiration = date(2026, 12, 18)
    chain = market.chain("KO", expiration, IN_SESSION)
    years = (expiration - date(2026, 11, 24)).days / 365
    model = (stock.price or 0, chain.strike, years, RATE, stock.dividend_yield or 0, chain.sigma)
    assert chain.theo == pytest.approx(black_scholes.price(chain.is_put, *model), abs=1e-4)
    assert chain.delta == pytest.approx(black_scholes.delta(chain.is_put, *model), abs=1e-4)
    assert (chain.bid <= chain.theo + 1e-4).all()
    assert (chain.theo <= chain.ask + 1e-4).all()
    assert (chain.bid < chain.ask).all()


def test_far_strikes_have_no_bid_and_near_ones_a_sellable_quote(market: InventedMarket) -> None:
    chains = [market.chain(symbol, date(2026, 12, 18), IN_SESSION) for symbol in market.symbols]
    no_bid = np.concatenate([chain.bid == 0 for chain in chains])
    distance = np.concatenate([np.abs(chain.delta) for chain in chains])
    assert 0.05 < no_bid.mean() < 0.4
    assert no_bid[distance < 0.001].mean() > 0.8
    assert not no_bid[(distance > 0.25) & (distance < 0.75)].any()


def test_yahoo_has_solver_leftovers_for_what_has_no_bid(market: InventedMarket) -> None:
    chain = market.chain("AAPL", date(2026, 12, 18), IN_SESSION)
    leftovers = np.isin(chain.yahoo_iv, [0.00001, 0.500005, 0.250008, 0.125009, 0.0625])
    assert leftovers[chain.bid == 0].all()
    assert leftovers[chain.bid > 0].mean() < 0.1


def test_the_symbols_csv_has_the_columns_of_a_nasdaq_screener(market: InventedMarket) -> None:
    rows = list(csv.DictReader(io.StringIO(symbols_csv(market, IN_SESSION))))
    columns = "symbol,exchange,name,sector,industry,country,market_cap,last_sale,volume"
    assert ",".join(rows[0]) == columns
    assert [row["symbol"] for row in rows].count("BRK/B") == 1
    caps = [float(row["market_cap"]) for row in rows]
    assert caps == sorted(caps, reverse=True)
    assert all("sandbox" in row["name"] for row in rows)


def test_a_recorded_market_moves_by_whole_weeks_to_today(recorded: RecordedMarket) -> None:
    assert recorded.shift(IN_SESSION) == timedelta(weeks=18)
    assert len(recorded.symbols) == 335
    assert "BRK.B" in recorded.symbols
    expirations = recorded.expirations("AAPL", IN_SESSION)
    assert expirations[0] == date(2026, 11, 25)
    assert date(2026, 12, 25) in expirations
    assert recorded.expirations("AAPL", datetime(2026, 7, 16, 15, 30, tzinfo=UTC))[0] == date(2026, 7, 17)


def test_recorded_contracts_keep_their_figures_and_move_their_dates(recorded: RecordedMarket, market_dir: Path) -> None:
    rows = pd.read_parquet(market_dir / "option_chains_2026-07-16.parquet")
    rows = rows[(rows["symbol"] == "CDE") & (rows["expiration"].astype(str) == "2026-08-21")]
    chain = recorded.chain("CDE", date(2026, 12, 25), IN_SESSION)
    expected = {name.replace("260821", "261225") for name in rows["contract_symbol"]}
    assert set(chain.contract_symbols) == expected
    served = dict(zip(chain.contract_symbols, chain.bid.tolist(), strict=True))
    moved = rows["contract_symbol"].str.replace("260821", "261225")
    assert served == pytest.approx(dict(zip(moved, rows["bid"], strict=True)), nan_ok=True)


def test_adjusted_contracts_of_a_recording_keep_their_root(recorded: RecordedMarket) -> None:
    days = recorded.expirations("CDE", IN_SESSION)
    names = [name for day in days for name in recorded.chain("CDE", day, IN_SESSION).contract_symbols]
    assert any(name.startswith("NGD26") for name in names)


@pytest.mark.parametrize("now", [IN_SESSION, THANKSGIVING, datetime(2026, 11, 24, 14, 31, tzinfo=UTC)])
def test_a_recorded_quote_is_fresh_at_any_hour_and_never_of_the_future(recorded: RecordedMarket, now: datetime) -> None:
    opened = session_book(now).latest(now).opens_at
    assert all(opened <= recorded.stock(symbol, now).quoted_at <= now for symbol in recorded.symbols)


def test_a_recorded_quote_keeps_its_time_of_day(recorded: RecordedMarket) -> None:
    quoted_at = recorded.stock("AAPL", datetime(2026, 11, 24, 23, 0, tzinfo=UTC)).quoted_at
    assert quoted_at.replace(microsecond=0) == datetime(2026, 11, 24, 16, 16, 58, tzinfo=UTC)


def test_what_a_recording_lacks_is_lacking(recorded: RecordedMarket) -> None:
    assert recorded.stock("CPRX", IN_SESSION).price is None
    assert recorded.expirations("RDVY", IN_SESSION) == ()
    assert recorded.stock("RDVY", IN_SESSION).price == 80.5


def test_a_folder_without_a_recording_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no recording"):
        RecordedMarket(tmp_path)
    pd.DataFrame({"symbol": ["A"]}).to_parquet(tmp_path / "option_chains_2026-01-02.parquet")
    (tmp_path / "stocks_2026-01-02.csv").write_text("symbol,underlying_price,quoted_at\n")
    with pytest.raises(RecordingError, match="lacks the columns contract_symbol"):
        RecordedMarket(tmp_path)
