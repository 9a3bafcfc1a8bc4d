"""What the checks of a sync ask of its job, over all runs that worked on it. Judged in assets/sync_checks.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.job_progress import ProviderShare, provider_shares
from optsync_pipeline.storage.price_moves import PriceMove, price_moves
from optsync_pipeline.storage.table_checks import JobTally, tally_job


class ShortChain(NamedTuple):
    """A chain that lacked what its vendor gave before. doubt: mended, agreed or unanswered; note: a sentence."""

    symbol: str
    doubt: str
    note: str


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job's counts and what is doubted of it. left_out: providers not asked to the end, each with the reason.

    contracts_stored: rows of option_chains. duration_seconds: time at work; None while it is not ended.
    """

    tally: JobTally
    contracts_stored: int = 0
    requests: int = 0
    duration_seconds: float | None = None
    short_chains: Sequence[ShortChain] = ()
    moves: Sequence[PriceMove] = ()
    shares: Sequence[ProviderShare] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def report_job(database: Database, job_id: int) -> JobReport:
    """Read what there is to say of a job."""
    costs = database.fetch_one("sum_job_costs", {"job_id": job_id}) or {}
    short = database.fetch_all("list_short_chains", {"job_id": job_id})
    return JobReport(
        tally=tally_job(database, job_id),
        short_chains=[ShortChain(**row) for row in short],
        moves=price_moves(database, job_id),
        shares=provider_shares(database, job_id),
        **costs,
    )
