"""Robinhood's chains over HTTP: what they cost, what is read, and what each odd reply becomes."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from optsync_pipeline.providers.base import (
    BulkQuotes,
    FetchError,
    Foreseeing,
    InvalidReply,
    NoOptions,
    StaleReply,
    UnknownSymbol,
    VendorFault,
)
from optsync_pipeline.providers.robinhood import RobinhoodProvider
from optsync_pipeline_tests.robinhood_talk import (
    AUGUST_14,
    AUGUST_21,
    CONTRACTS,
    INSTRUMENTS,
    LOGIN,
    MARKETDATA,
    NOW,
    QUOTES,
    Robinhood,
    Stock,
    ask,
    chain_path,
    fail,
    provider_of,
    uuid,
)
from optsync_pipeline_tests.stand_in import Hit, Reply, ScriptedMarket, scripted_market

COLD = [QUOTES, INSTRUMENTS, chain_path("AAPL"), CONTRACTS, MARKETDATA]


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def vendor(market: ScriptedMarket) -> Robinhood:
    return Robinhood(market, Stock("AAPL"), Stock("BRK.B"))


@pytest.fixture
def robinhood(vendor: Robinhood, tmp_path: Path) -> Iterator[RobinhoodProvider]:
    provider = provider_of(vendor.market, tmp_path)
    yield provider
    provider.close()


class TestRequests:
    def test_a_cold_symbol_costs_instrument_chain_pages_and_one_for_fifty_contracts(
        self, vendor: Robinhood, robinhood: RobinhoodProvider
    ) -> None:
        reply = ask(robinhood)
        assert vendor.market.paths == [LOGIN, *COLD]
        assert reply.requests == 6

    def test_a_warm_symbol_costs_one_for_fifty_contracts(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        vendor.change("AAPL", strikes=tuple(70.0 + step for step in range(60)))
        ask(robinhood)
        vendor.market.hits.clear()
        assert ask(robinhood).requests == 3
        assert vendor.market.paths == [MARKETDATA] * 3
        assert [len(hit.query["ids"].split(",")) for hit in vendor.market.hits] == [50, 50, 20]

    def test_several_expirations_share_their_requests(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        reply = ask(robinhood, target_dtes=(29, 36))
        assert reply.expirations == (AUGUST_14, AUGUST_21)
        assert len(reply.contracts) == 12
        assert vendor.data_paths == COLD

    def test_pages_are_followed_to_their_end(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        vendor.page_size = 2
        assert len(ask(robinhood).contracts) == 6
        assert vendor.data_paths.count(CONTRACTS) == 3

    def test_class_shares_are_asked_with_a_dot_and_listed_without(
        self, vendor: Robinhood, robinhood: RobinhoodProvider
    ) -> None:
        reply = ask(robinhood, "BRK.B")
        assert reply.contracts[0].contract_symbol == "BRKB260814C00090000"
        asked = {hit.path: hit.query for hit in vendor.market.hits}
        assert (asked[QUOTES]["symbols"], asked[INSTRUMENTS]["symbol"]) == ("BRK.B", "BRK.B")
        assert asked[CONTRACTS]["chain_symbol"] == "BRKB"

    def test_it_offers_bulk_quotes_and_takes_a_forecast(self, robinhood: RobinhoodProvider) -> None:
        assert isinstance(robinhood, BulkQuotes)
        assert isinstance(robinhood, Foreseeing)


class TestReading:
    def test_texts_become_numbers(self, robinhood: RobinhoodProvider) -> None:
        reply = ask(robinhood)
        assert reply.contracts[1] == (
            *("AAPL260814P00090000", AUGUST_14, 90.0, "put", 1.5, 1.7, 1.6, 12, 340, 0.35),
            *(-0.31, 0.02, -0.05, 0.11, -0.03),
        )
        assert (reply.expirations, reply.listed_expirations) == ((AUGUST_14,), (AUGUST_14, AUGUST_21))
        assert (reply.quote.current_price, reply.quote.previous_close) == (100.0, 99.5)

    @pytest.mark.parametrize("junk", [None, "", "abc", "nan", "1e999", True, {}, [], "1_0"])
    def test_what_is_no_number_is_none(self, vendor: Robinhood, robinhood: RobinhoodProvider, junk: Any) -> None:
        names = ["bid_price", "ask_price", "last_trade_price", "volume", "open_interest", "implied_volatility"]
        names += ["delta", "gamma", "theta", "vega", "rho"]
        vendor.change("AAPL", row=lambda row: {**row, **dict.fromkeys(names, junk)})
        assert all(contract[4:] == (None,) * 11 for contract in ask(robinhood).contracts)

    def test_the_reply_is_as_old_as_the_newest_contract(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        assert ask(robinhood).quote.quoted_at == datetime(2026, 7, 16, 15, 29, 30, 123456, tzinfo=UTC)
        vendor.change("AAPL", row=lambda row: {**row, "updated_at": "2026-07-15T20:00:00Z"})
        assert ask(robinhood).quote.quoted_at == datetime(2026, 7, 15, 20, tzinfo=UTC)

    def test_and_as_old_as_the_stocks_quote_where_contracts_have_no_time(
        self, vendor: Robinhood, robinhood: RobinhoodProvider
    ) -> None:
        vendor.change("AAPL", row=lambda row: {**row, "updated_at": None})
        assert ask(robinhood).quote.quoted_at == datetime(2026, 7, 16, 15, 29, 58, tzinfo=UTC)

    def test_a_contract_named_by_its_url_alone_is_read(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        def as_in_2018(row: dict[str, Any]) -> dict[str, Any]:
            return {name: row[name] for name in row if name not in ("instrument_id", "occ_symbol", "updated_at")}

        vendor.change("AAPL", row=as_in_2018)
        assert ask(robinhood).contracts[1].contract_symbol == "AAPL260814P00090000"

    def test_another_root_another_strike_and_a_missing_quote_are_refused_by_name(
        self, vendor: Robinhood, robinhood: RobinhoodProvider
    ) -> None:
        def spoil(row: dict[str, Any]) -> Any:
            name = row["occ_symbol"]
            if name.endswith("C00090000"):
                return {**row, "occ_symbol": name.replace("AAPL  ", "AAPL1 ")}
            if name.endswith("C00095000"):
                return {**row, "occ_symbol": name.replace("C00095000", "C00096000")}
            return None if name.endswith("C00105000") else row

        vendor.change("AAPL", row=spoil)
        reply = ask(robinhood)
        assert len(reply.contracts) == 3
        assert sorted((refused.contract_symbol, refused.rule) for refused in reply.refused) == [
            ("AAPL1260814C00090000", "adjusted_contract"),
            ("AAPL260814C00096000", "strike_mismatch"),
            ("AAPL260814C00105000", "missing_quote"),
        ]

    def test_a_listed_row_without_a_strike_an_id_or_the_right_day_is_refused(
        self, vendor: Robinhood, robinhood: RobinhoodProvider
    ) -> None:
        sound = vendor.stocks["AAPL"].contracts([str(AUGUST_14)])
        odd: list[Any] = [{**sound[0], "id": uuid(f"odd {name}"), name: None} for name in ("strike_price", "type")]
        odd += [{**sound[0], "id": "../x"}, {**sound[0], "id": uuid("late"), "expiration_date": str(AUGUST_21)}, "row"]
        vendor.answer(CONTRACTS, Reply({"results": [*sound, *odd], "next": None}))
        reply = ask(robinhood)
        assert len(reply.contracts) == 6
        assert sorted(refused.rule for refused in reply.refused) == [
            "missing_strike",
            *("unreadable_contract_symbol",) * 3,
            "wrong_expiration",
        ]

    def test_recorded_replies_are_read(self, market_dir: Path, market: ScriptedMarket, tmp_path: Path) -> None:
        yaml = pytest.importorskip("yaml")

        def recorded(name: str) -> Any:
            told = yaml.safe_load((market_dir / "robinhood_recordings" / f"{name}.yaml").read_text())
            return json.loads(told["interactions"][0]["response"]["body"]["string"])

        vendor = Robinhood(market, Stock("TLT", price=120.8))
        chain = recorded("option_chain_fetch")["results"][0]
        vendor.answer(INSTRUMENTS, Reply(recorded("stock_fetch")))
        vendor.answer(f"/options/chains/{chain['id']}/", Reply(chain))
        vendor.answer(CONTRACTS, Reply(recorded("option_fetch")))
        vendor.answer(MARKETDATA, Reply(recorded("option_marketdata")))
        reply = ask(provider_of(market, tmp_path), "TLT", target_dtes=(16,), now=datetime(2018, 7, 25, 15, tzinfo=UTC))
        (contract,) = reply.contracts
        assert contract[:7] == ("TLT180810C00122000", contract.expiration_date, 122.0, "call", 0.10, 0.14, 0.13)
        assert (contract.open_interest, contract.implied_volatility, contract.delta) == (141, 0.089379, 0.114814)


class TestAnswers:
    def test_null_in_place_of_a_quote_is_an_unknown_symbol(self, robinhood: RobinhoodProvider) -> None:
        assert fail(robinhood, UnknownSymbol, "NOPE").requests == 2

    def test_no_instrument_is_an_unknown_symbol(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        vendor.answer(INSTRUMENTS, Reply({"results": [], "next": None}))
        fail(robinhood, UnknownSymbol)
        assert vendor.data_paths == [QUOTES, INSTRUMENTS]

    def test_no_chain_is_no_options(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        vendor.change("AAPL", has_options=False)
        fail(robinhood, NoOptions)
        assert vendor.data_paths == [QUOTES, INSTRUMENTS]

    @pytest.mark.parametrize("chain", [{"symbol": "2AAPL"}, {"can_open_position": False}, {"expiration_dates": []}])
    def test_an_adjusted_or_empty_chain_is_no_options(
        self, vendor: Robinhood, robinhood: RobinhoodProvider, chain: dict[str, Any]
    ) -> None:
        vendor.change("AAPL", chain=chain)
        fail(robinhood, NoOptions)

    @pytest.mark.parametrize("change", [{"has_options": False}, {"expirations": ()}, {"expirations": (AUGUST_21,)}])
    def test_what_robinhood_listed_before_and_does_not_any_more_is_its_fault(
        self, vendor: Robinhood, robinhood: RobinhoodProvider, change: dict[str, Any]
    ) -> None:
        vendor.change("AAPL", **change)
        fail(robinhood, VendorFault, known_expirations=(AUGUST_14,), known_provider="robinhood")

    def test_what_another_vendor_listed_is_no_promise(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        vendor.change("AAPL", expirations=(AUGUST_21,))
        assert ask(robinhood, known_expirations=(AUGUST_14,), known_provider="yahoo").expirations == (AUGUST_21,)

    def test_only_past_expirations_are_stale(self, robinhood: RobinhoodProvider) -> None:
        fail(robinhood, StaleReply, now=datetime(2026, 9, 1, 15, tzinfo=UTC))

    def test_an_expiration_without_contracts_is_a_fault(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        vendor.answer(CONTRACTS, Reply({"results": [], "next": None}))
        fail(robinhood, VendorFault)

    def test_quotes_of_many_contracts_missing_is_a_fault(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        vendor.change("AAPL", row=lambda row: None if row["occ_symbol"].endswith("P00090000") else row)
        assert len(ask(robinhood).contracts) == 5
        vendor.change("AAPL", row=lambda row: None if "00090000" in row["occ_symbol"] else row)
        assert "2 of AAPL's 6 contracts" in str(fail(robinhood, VendorFault))

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda rows: rows[:-1],
            lambda rows: [*rows, rows[0]],
            lambda rows: [*rows[:-1], rows[0]],
            lambda rows: [*rows[:-1], {**rows[-1], "instrument_id": uuid("of another stock")}],
            lambda rows: [*rows[:-1], "row"],
        ],
    )
    def test_quotes_that_do_not_fit_the_question_are_invalid(
        self, vendor: Robinhood, robinhood: RobinhoodProvider, spoil: Any
    ) -> None:
        stock = vendor.stocks["AAPL"]
        rows = [stock.quoted(row) for row in stock.contracts([str(AUGUST_14)])]
        vendor.answer(MARKETDATA, Reply({"results": spoil(rows), "next": None}))
        fail(robinhood, InvalidReply)

    @pytest.mark.parametrize("field", ["last_trade_price", "updated_at"])
    def test_a_quote_without_price_or_time_is_invalid(
        self, vendor: Robinhood, robinhood: RobinhoodProvider, field: str
    ) -> None:
        quote = {"symbol": "AAPL", "last_trade_price": "100.0", "updated_at": "2026-07-16T15:29:58Z", field: None}
        vendor.answer(QUOTES, Reply({"results": [quote]}))
        fail(robinhood, InvalidReply)

    def test_another_stocks_instrument_is_invalid(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        other = {"id": uuid("AAPB"), "symbol": "AAPB", "tradable_chain_id": uuid("chain AAPB")}
        vendor.answer(INSTRUMENTS, Reply({"results": [other], "next": None}))
        fail(robinhood, InvalidReply)


class TestKeptIds:
    def test_they_are_asked_for_again_when_they_are_old(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        ask(robinhood)
        vendor.market.hits.clear()
        ask(robinhood, now=NOW + timedelta(days=9))
        assert vendor.market.paths == [chain_path("AAPL"), CONTRACTS, MARKETDATA]

    def test_and_when_the_price_has_left_their_strikes(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        vendor.change("AAPL", price=150.0)
        ask(robinhood)
        vendor.market.hits.clear()
        ask(robinhood)
        assert vendor.market.paths == [MARKETDATA]
        ask(robinhood, now=NOW + timedelta(days=1))
        assert vendor.market.paths == [MARKETDATA, CONTRACTS, MARKETDATA]

    def test_a_newly_chosen_expiration_alone_is_listed(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        ask(robinhood)
        vendor.market.hits.clear()
        assert ask(robinhood, target_dtes=(36,)).expirations == (AUGUST_21,)
        assert vendor.market.paths == [CONTRACTS, MARKETDATA]

    @pytest.mark.parametrize(
        "gone",
        [
            pytest.param(lambda rows: Reply({"detail": "Not found."}, 404), id="404"),
            pytest.param(lambda rows: Reply({"detail": "bad ids"}, 400), id="400"),
            pytest.param(lambda rows: Reply({"results": rows[:-1], "next": None}), id="a row left out"),
            pytest.param(lambda rows: Reply({"results": [None] * len(rows), "next": None}), id="null for each"),
        ],
    )
    def test_ids_that_robinhood_does_not_know_any_more_are_listed_anew_at_once(
        self, vendor: Robinhood, robinhood: RobinhoodProvider, gone: Callable[[list[Any]], Reply]
    ) -> None:
        ask(robinhood)
        stock, answer = vendor.stocks["AAPL"], vendor._marketdata
        replies = [gone([stock.quoted(row) for row in stock.contracts([str(AUGUST_14)])])]
        vendor.answer(MARKETDATA, lambda hit: replies.pop() if replies else answer(hit))
        vendor.market.hits.clear()
        assert ask(robinhood).requests == 5
        assert vendor.market.paths == [MARKETDATA, *COLD[1:]]
        vendor.market.hits.clear()
        ask(robinhood)
        assert vendor.market.paths == [MARKETDATA]

    def test_new_ids_that_do_not_work_either_are_its_fault(
        self, vendor: Robinhood, robinhood: RobinhoodProvider
    ) -> None:
        ask(robinhood)
        vendor.answer(MARKETDATA, Reply({"detail": "Not found."}, 404))
        vendor.market.hits.clear()
        assert fail(robinhood, VendorFault).requests == 5
        assert vendor.market.paths == [MARKETDATA, *COLD[1:]]

    @pytest.mark.parametrize("outage", [Reply("<html>", 503), Reply("<html>"), Reply("", 429), Reply({}, 403)])
    def test_an_outage_costs_no_ids(self, vendor: Robinhood, robinhood: RobinhoodProvider, outage: Reply) -> None:
        ask(robinhood)
        answer = vendor._marketdata
        vendor.answer(MARKETDATA, outage)
        fail(robinhood, FetchError)
        vendor.answer(MARKETDATA, answer)
        vendor.market.hits.clear()
        ask(robinhood)
        assert vendor.market.paths == [MARKETDATA]

    def test_a_chain_that_became_adjusted_is_looked_up_anew(
        self, vendor: Robinhood, robinhood: RobinhoodProvider
    ) -> None:
        ask(robinhood)
        vendor.change("AAPL", chain={"symbol": "1AAPL"})
        vendor.market.hits.clear()
        fail(robinhood, NoOptions, now=NOW + timedelta(days=9))
        assert vendor.market.paths == [chain_path("AAPL"), INSTRUMENTS, chain_path("AAPL")]

    def test_a_chain_that_is_gone_is_a_fault_once(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        ask(robinhood)

        def moved(hit: Hit) -> Reply:
            return Reply({"detail": "Not found."}, 404)

        vendor.answer(chain_path("AAPL"), moved)
        fail(robinhood, VendorFault, now=NOW + timedelta(days=9))
        vendor.market.hits.clear()
        fail(robinhood, VendorFault, now=NOW + timedelta(days=9))
        assert vendor.market.paths == [INSTRUMENTS, chain_path("AAPL")]
