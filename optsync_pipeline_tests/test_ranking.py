"""The limits of the ranking."""

import pytest

from optsync_pipeline.options.ranking import STRATEGIES, RankingLimits


def test_each_strategy_sells_its_type_of_option() -> None:
    assert dict(STRATEGIES) == {"cash_secured_put": "put", "covered_call": "call"}


def test_the_limits_start_where_the_field_sells() -> None:
    limits = RankingLimits()
    assert (limits.min_abs_delta, limits.max_abs_delta) == (0.25, 0.40)
    assert (limits.max_spread_pct, limits.min_open_interest, limits.min_otm_pct) == (10, 100, 0)


def test_a_delta_range_that_nothing_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="delta"):
        RankingLimits(min_abs_delta=0.5, max_abs_delta=0.4)


def test_a_spread_limit_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="spread"):
        RankingLimits(max_spread_pct=-1)
