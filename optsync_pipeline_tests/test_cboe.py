"""Cboe's delayed quotes over HTTP: what is read from a file, and what each odd reply becomes."""

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from optsync_pipeline.providers.base import (
    ApiTimeout,
    ChainReply,
    ChainRequest,
    FetchError,
    InvalidReply,
    NetworkError,
    NoOptions,
    RateLimited,
    StaleReply,
    UnknownSymbol,
    VendorFault,
)
from optsync_pipeline.providers.cboe import CboeProvider
from optsync_pipeline_tests.stand_in import (
    FILE_PATH,
    Reply,
    ScriptedMarket,
    cboe_file,
    cboe_row,
    scripted_market,
)

NOW = datetime(2026, 7, 16, 15, 36, tzinfo=UTC)
AUGUST_14, AUGUST_21 = date(2026, 8, 14), date(2026, 8, 21)
PUT = cboe_row("AAPL", AUGUST_14, "put", 95.0)
FILE = cboe_file("AAPL", [PUT, cboe_row("AAPL", AUGUST_21, "put", 95.0)])


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def cboe(market: ScriptedMarket) -> Iterator[CboeProvider]:
    provider = CboeProvider(stand_in_url=market.cboe_url)
    yield provider
    provider.close()


def ask(
    cboe: CboeProvider,
    symbol: str = "AAPL",
    known: tuple[date, ...] = (),
    now: datetime = NOW,
    known_provider: str | None = "cboe",
) -> ChainReply:
    return cboe.fetch_chain(ChainRequest(symbol, (30,), now, known, known_provider))


def test_a_reply_costs_one_request_and_holds_the_chosen_expiration_alone(
    market: ScriptedMarket, cboe: CboeProvider
) -> None:
    market.cboe("AAPL", Reply(FILE))
    reply = ask(cboe)
    assert reply.requests == len(market.hits) == 1
    assert reply.expirations == (AUGUST_14,)
    assert reply.listed_expirations == (AUGUST_14, AUGUST_21)
    assert reply.contracts == [
        (
            *("AAPL260814P00095000", AUGUST_14, 95.0, "put", 1.5, 1.7, 1.6, 12, 340, 0.35),
            *(-0.31, 0.02, -0.05, 0.11, -0.03),
        )
    ]


def test_the_request_looks_like_a_browsers_and_class_shares_keep_their_dot(
    market: ScriptedMarket, cboe: CboeProvider
) -> None:
    market.cboe("BRK.B", Reply(cboe_file("BRK.B", [cboe_row("BRKB", AUGUST_14, "put", 480.0)])))
    assert ask(cboe, "BRK.B").contracts[0].contract_symbol == "BRKB260814P00480000"
    assert market.hits[0].path == FILE_PATH + "BRK.B.json"
    assert "Mozilla" in market.hits[0].headers["user-agent"]


def test_quote_time_is_new_yorks_and_prices_of_zero_are_none(market: ScriptedMarket, cboe: CboeProvider) -> None:
    stock = {"open": 0.0, "high": 101.0, "low": 0, "prev_day_close": 98.5, "volume": 5e7, "close": 0.0}
    market.cboe("AAPL", Reply(cboe_file("AAPL", [PUT], **stock)))
    quoted_at = datetime(2026, 7, 16, 15, 20, tzinfo=UTC)
    assert ask(cboe).quote == (100.0, quoted_at, 98.5, None, 101.0, None, 50_000_000, None, None)


def test_winter_time_is_five_hours_behind(market: ScriptedMarket, cboe: CboeProvider) -> None:
    market.cboe("AAPL", Reply(cboe_file("AAPL", [PUT], last_trade_time="2026-01-16 16:00:00")))
    assert ask(cboe).quote.quoted_at == datetime(2026, 1, 16, 21, tzinfo=UTC)


def test_implied_volatility_of_zero_is_kept_as_quoted(market: ScriptedMarket, cboe: CboeProvider) -> None:
    market.cboe("AAPL", Reply(cboe_file("AAPL", [cboe_row("AAPL", AUGUST_14, "put", 95.0, iv=0.0)])))
    contract = ask(cboe).contracts[0]
    assert (contract.implied_volatility, contract.delta) == (0.0, -0.31)


