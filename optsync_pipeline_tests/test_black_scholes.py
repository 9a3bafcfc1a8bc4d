"""The formulas beside an independent implementation (QuantLib), and the laws that no option price may break."""

from typing import NamedTuple

import numpy as np
import pytest
import QuantLib
from hypothesis import given, settings
from hypothesis import strategies as st

from optsync_pipeline.options import black_scholes

YEARS = 30 / 365


class Contract(NamedTuple):
    """The arguments of black_scholes.price, in its order."""

    is_put: bool
    spot: float
    strike: float
    years: float
    rate: float
    dividend_yield: float
    sigma: float


def contracts(is_put: st.SearchStrategy[bool] | None = None) -> st.SearchStrategy[Contract]:
    """Contracts as markets have them: a day to three years, a tenth of the spot to ten times it."""
    return st.builds(
        lambda put, spot, moneyness, dte, rate, dividend_yield, sigma: Contract(
            put, spot, spot * moneyness, dte / 365, rate, dividend_yield, sigma
        ),
        is_put or st.booleans(),
        st.floats(1, 5000),
        st.floats(0.1, 10),
        st.integers(1, 1100),
        st.floats(-0.01, 0.15),
        st.floats(0, 0.15),
        st.floats(0.01, 5),
    )


def quantlib_values(contract: Contract) -> dict[str, float]:
    """Price and greeks by the formula object of QuantLib, which takes `years` as it is and not as a date."""
    deviation = contract.sigma * contract.years**0.5
    growth = np.exp((contract.rate - contract.dividend_yield) * contract.years)
    payoff = QuantLib.PlainVanillaPayoff(
        QuantLib.Option.Put if contract.is_put else QuantLib.Option.Call, contract.strike
    )
    black = QuantLib.BlackCalculator(
        payoff, contract.spot * growth, deviation, float(np.exp(-contract.rate * contract.years))
    )
    return {
        "price": black.value(),
        "delta": black.delta(contract.spot),
        "gamma": black.gamma(contract.spot),
        "theta": black.theta(contract.spot, contract.years) / 365,
        "vega": black.vega(contract.years) / 100,
        "rho": black.rho(contract.years) / 100,
    }


def our_values(contract: Contract) -> dict[str, float]:
    """The same by our formulas."""
    return {
        "price": float(black_scholes.price(*contract)),
        "delta": float(black_scholes.delta(*contract)),
        "gamma": float(black_scholes.gamma(*contract[1:])),
        "theta": float(black_scholes.theta(*contract)),
        "vega": float(black_scholes.vega(*contract[1:])),
        "rho": float(black_scholes.rho(*contract)),
    }


@given(contracts())
def test_price_and_greeks_equal_quantlibs(contract: Contract) -> None:
    # The absolute part is for prices that are differences of far larger numbers.
    assert our_values(contract) == pytest.approx(quantlib_values(contract), rel=1e-9, abs=1e-9 * contract.spot)


@pytest.mark.parametrize("is_put", [True, False])
def test_price_and_delta_equal_those_of_quantlibs_whole_option_engine(is_put: bool) -> None:
    today = QuantLib.Date(16, 7, 2026)
    QuantLib.Settings.instance().evaluationDate = today
    days = QuantLib.Actual365Fixed()
    process = QuantLib.BlackScholesMertonProcess(
        QuantLib.QuoteHandle(QuantLib.SimpleQuote(100.0)),
        QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, 0.02, days)),
        QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, 0.04, days)),
        QuantLib.BlackVolTermStructureHandle(QuantLib.BlackConstantVol(today, QuantLib.NullCalendar(), 0.35, days)),
    )
    option = QuantLib.VanillaOption(
        QuantLib.PlainVanillaPayoff(QuantLib.Option.Put if is_put else QuantLib.Option.Call, 95.0),
        QuantLib.EuropeanExercise(today + 30),
    )
    option.setPricingEngine(QuantLib.AnalyticEuropeanEngine(process))
    contract = Contract(is_put, 100, 95, YEARS, 0.04, 0.02, 0.35)
    assert our_values(contract) == pytest.approx(
        {
            "price": option.NPV(),
            "delta": option.delta(),
            "gamma": option.gamma(),
            "theta": option.thetaPerDay(),
            "vega": option.vega() / 100,
            "rho": option.rho() / 100,
        },
        rel=1e-9,
    )


