"""Which quotes are sellable, and when a whole reply's quotes are not to be stored."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optsync_pipeline.calendar import nearest_expirations
from optsync_pipeline.quality.rules import RULES, classify, judge_quotes

OPEN = datetime(2026, 7, 16, 15, 31, tzinfo=UTC)
CLOSED = datetime(2026, 7, 16, 22, 0, tzinfo=UTC)
SUNDAY = datetime(2026, 7, 19, 15, 0, tzinfo=UTC)


def rule_of(bid: float | None, ask: float | None) -> str:
    """The rule that refuses one quote."""
    return str(classify(pd.DataFrame({"bid": [bid], "ask": [ask]})).iloc[0])


@pytest.mark.parametrize(
    ("bid", "ask", "rule"),
    [
        pytest.param(None, 1.0, "missing_quote", id="no bid given"),
        pytest.param(1.0, None, "missing_quote", id="no ask given"),
        pytest.param(np.nan, np.nan, "missing_quote", id="neither given"),
        pytest.param(0.0, 0.0, "zero_quote", id="both zero"),
        pytest.param(0.0, 1.0, "zero_bid", id="no buyer"),
        pytest.param(1.1, 1.0, "crossed_quote", id="ask below bid"),
        pytest.param(1.0, 0.0, "crossed_quote", id="a bid without an ask"),
    ],
)
def test_a_quote_that_nobody_can_sell_at_is_refused_by_name(bid: float | None, ask: float | None, rule: str) -> None:
    assert rule_of(bid, ask) == rule


@pytest.mark.parametrize("ask", [1.0, 1.2], ids=["locked", "two-sided"])
def test_a_bid_with_an_ask_not_below_it_is_sellable(ask: float) -> None:
    assert rule_of(1.0, ask) == ""


def test_each_row_has_its_rule_under_its_own_index() -> None:
    quotes = pd.DataFrame({"bid": [1.0, 0.0, None], "ask": [1.1, 0.0, 2.0]}, index=[7, 3, 5], dtype=object)
    assert classify(quotes).to_dict() == {7: "", 3: "zero_quote", 5: "missing_quote"}


def test_an_empty_frame_has_no_rules() -> None:
    assert classify(pd.DataFrame({"bid": [], "ask": []})).empty


def test_every_rule_is_explained() -> None:
    assert all(name.islower() and text.endswith(".") for name, text in RULES.items())


def test_the_recorded_crossed_quotes_are_refused_by_name(market_dir: Path) -> None:
    quotes = pd.read_parquet(market_dir / "option_chains_2026-07-16.parquet", columns=["bid", "ask"])
    assert (classify(quotes) == "crossed_quote").sum() == 19


def test_good_quotes_of_this_session_are_accepted_while_it_trades() -> None:
    assert judge_quotes([1.0] * 5, [1.1] * 5, OPEN, OPEN) is None


@pytest.mark.parametrize("now", [CLOSED, datetime(2026, 7, 17, 13, 0, tzinfo=UTC)], ids=["evening", "before the open"])
def test_good_quotes_of_the_latest_session_are_accepted_after_it(now: datetime) -> None:
    assert judge_quotes([1.0] * 5, [1.1] * 5, OPEN, now) is None


def test_fridays_quotes_are_good_on_sunday() -> None:
    assert judge_quotes([1.0], [1.1], datetime(2026, 7, 17, 20, 0, tzinfo=UTC), SUNDAY) is None


@pytest.mark.parametrize(
    ("quoted_at", "now"),
    [
        pytest.param(datetime(2026, 7, 15, 20, 0, tzinfo=UTC), OPEN, id="yesterday's, while it trades"),
        pytest.param(datetime(2026, 7, 16, 13, 29, tzinfo=UTC), OPEN, id="a minute before the open"),
        pytest.param(datetime(2026, 7, 16, 20, 0, tzinfo=UTC), SUNDAY, id="Thursday's, on Sunday"),
    ],
)
def test_quotes_from_before_the_latest_session_are_stale(quoted_at: datetime, now: datetime) -> None:
    verdict = judge_quotes([1.0], [1.1], quoted_at, now)
    assert verdict is not None
    assert (verdict.error_type, verdict.rule) == ("stale_data", "stale_quote")


def test_a_stale_verdict_tells_both_times_in_utc() -> None:
    verdict = judge_quotes([1.0], [1.1], datetime.fromisoformat("2026-07-15T16:00:00-04:00"), OPEN)
    assert verdict is not None
    assert "2026-07-15 20:00 UTC" in verdict.message
    assert "2026-07-16 13:30 UTC" in verdict.message


@pytest.mark.parametrize(("now", "error_type"), [(OPEN, "invalid_data"), (CLOSED, "stale_data")])
def test_a_chain_of_zeros_is_a_fault_while_open_and_emptied_while_closed(now: datetime, error_type: str) -> None:
    verdict = judge_quotes([0.0, None, 0.0], [0.0, None, 0.0], OPEN, now)
    assert verdict is not None
    assert (verdict.error_type, verdict.rule) == (error_type, "zero_quote")


def test_a_chain_with_a_tenth_of_its_quotes_two_sided_is_alive() -> None:
    assert judge_quotes([1.0] + [0.0] * 9, [1.1] + [0.0] * 9, OPEN, OPEN) is None


def test_a_thin_chain_whose_contracts_mostly_have_an_ask_is_alive() -> None:
    assert judge_quotes([0.0] * 10, [1.0] * 5 + [0.0] * 5, OPEN, OPEN) is None


def test_a_reply_without_contracts_has_no_quotes_to_judge() -> None:
    assert judge_quotes([], [], OPEN, OPEN) is None


def test_every_recording_from_before_the_open_is_refused(market_dir: Path) -> None:
    recorded_at = datetime(2025, 2, 24, 9, 24, 42, tzinfo=UTC)
    judged = {}
    for path in sorted((market_dir / "yahoo_recordings").glob("options-*.json")):
        results = json.loads(path.read_text())["response"]["bodyJson"]["optionChain"]["result"]
        contracts = [one for result in results for chain in result["options"] for one in chain["calls"] + chain["puts"]]
        if contracts:
            quoted_at = datetime.fromtimestamp(results[0]["quote"]["regularMarketTime"], UTC)
            bids, asks = ([one.get(side) for one in contracts] for side in ("bid", "ask"))
            verdict = judge_quotes(bids, asks, quoted_at, recorded_at)
            judged[path.stem] = verdict and verdict.error_type
    assert len(judged) == 13
    assert set(judged.values()) <= {"stale_data", "invalid_data"}


def test_of_the_recorded_chains_of_an_open_market_only_the_unquoted_one_is_dead(market_dir: Path) -> None:
    contracts = pd.read_parquet(market_dir / "option_chains_2026-07-16.parquet")
    contracts["expiration"] = contracts["expiration"].astype(str).map(date.fromisoformat)
    dead = []
    for symbol, chain in contracts.groupby("symbol", observed=True):
        nearest = chain[chain["expiration"].isin(nearest_expirations(chain["expiration"], (30,), OPEN))]
        if judge_quotes(nearest["bid"].tolist(), nearest["ask"].tolist(), OPEN, OPEN):
            dead.append((symbol, len(nearest)))
    assert dead == [("CPRX", 8)]


def test_a_quote_time_that_is_yet_to_come_is_a_fault_of_the_reply() -> None:
    verdict = judge_quotes([1.0], [1.1], datetime(2286, 11, 20, tzinfo=UTC), OPEN)
    assert verdict is not None
    assert (verdict.error_type, verdict.rule) == ("invalid_data", "future_quote")