@pytest.mark.parametrize("junk", [None, "12", True, float("nan"), float("-inf"), {}, []])
def test_number_that_is_none_becomes_none(market: ScriptedMarket, cboe: CboeProvider, junk: Any) -> None:
    names = ("bid", "ask", "iv", "open_interest", "volume", "delta", "gamma", "theta", "vega", "rho")
    row = cboe_row("AAPL", AUGUST_14, "put", 95.0, **dict.fromkeys((*names, "last_trade_price"), junk))
    market.cboe("AAPL", Reply(cboe_file("AAPL", [row])))
    assert ask(cboe).contracts[0][4:] == (None,) * 11


def test_rows_are_refused_by_name_and_other_roots_list_nothing(market: ScriptedMarket, cboe: CboeProvider) -> None:
    rows = [
        PUT,
        PUT,
        cboe_row("AAPL1", AUGUST_14, "put", 95.0),
        cboe_row("AAPL1", date(2026, 8, 15), "put", 95.0),
        {"option": "oops", "bid": 1},
        {"option": "AAPL260814P", "bid": 1},
        {"option": "AAPL260821P", "bid": 1},
        {"bid": 1},
        None,
    ]
    market.cboe("AAPL", Reply(cboe_file("AAPL", rows)))
    reply = ask(cboe)
    assert reply.listed_expirations == (AUGUST_14,)
    assert [(refused.contract_symbol, refused.rule) for refused in reply.refused] == [
        ("AAPL260814P00095000 #1", "duplicate_contract"),
        ("AAPL1260814P00095000", "adjusted_contract"),
        ("oops", "unreadable_contract_symbol"),
        ("AAPL260814P", "unreadable_contract_symbol"),
        ("missing #5", "unreadable_contract_symbol"),
        ("missing #6", "unreadable_contract_symbol"),
    ]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply("<Error><Code>AccessDenied</Code></Error>", 403), UnknownSymbol),
        (Reply("<Error/>", 404), UnknownSymbol),
        (Reply("", 429), RateLimited),
        (Reply("", 500), VendorFault),
        (Reply("", 503), VendorFault),
        (Reply("", 302, {"Location": "https://www.cboe.com/"}), InvalidReply),
        (Reply("<html>"), InvalidReply),
        (Reply(json.dumps(FILE)[:-40]), InvalidReply),
        (Reply(FILE, cut_off=True), NetworkError),
        (Reply({"data": None}), InvalidReply),
        (Reply({"data": {"current_price": 100.0}}), InvalidReply),
        (Reply(cboe_file("AAPL", [PUT], current_price=None)), InvalidReply),
        (Reply(cboe_file("AAPL", [PUT], current_price=0)), InvalidReply),
        (Reply(cboe_file("AAPL", [PUT], last_trade_time=None)), InvalidReply),
        (Reply(cboe_file("AAPL", [PUT], last_trade_time="yesterday")), InvalidReply),
        (Reply(cboe_file("MSFT", [PUT])), InvalidReply),
        (Reply(cboe_file("AAPL", [], last_trade_time=None)), NoOptions),
        (Reply(cboe_file("AAPL", [cboe_row("NGD", AUGUST_14, "put", 5.0)])), NoOptions),
        (Reply(cboe_file("AAPL", [cboe_row("AAPL", date(2026, 7, 10), "put", 95.0)])), StaleReply),
    ],
)
def test_reply_becomes_its_error(
    market: ScriptedMarket, cboe: CboeProvider, reply: Reply, error: type[FetchError]
) -> None:
    market.cboe("AAPL", reply)
    with pytest.raises(error) as caught:
        ask(cboe)
    assert type(caught.value) is error
    assert caught.value.requests == len(market.hits) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"Retry-After": "12"}, 12),
        ({"Retry-After": "Thu, 16 Jul 2026 15:31:30 GMT", "Date": "Thu, 16 Jul 2026 15:30:00 GMT"}, 90),
        ({"Retry-After": "Thu, 16 Jul 2026 15:29:00 GMT", "Date": "Thu, 16 Jul 2026 15:30:00 GMT"}, 0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date(
    market: ScriptedMarket, cboe: CboeProvider, header: dict[str, str], seconds: float | None
) -> None:
    market.cboe("AAPL", Reply("", 429, header))
    with pytest.raises(RateLimited) as caught:
        ask(cboe)
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize("rows", [[], [cboe_row("AAPL", AUGUST_21, "put", 95.0)]])
def test_list_that_lost_the_known_expiration_is_a_fault_of_cboe(
    market: ScriptedMarket, cboe: CboeProvider, rows: list[Any]
) -> None:
    market.cboe("AAPL", Reply(cboe_file("AAPL", rows)))
    with pytest.raises(VendorFault):
        ask(cboe, known=(AUGUST_14, AUGUST_21))


def test_an_expiration_that_another_vendor_listed_may_be_missing(market: ScriptedMarket, cboe: CboeProvider) -> None:
    market.cboe("AAPL", Reply(cboe_file("AAPL", [cboe_row("AAPL", AUGUST_21, "put", 95.0)])))
    assert ask(cboe, known=(AUGUST_14,), known_provider="yahoo").expirations == (AUGUST_21,)


def test_no_options_where_another_vendor_listed_some_is_an_answer(market: ScriptedMarket, cboe: CboeProvider) -> None:
    market.cboe("AAPL", Reply(cboe_file("AAPL", [])))
    with pytest.raises(NoOptions):
        ask(cboe, known=(AUGUST_14,), known_provider="polygon")


@pytest.mark.parametrize("reply", [Reply(FILE, delay_seconds=1.0), Reply(FILE, drip=True)])
def test_silence_and_dripping_are_timeouts(market: ScriptedMarket, reply: Reply) -> None:
    market.cboe("AAPL", reply)
    with pytest.raises(ApiTimeout):
        ask(CboeProvider(stand_in_url=market.cboe_url, timeout=(0.2, 0.3)))


def test_nobody_listening_is_a_network_error() -> None:
    with scripted_market() as gone:
        url = gone.cboe_url
    with pytest.raises(NetworkError, match="Connection refused"):
        ask(CboeProvider(stand_in_url=url))


def test_compressed_file_is_read(market: ScriptedMarket, cboe: CboeProvider) -> None:
    market.cboe("AAPL", Reply(gzip.compress(json.dumps(FILE).encode()), headers={"Content-Encoding": "gzip"}))
    assert ask(cboe).contracts


def test_connections_are_kept_and_thirty_two_threads_get_each_their_reply(
    market: ScriptedMarket, cboe: CboeProvider
) -> None:
    market.cboe("AAPL", Reply(FILE))
    with ThreadPoolExecutor(32) as pool:
        replies = list(pool.map(lambda _: ask(cboe), range(96)))
    assert [reply.requests for reply in replies] == [1] * 96


def test_recorded_file_of_rut_is_read_by_root(market: ScriptedMarket, cboe: CboeProvider, market_dir: Path) -> None:
    body = gzip.decompress((market_dir / "cboe_recordings" / "RUT_2023-09-20.json.gz").read_bytes())
    market.cboe("RUT", Reply(body))
    rows = json.loads(body)["data"]["options"]
    reply = ask(cboe, "RUT", now=datetime(2023, 9, 20, 21, tzinfo=UTC))
    assert reply.expirations == (date(2023, 10, 20),)
    assert reply.quote.quoted_at == datetime(2023, 9, 20, 20, 15, 4, tzinfo=UTC)
    assert reply.quote.current_price == 1806.1193
    standard = [row for row in rows if row["option"].startswith("RUT231020")]
    assert len(reply.contracts) == len(standard)
    assert {refused.rule for refused in reply.refused} <= {"adjusted_contract"}
    assert len(reply.refused) == sum(row["option"].startswith("RUTW231020") for row in rows)


@pytest.mark.parametrize(("open_interest", "read"), [(12.0, 12), (1.5, None), ("7", None)])
def test_a_count_that_is_no_whole_number_is_not_made_one(
    market: ScriptedMarket, cboe: CboeProvider, open_interest: Any, read: int | None
) -> None:
    row = cboe_row("AAPL", AUGUST_14, "put", 95.0, open_interest=open_interest)
    market.cboe("AAPL", Reply(cboe_file("AAPL", [row])))
    assert ask(cboe).contracts[0].open_interest == read
