"""Which vendor volatilities are believed, and that the solver finds the one behind a price."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import QuantLib
from hypothesis import assume, given

from optsync_pipeline.options import black_scholes, volatility
from optsync_pipeline_tests.test_black_scholes import Contract, contracts

YEARS = 30 / 365


@given(contracts())
def test_the_volatility_behind_a_price_is_found_again(contract: Contract) -> None:
    # Where a percentage point of volatility is worth less than rounding, no solver can find it.
    assume(float(black_scholes.vega(*contract[1:])) > 1e-7 * (contract.spot + contract.strike))
    price = black_scholes.price(*contract)
    assert float(volatility.implied(price, *contract[:6])) == pytest.approx(contract.sigma, abs=1e-6)


@pytest.mark.parametrize(("is_put", "strike", "mid"), [(True, 95.0, 1.6), (False, 105.0, 2.4), (True, 130.0, 30.5)])
def test_the_solver_agrees_with_quantlibs(is_put: bool, strike: float, mid: float) -> None:
    kind = QuantLib.Option.Put if is_put else QuantLib.Option.Call
    discount, growth = np.exp(-0.04 * YEARS), np.exp(0.03 * YEARS)
    deviation = QuantLib.blackFormulaImpliedStdDev(
        kind, strike, float(100 * growth), mid, float(discount), 0.0, 0.3, 1e-12
    )
    ours = float(volatility.implied(mid, is_put, 100, strike, YEARS, 0.04, 0.01))
    assert ours == pytest.approx(deviation / YEARS**0.5, abs=1e-8)


@pytest.mark.parametrize(
    ("is_put", "mid"),
    [
        pytest.param(True, 19.0, id="a put below its intrinsic value"),
        pytest.param(True, 121.0, id="a put above its strike"),
        pytest.param(False, 101.0, id="a call above the stock"),
        pytest.param(False, 0.0, id="a call for nothing"),
        pytest.param(True, np.nan, id="no mid"),
    ],
)
def test_a_mid_outside_the_no_arbitrage_bounds_has_no_volatility(is_put: bool, mid: float) -> None:
    assert np.isnan(volatility.implied(mid, is_put, 100, 120, YEARS, 0.04, 0))


@pytest.mark.parametrize("sigma", [0.009, 5.1])
def test_a_volatility_outside_the_usable_range_is_not_given(sigma: float) -> None:
    mid = black_scholes.price(True, 100, 100, YEARS, 0.04, 0, sigma)
    assert np.isnan(volatility.implied(mid, True, 100, 100, YEARS, 0.04, 0))


def test_many_contracts_are_solved_at_once_each_by_itself() -> None:
    sigmas = np.linspace(0.02, 4.9, 50)
    mids = black_scholes.price(True, 100, 100, YEARS, 0.04, 0, sigmas)
    mids[7] = np.nan
    solved = volatility.implied(mids, True, 100, 100, YEARS, 0.04, 0)
    assert np.isnan(solved[7])
    assert np.delete(solved, 7).tolist() == pytest.approx(np.delete(sigmas, 7).tolist(), abs=1e-8)


def test_no_contracts_give_no_volatilities() -> None:
    nothing = np.empty(0)
    assert volatility.implied(nothing, nothing, nothing, nothing, nothing, 0.04, nothing).shape == (0,)


@pytest.mark.parametrize(
    ("quoted", "usable"), [(0.0099, False), (0.01, True), (0.35, True), (5.0, True), (5.01, False)]
)
def test_a_volatility_is_usable_from_one_percent_to_five_hundred(quoted: float, usable: bool) -> None:
    assert bool(volatility.is_usable(quoted, from_yahoo=False)) is usable


@pytest.mark.parametrize("quoted", [0.0, -0.3, np.nan, np.inf])
def test_what_is_no_volatility_is_not_usable(quoted: float) -> None:
    assert not volatility.is_usable(quoted, from_yahoo=False)


@pytest.mark.parametrize("quoted", volatility.YAHOO_LEFTOVERS)
def test_a_leftover_of_yahoos_solver_is_not_usable(quoted: float) -> None:
    assert not volatility.is_usable(quoted, from_yahoo=True)


@pytest.mark.parametrize("quoted", [0.0625, 0.12500875, 0.500005])
def test_the_same_value_from_another_vendor_is_usable(quoted: float) -> None:
    assert volatility.is_usable(quoted, from_yahoo=False)


@pytest.mark.parametrize("quoted", [0.25, 0.5, 0.125, 0.4999744827, 0.531255, 1.000005])
def test_a_value_of_yahoos_beside_a_leftover_is_usable(quoted: float) -> None:
    assert volatility.is_usable(quoted, from_yahoo=True)


def test_each_contract_is_judged_by_its_own_vendor() -> None:
    assert volatility.is_usable([0.0625, 0.0625], from_yahoo=[True, False]).tolist() == [False, True]


def test_every_recorded_cluster_of_leftovers_is_caught(market_dir: Path) -> None:
    quoted = pd.read_parquet(market_dir / "option_chains_2026-07-16.parquet")["implied_volatility"].to_numpy(float)
    in_range = (quoted >= 0.01) & (quoted <= 5)
    caught = in_range & ~volatility.is_usable(quoted, from_yahoo=True)
    assert caught.sum() == 2111 + 585 + 205 + 86 + 26
