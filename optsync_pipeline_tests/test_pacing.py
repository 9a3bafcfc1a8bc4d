"""How far apart symbols begin: a stagger, and a pause after each group."""

import threading
import time

from optsync_pipeline.settings import load_settings
from optsync_pipeline.sync.pacing import StartPacing, pacing_of
from optsync_pipeline_tests.test_fetch_pool import ScriptedRouter, pool_of, take


def starts(pacing: StartPacing, count: int) -> list[float]:
    """Return when so many symbols begin that begin as soon as they may; the clock starts at 100."""
    now, begun = 100.0, []
    for _ in range(count):
        now = max(now, pacing.free_at)
        pacing.note_start(now)
        begun.append(now - 100)
    return begun


def test_nothing_is_held_back_unless_a_setting_says_so() -> None:
    assert starts(pacing_of(load_settings(env_file=None)), 5) == [0, 0, 0, 0, 0]


def test_a_stagger_lies_between_any_two_starts() -> None:
    assert starts(pacing_of(load_settings(env_file=None, start_stagger_seconds=0.5)), 4) == [0, 0.5, 1, 1.5]


def test_a_pause_follows_each_group() -> None:
    settings = load_settings(env_file=None, group_symbols=3, group_pause_seconds=20)
    assert starts(pacing_of(settings), 7) == [0, 0, 0, 20, 20, 20, 40]


def test_stagger_and_groups_go_together() -> None:
    assert starts(StartPacing(1, group_symbols=2, group_pause_seconds=10), 5) == [0, 1, 11, 12, 22]


def test_a_late_start_does_not_allow_a_burst_afterwards() -> None:
    pacing = StartPacing(1)
    pacing.note_start(100)
    pacing.note_start(150)
    assert pacing.free_at == 151


def test_a_pool_begins_a_group_and_no_more_until_the_pause_is_over() -> None:
    stop, router = threading.Event(), ScriptedRouter()
    names = [f"S{number}" for number in range(10)]
    pool = pool_of(router, names, stop=stop, pacing=StartPacing(group_symbols=4, group_pause_seconds=1000))
    pool.start()
    assert sorted(take(pool, 4)) == names[:4]
    time.sleep(0.3)
    assert router.begun == names[:4]
    stop.set()


def test_a_pool_with_a_stagger_begins_every_symbol_in_its_order() -> None:
    router = ScriptedRouter()
    names = [f"S{number}" for number in range(6)]
    pool = pool_of(router, names, pacing=StartPacing(0.01, group_symbols=2, group_pause_seconds=0.02))
    begun = time.monotonic()
    pool.start()
    take(pool, 6)
    assert router.begun == names
    assert time.monotonic() - begun >= 3 * 0.01 + 2 * 0.02