def test_the_check_value_of_a_put_five_percent_out_of_the_money_holds() -> None:
    assert float(black_scholes.delta(True, 100, 95, YEARS, 0.04, 0, 0.35)) == pytest.approx(-0.2762, abs=5e-5)


@given(contracts())
def test_a_call_less_its_put_is_the_forward_discounted(contract: Contract) -> None:
    call = float(black_scholes.price(*contract._replace(is_put=False)))
    put = float(black_scholes.price(*contract._replace(is_put=True)))
    forward = contract.spot * np.exp(-contract.dividend_yield * contract.years)
    forward -= contract.strike * np.exp(-contract.rate * contract.years)
    assert call - put == pytest.approx(forward, abs=1e-9 * (contract.spot + contract.strike))


@given(contracts(), st.floats(1.0, 2.0))
def test_a_higher_strike_never_makes_a_put_cheaper_or_a_call_dearer(contract: Contract, factor: float) -> None:
    higher = float(black_scholes.price(*contract._replace(strike=contract.strike * factor)))
    lower = float(black_scholes.price(*contract))
    rounding = 1e-9 * contract.spot * 10
    assert (higher - lower if contract.is_put else lower - higher) >= -rounding


@given(contracts(), st.floats(1.0, 2.0))
def test_a_higher_volatility_never_makes_an_option_cheaper(contract: Contract, factor: float) -> None:
    wilder = float(black_scholes.price(*contract._replace(sigma=contract.sigma * factor)))
    assert wilder >= float(black_scholes.price(*contract)) - 1e-9 * contract.spot * 10


@given(contracts())
def test_delta_is_between_minus_one_and_zero_for_puts_and_zero_and_one_for_calls(contract: Contract) -> None:
    towards_profit = float(black_scholes.delta(*contract)) * (-1 if contract.is_put else 1)
    assert 0 <= towards_profit <= 1


@given(contracts())
def test_a_calls_delta_less_its_puts_is_the_dividend_discount(contract: Contract) -> None:
    call = float(black_scholes.delta(*contract._replace(is_put=False)))
    put = float(black_scholes.delta(*contract._replace(is_put=True)))
    assert call - put == pytest.approx(np.exp(-contract.dividend_yield * contract.years), abs=1e-12)


@settings(max_examples=50)
@given(contracts(), st.floats(0.2, 2.0))
def test_delta_is_the_slope_of_the_price(contract: Contract, sigma: float) -> None:
    contract = contract._replace(sigma=sigma)
    step = contract.spot * 1e-5
    up, down = (float(black_scholes.price(*contract._replace(spot=contract.spot + move))) for move in (step, -step))
    assert (up - down) / (2 * step) == pytest.approx(float(black_scholes.delta(*contract)), abs=1e-4)


def test_vega_and_rho_are_per_percentage_point_and_theta_per_calendar_day() -> None:
    contract = Contract(True, 100, 95, YEARS, 0.04, 0.01, 0.35)
    worth = float(black_scholes.price(*contract))
    values = our_values(contract)
    wilder = float(black_scholes.price(*contract._replace(sigma=0.36)))
    dearer_money = float(black_scholes.price(*contract._replace(rate=0.05)))
    tomorrow = float(black_scholes.price(*contract._replace(years=29 / 365)))
    assert wilder - worth == pytest.approx(values["vega"], rel=0.02)
    assert dearer_money - worth == pytest.approx(values["rho"], rel=0.02)
    assert tomorrow - worth == pytest.approx(values["theta"], rel=0.02)


def test_arrays_are_priced_element_by_element() -> None:
    strikes = np.array([90.0, 95.0, 100.0])
    puts = np.array([True, True, False])
    together = black_scholes.price(puts, 100, strikes, YEARS, 0.04, 0, 0.35)
    alone = [
        float(black_scholes.price(put, 100, k, YEARS, 0.04, 0, 0.35)) for put, k in zip(puts, strikes, strict=True)
    ]
    assert together.tolist() == pytest.approx(alone, rel=1e-15)


def test_an_unknown_volatility_gives_nan_and_not_a_number() -> None:
    assert np.isnan(black_scholes.delta(True, 100, 95, YEARS, 0.04, 0, np.nan))
