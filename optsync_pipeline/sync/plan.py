"""What a sync is asked to do, and what is left to do of its job. What becomes of it is outcome.py's."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from optsync_pipeline.sync.outcome import SymbolOutcome


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What to sync.

    continue_job_id: a job of which only what is not done is asked; reask: its given symbols again; retry: what is not
    done or failed, the failed ones of the providers that did not fail first. prices_only: quotes in bulk, no chains.
    """

    symbols: tuple[str, ...]
    sync_type: str
    target_dtes: tuple[int, ...] = ()
    run_id: str | None = None
    continue_job_id: int | None = None
    tries: int = 5
    reask: bool = False
    retry: bool = False
    prices_only: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done of a job: symbols to ask, outcomes of those already done, whom to ask last of each symbol."""

    todo: list[str]
    done: list[SymbolOutcome] = field(default_factory=list)
    avoid: Mapping[str, Collection[str]] = field(default_factory=dict)
