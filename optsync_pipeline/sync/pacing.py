"""How far apart a sync begins its symbols, for vendors that dislike bursts. Off unless the settings say otherwise.

Beside the rate limits, which hold for all processes together and are about requests (fetching/rate_limit.py): this is
about one sync's new symbols. Requests of symbols under way are not held back.
"""

from optsync_pipeline.settings import Settings


class StartPacing:
    """When the next symbol may begin. Times are of one clock, in seconds; the caller keeps calls one after the other.

    stagger_seconds: at least so long from one start to the next. After every group_symbols starts (0: no groups) at
    least group_pause_seconds.
    """

    def __init__(self, stagger_seconds: float = 0.0, group_symbols: int = 0, group_pause_seconds: float = 0.0) -> None:
        self._stagger_seconds = stagger_seconds
        self._group_symbols = group_symbols
        self._group_pause_seconds = group_pause_seconds
        self._begun = 0
        self.free_at = 0.0
        """From when the next symbol may begin."""

    def note_start(self, now: float) -> None:
        """Note that a symbol begins."""
        self._begun += 1
        ends_group = self._group_symbols > 0 and self._begun % self._group_symbols == 0
        pause = max(self._stagger_seconds, self._group_pause_seconds if ends_group else 0.0)
        if pause:
            self.free_at = now + pause


def pacing_of(settings: Settings) -> StartPacing:
    """Return the pacing that the settings ask for, for one sync."""
    return StartPacing(settings.start_stagger_seconds, settings.group_symbols, settings.group_pause_seconds)
