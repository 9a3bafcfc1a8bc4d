"""Real recorded chains through the whole engine: every stock accounted for, nothing unsellable among the premiums."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.settings import load_settings
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.sync.engine import SyncEngine, SyncPlan
from optsync_pipeline_tests.limits import UNLIMITED
from optsync_pipeline_tests.stand_in import Reply, scripted_market

# A Thursday with the market open, eighteen weeks after the recorded Thursday: days to expiration are as recorded.
THURSDAY = datetime(2026, 11, 19, 17, 0, tzinfo=UTC)
RECORDING = datetime(2025, 2, 24, 9, 24, 42, tzinfo=UTC)


def now() -> datetime:
    return THURSDAY


@pytest.fixture(scope="module")
def sandbox(market_dir: Path) -> Iterator[Sandbox]:
    with running_sandbox(recorded_dir=market_dir, clock=now) as running:
        yield running


@pytest.mark.parametrize("provider", ["yahoo", "cboe"])
def test_every_recorded_stock_is_accounted_for_and_only_sellable_contracts_become_premiums(
    database: Database, sandbox: Sandbox, tmp_path: Path, provider: str
) -> None:
    settings = load_settings(
        env_file=None,
        home=tmp_path,
        providers=provider,
        yahoo_url=sandbox.yahoo_url,
        cboe_url=sandbox.cboe_url,
        target_dtes="36",  # the monthly expiration, in which the adjusted contracts are
        **UNLIMITED,
    )
    names = sandbox.symbols()
    stocks.upsert_stocks(database, [{"symbol": name} for name in names])
    with SyncEngine(database, settings, now).start(SyncPlan(tuple(names), "all", tries=1)) as run:
        outcomes = {outcome.symbol: outcome for outcome in run}
    assert len(outcomes) == 335
    assert {name: outcome.error_type for name, outcome in outcomes.items() if outcome.status != "success"} == {
        "CPRX": "invalid_data",  # recorded without a price
        "RDVY": "no_options",  # recorded without contracts
    }
    assert _rules_of(database, "NGD%") == {"adjusted_contract"}
    assert not database.fetch_all("SELECT 1 FROM stock_premiums WHERE contract_symbol LIKE 'NGD%%' OR bid > ask")
    crossed = database.fetch_all("SELECT contract_symbol FROM option_chains WHERE bid > ask")
    refused = database.fetch_all("SELECT contract_symbol FROM rejected_quotes WHERE rule = 'crossed_quote'")
    assert {row["contract_symbol"] for row in crossed} == {row["contract_symbol"] for row in refused} != set()
    delta_sources = database.fetch_all("SELECT DISTINCT greeks_source FROM stock_premiums ORDER BY 1")
    assert delta_sources[-1]["greeks_source"] == ("vendor" if provider == "cboe" else "black_scholes")


def _rules_of(database: Database, contract: str) -> set[str]:
    rows = database.fetch_all("SELECT DISTINCT rule FROM rejected_quotes WHERE contract_symbol LIKE %s", (contract,))
    return {row["rule"] for row in rows}


def test_chains_recorded_before_the_open_leave_refused_quotes_and_no_premium(
    database: Database, market_dir: Path, tmp_path: Path
) -> None:
    recordings = {
        path.stem.removeprefix("options-"): path for path in market_dir.glob("yahoo_recordings/options-*.json")
    }
    with scripted_market() as market:
        for name, path in recordings.items():
            market.yahoo(name, Reply(_cut_to_the_page_shown(json.loads(path.read_text())["response"]["bodyJson"])))
        settings = load_settings(
            env_file=None, home=tmp_path, providers="yahoo", yahoo_url=market.yahoo_url, **UNLIMITED
        )
        names = [name for name in recordings if name.isalpha()]
        stocks.upsert_stocks(database, [{"symbol": name} for name in names])
        engine = SyncEngine(database, settings, lambda: RECORDING)
        with engine.start(SyncPlan(tuple(names), "all", tries=1)) as run:
            outcomes = {outcome.symbol: outcome for outcome in run}
    with_contracts = [outcome for outcome in outcomes.values() if outcome.options_fetched]
    assert len(with_contracts) == 13
    assert {(outcome.status, outcome.error_type) for outcome in with_contracts} == {("failed", "stale_data")}
    for outcome in with_contracts:
        refused = database.fetch_all("SELECT rule FROM rejected_quotes WHERE symbol = %s", (outcome.symbol,))
        assert len(refused) == outcome.options_fetched
    assert database.fetch_all("SELECT 1 FROM stock_premiums UNION ALL SELECT 1 FROM option_chains") == []


def _cut_to_the_page_shown(body: dict[str, Any]) -> dict[str, Any]:
    """List no other expiration than the recorded one: the pages of the others were not recorded."""
    result = body["optionChain"]["result"][0]
    result["expirationDates"] = [page["expirationDate"] for page in result["options"]]
    return body
