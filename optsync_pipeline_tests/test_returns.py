"""What a seller collects, puts up and risks."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync_pipeline.options import returns

PUT: dict[str, Any] = {
    "is_put": [True], "spot": [100.0], "strike": [95.0], "bid": [1.60], "ask": [1.70], "dte": [30], "sigma": [0.35],
    "vendor_delta": [np.nan], "rate": 0.04, "dividend_yield": [0.0],
}  # fmt: skip
CALL: dict[str, Any] = {**PUT, "is_put": [False], "strike": [105.0]}


def columns(contract: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The columns of one contract, as single values."""
    return {name: values[0] for name, values in returns.premium_columns(**{**contract, **changed}).items()}


def test_the_check_value_holds() -> None:
    put = columns(PUT)
    assert put["delta"] == pytest.approx(-0.2762, abs=5e-5)
    assert put["probability_of_profit"] == pytest.approx(0.7464, abs=5e-5)
    assert put["monthly_return"] == pytest.approx(1.684, abs=5e-4)
    assert put["annual_return"] == pytest.approx(20.49, abs=5e-3)
    assert put["collateral"] == 9500
    assert put["premium"] == pytest.approx(160)


def test_a_put_is_secured_by_its_strike_and_breaks_even_below_it() -> None:
    put = columns(PUT)
    assert (put["collateral"], put["break_even"]) == (9500, pytest.approx(93.4))


def test_a_call_is_covered_by_the_stock_and_breaks_even_below_its_price() -> None:
    call = columns(CALL)
    assert (call["collateral"], call["break_even"]) == (10_000, pytest.approx(98.4))
    assert call["monthly_return"] == pytest.approx(1.6)


def test_returns_are_scaled_by_days_without_compounding() -> None:
    put = columns(PUT, dte=[15])
    assert put["monthly_return"] == pytest.approx(2 * 100 * 1.6 / 95)
    assert put["annual_return"] == pytest.approx(365 / 15 * 100 * 1.6 / 95)


def test_the_seller_gets_the_bid_and_the_spread_is_told_beside_the_mid() -> None:
    put = columns(PUT, bid=[1.0], ask=[3.0])
    assert (put["premium"], put["spread_pct"]) == (100, 100)


def test_a_call_profits_as_soon_as_the_stock_ends_above_the_break_even() -> None:
    # The break-even lies below the stock's price, so the chance is above one half, whatever the strike.
    assert columns(CALL)["probability_of_profit"] > 0.5
    far, near = columns(CALL, strike=[150.0]), columns(CALL, strike=[101.0])
    assert far["probability_of_profit"] == near["probability_of_profit"]


def test_one_less_delta_is_not_the_probability_of_profit() -> None:
    put = columns(PUT)
    assert put["probability_of_profit"] != pytest.approx(1 + put["delta"], abs=0.01)


@pytest.mark.parametrize("bid", [95.0, 96.0])
def test_a_bid_of_the_whole_strike_cannot_lose(bid: float) -> None:
    put = columns(PUT, bid=[bid], ask=[97.0], sigma=[np.nan])
    assert put["probability_of_profit"] == 1


def test_a_vendors_delta_is_kept() -> None:
    put = columns(PUT, vendor_delta=[-0.31])
    assert (put["delta"], put["delta_is_vendor"]) == (-0.31, True)


@pytest.mark.parametrize("vendor_delta", [np.nan, 0.31, -1.2], ids=["none", "a call's", "beyond one"])
def test_a_delta_that_cannot_be_this_contracts_is_computed_instead(vendor_delta: float) -> None:
    put = columns(PUT, vendor_delta=[vendor_delta])
    assert (put["delta"], put["delta_is_vendor"]) == (pytest.approx(-0.2762, abs=5e-5), False)


def test_a_delta_of_zero_fits_both_types() -> None:
    assert returns.is_vendor_delta([0.0, 0.0], is_put=[True, False]).all()


def test_an_unknown_volatility_leaves_what_needs_it_unknown() -> None:
    put = columns(PUT, sigma=[np.nan])
    assert np.isnan(put["probability_of_profit"])
    assert np.isnan(put["delta"])
    assert put["monthly_return"] == pytest.approx(1.684, abs=5e-4)


def test_no_contracts_give_empty_columns() -> None:
    nothing: dict[str, Any] = {name: value if name == "rate" else np.empty(0) for name, value in PUT.items()}
    assert {len(values) for values in returns.premium_columns(**nothing).values()} == {0}


@given(st.booleans(), st.floats(1, 1000), st.floats(0.5, 2), st.floats(0.0001, 0.5), st.integers(1, 60))
def test_probability_of_profit_is_a_probability_and_rises_with_the_bid(
    is_put: bool, spot: float, moneyness: float, share: float, dte: int
) -> None:
    changed = {"is_put": [is_put], "spot": [spot], "strike": [spot * moneyness], "dte": [dte]}
    low = columns(PUT, **changed, bid=[share * spot], ask=[spot])["probability_of_profit"]
    high = columns(PUT, **changed, bid=[1.1 * share * spot], ask=[spot])["probability_of_profit"]
    assert 0 <= low <= high <= 1
