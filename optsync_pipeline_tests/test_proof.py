"""Whether "no such symbol" is believed, and for how long it is remembered, on a real PostgreSQL."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from optsync_pipeline.providers.base import ChainReply, ChainRequest, FetchError, NoOptions, UnknownSymbol
from optsync_pipeline.providers.transport import METER
from optsync_pipeline.settings import Settings, load_settings
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.sync.engine import SyncEngine
from optsync_pipeline_tests.limits import UNLIMITED
from optsync_pipeline_tests.recovery import run_sync
from optsync_pipeline_tests.scripted_vendor import OPEN_MARKET, ScriptedVendor, lists_nothing

SYMBOLS = [f"S{number}" for number in range(30)]


class BlockingVendor(ScriptedVendor):
    """Answers so many questions, then refuses every one as if it knew no symbol; None: never."""

    def __init__(self, name: str = "yahoo", answers: int | None = None) -> None:
        super().__init__()
        self.name = name
        self.answers = answers

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        with METER.request():  # so that no more calls than the setting allows are under way
            if self.answers is not None and self.asked.total() >= self.answers:
                self.asked[request.symbol] += 1
                raise UnknownSymbol(f"{self.name} answered {request.symbol} with status 403")
            return super().fetch_chain(request)


@pytest.fixture
def settings() -> Settings:
    return load_settings(env_file=None, providers="yahoo", chunk_symbols=10, max_concurrent_fetches=4, **UNLIMITED)


@pytest.fixture
def listed(database: Database) -> list[str]:
    stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in SYMBOLS])
    return SYMBOLS


def sync(
    database: Database, settings: Settings, *vendors: ScriptedVendor, now: datetime = OPEN_MARKET, **plan: Any
) -> dict[str, tuple[str, str | None]]:
    outcomes, _ = run_sync(SyncEngine(database, settings, lambda: now, vendors), SYMBOLS, **plan)
    return {symbol: (outcome.status, outcome.error_type) for symbol, outcome in outcomes.items()}


def answer_of(database: Database, symbol: str) -> str | None:
    row = database.fetch_one("SELECT answer FROM stocks WHERE symbol = %s", (symbol,))
    assert row is not None
    answer: str | None = row["answer"]
    return answer


def test_a_block_that_begins_in_the_middle_of_a_run_hides_no_stock(
    database: Database, settings: Settings, listed: list[str]
) -> None:
    vendor = BlockingVendor(answers=12)
    outcomes = sync(database, settings, vendor)
    assert list(outcomes.values()).count(("success", None)) == 12
    assert set(outcomes.values()) == {("success", None), ("failed", "auth_error")}
    assert {answer_of(database, symbol) for symbol in listed} == {None}

    vendor.answers = None
    assert set(sync(database, settings, vendor, now=OPEN_MARKET + timedelta(days=1)).values()) == {("success", None)}


def test_an_answer_is_remembered_for_7_days_and_then_asked_again(
    database: Database, settings: Settings, listed: list[str]
) -> None:
    vendor = ScriptedVendor({"S3": lists_nothing("S3")})
    asked = []
    for days in (0, 1, 6, 8):
        assert sync(database, settings, vendor, now=OPEN_MARKET + timedelta(days=days))["S3"] == (
            "skipped",
            "no_options",
        )
        asked.append(vendor.asked["S3"])
    assert asked == [1, 1, 1, 2]


def test_who_names_a_stock_has_it_asked_whatever_is_remembered(
    database: Database, settings: Settings, listed: list[str]
) -> None:
    vendor = ScriptedVendor({"S3": lists_nothing("S3")})
    sync(database, settings, vendor)
    sync(database, settings, vendor, sync_type="symbols")
    assert vendor.asked["S3"] == 2


def test_an_answer_is_not_remembered_for_a_provider_that_did_not_give_it(
    database: Database, settings: Settings, listed: list[str]
) -> None:
    silent = ScriptedVendor({"S3": lists_nothing("S3")})
    sync(database, settings, silent)

    assert sync(database, settings, silent, BlockingVendor("cboe"))["S3"] == ("success", None)


def test_a_chain_ends_what_was_remembered(database: Database, settings: Settings, listed: list[str]) -> None:
    vendor = ScriptedVendor({"S3": lists_nothing("S3")})
    sync(database, settings, vendor)
    assert answer_of(database, "S3") == "no_options"
    vendor.faults.clear()
    sync(database, settings, vendor, sync_type="symbols")
    assert answer_of(database, "S3") is None


def test_an_answer_that_is_proven_by_one_provider_asks_nothing_of_another(
    database: Database, settings: Settings, listed: list[str]
) -> None:
    """The first has spent its hour: to ask it for a known symbol would hold up the whole sync."""
    answering = BlockingVendor("cboe")
    answering.faults = {"S3": UnknownSymbol("cboe does not know S3")}
    spent = ScriptedVendor({symbol: _unknown(symbol) for symbol in SYMBOLS})
    few = settings.model_copy(update={"yahoo_requests_per_hour": 10})
    outcomes = sync(database, few, spent, answering)
    assert outcomes["S3"] == ("skipped", "delisted")
    assert list(outcomes.values()).count(("success", None)) == len(SYMBOLS) - 1
    assert spent.asked.keys() <= set(SYMBOLS)


def _unknown(symbol: str) -> FetchError:
    return NoOptions(f"yahoo lists nothing of {symbol}") if symbol == "S0" else UnknownSymbol(f"{symbol}?")
