"""Robinhood's ids in PostgreSQL: kept, replaced, forgotten; and a new process that asks by them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from optsync_pipeline.providers.robinhood_ids import ContractIds, IdsInMemory, ListedChain, ListedContract
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.robinhood_ids import StoredRobinhoodIds
from optsync_pipeline.storage.stocks import upsert_stocks
from optsync_pipeline_tests.robinhood_talk import AUGUST_14, AUGUST_21, MARKETDATA, QUOTES, Robinhood, Stock, ask
from optsync_pipeline_tests.robinhood_talk import provider_of as provider_on
from optsync_pipeline_tests.stand_in import scripted_market

LISTED_AT = datetime(2026, 7, 16, 15, 30, tzinfo=UTC)
CHAIN = ListedChain("instrument", "chain", "AAPL", (AUGUST_14, AUGUST_21), LISTED_AT)


def contract(contract_id: str, expiration: date = AUGUST_14, strike: float = 95.0) -> ListedContract:
    return ListedContract(contract_id, expiration, strike, "put", LISTED_AT)


@pytest.fixture
def stored(database: Database) -> Database:
    upsert_stocks(database, [{"symbol": "AAPL"}, {"symbol": "MSFT"}])
    return database


@pytest.fixture(params=["in memory", "stored"])
def ids(request: pytest.FixtureRequest) -> Iterator[ContractIds]:
    if request.param == "in memory":
        yield IdsInMemory()
    else:
        yield StoredRobinhoodIds(request.getfixturevalue("stored"))


def test_what_was_never_listed_is_none(ids: ContractIds) -> None:
    assert ids.read_chain("AAPL") is None
    assert ids.read_contracts("AAPL", (AUGUST_14,)) == []


def test_a_chain_is_read_as_it_was_written_and_replaced_by_the_next(ids: ContractIds) -> None:
    ids.write_chain("AAPL", CHAIN)
    assert ids.read_chain("AAPL") == CHAIN
    moved = CHAIN._replace(chain_id="other", expirations=(), listed_at=LISTED_AT + timedelta(days=1))
    ids.write_chain("AAPL", moved)
    assert ids.read_chain("AAPL") == moved


def test_contracts_are_read_by_expiration(ids: ContractIds) -> None:
    ids.write_contracts("AAPL", (AUGUST_14, AUGUST_21), [contract("a"), contract("b", AUGUST_21)])
    assert ids.read_contracts("AAPL", (AUGUST_14,)) == [contract("a")]
    assert ids.read_contracts("AAPL", (AUGUST_14, AUGUST_21)) == [contract("a"), contract("b", AUGUST_21)]
    assert ids.read_contracts("MSFT", (AUGUST_14,)) == []


def test_a_new_list_replaces_that_of_its_expirations_alone(ids: ContractIds) -> None:
    ids.write_contracts("AAPL", (AUGUST_14, AUGUST_21), [contract("a"), contract("b", AUGUST_21)])
    ids.write_contracts("AAPL", (AUGUST_14,), [contract("c", strike=100.0)])
    assert ids.read_contracts("AAPL", (AUGUST_14,)) == [contract("c", strike=100.0)]
    assert ids.read_contracts("AAPL", (AUGUST_21,)) == [contract("b", AUGUST_21)]


def test_a_forgotten_stock_has_neither_chain_nor_contracts_and_others_keep_theirs(ids: ContractIds) -> None:
    for symbol in ("AAPL", "MSFT"):
        ids.write_chain(symbol, CHAIN)
        ids.write_contracts(symbol, (AUGUST_14,), [contract(f"{symbol} a")])
    ids.forget("AAPL")
    assert (ids.read_chain("AAPL"), ids.read_contracts("AAPL", (AUGUST_14,))) == (None, [])
    assert (ids.read_chain("MSFT"), len(ids.read_contracts("MSFT", (AUGUST_14,)))) == (CHAIN, 1)


def test_nothing_is_stored_of_a_symbol_that_is_no_stock_of_ours(stored: Database) -> None:
    ids = StoredRobinhoodIds(stored)
    ids.write_chain("NOPE", CHAIN)
    ids.write_contracts("NOPE", (AUGUST_14,), [contract("a")])
    assert (ids.read_chain("NOPE"), ids.read_contracts("NOPE", (AUGUST_14,))) == (None, [])


def test_contracts_that_expired_are_dropped_with_the_next_list(stored: Database) -> None:
    ids = StoredRobinhoodIds(stored)
    long_ago, ahead = date(2020, 1, 17), date(2099, 1, 16)
    ids.write_contracts("AAPL", (long_ago,), [contract("old", long_ago)])
    ids.write_contracts("AAPL", (ahead,), [contract("new", ahead)])
    assert ids.read_contracts("AAPL", (long_ago, ahead)) == [contract("new", ahead)]


def test_two_that_list_the_same_at_once_both_end_well(stored: Database) -> None:
    one, other = StoredRobinhoodIds(stored), StoredRobinhoodIds(stored)
    rows = [contract(f"{place:03}", strike=float(place + 1)) for place in range(200)]
    one.write_contracts("AAPL", (AUGUST_14,), rows)
    other.write_contracts("AAPL", (AUGUST_14,), reversed(rows))
    assert len(one.read_contracts("AAPL", (AUGUST_14,))) == 200


def test_a_new_process_asks_by_the_ids_of_the_one_before(stored: Database, tmp_path: Path) -> None:
    with scripted_market() as market:
        Robinhood(market, Stock("AAPL"))
        first = ask(provider_on(market, tmp_path, StoredRobinhoodIds(stored)))
        market.hits.clear()
        second = ask(provider_on(market, tmp_path, StoredRobinhoodIds(stored)))
        assert market.paths == [QUOTES, MARKETDATA]
    assert sorted(first.contracts) == sorted(second.contracts)
