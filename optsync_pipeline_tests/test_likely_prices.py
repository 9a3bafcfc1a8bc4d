"""Which prices the returns before them make likely."""

import math

from optsync_pipeline.quality.likely_prices import Measure, judge_move

QUIET = Measure(last_close=100.0, returns=20, mean=0.0, deviation=0.01)


def test_a_move_within_three_deviations_is_usual() -> None:
    assert judge_move(102.99, QUIET) == ("usual", None)
    assert judge_move(97.01, QUIET) == ("usual", None)


def test_a_move_beyond_three_deviations_is_unusual_either_way() -> None:
    move, deviations = judge_move(104.0, QUIET)
    assert (move, round(deviations or 0, 6)) == ("unusual", 4.0)
    assert judge_move(96.0, QUIET)[0] == "unusual"


def test_a_move_is_measured_from_the_mean_return() -> None:
    rising = QUIET._replace(mean=0.02)
    assert judge_move(104.9, rising)[0] == "usual"
    assert judge_move(98.9, rising)[0] == "unusual"


def test_fewer_than_twenty_returns_are_not_enough_history() -> None:
    assert judge_move(400.0, QUIET._replace(returns=19)) == ("not_enough_history", None)
    assert judge_move(400.0, Measure(None, 0, None, None)) == ("not_enough_history", None)


def test_any_move_of_a_stock_that_never_moved_is_unusual() -> None:
    still = QUIET._replace(deviation=0.0)
    assert judge_move(100.0, still) == ("usual", None)
    assert judge_move(100.5, still) == ("unusual", math.inf)
