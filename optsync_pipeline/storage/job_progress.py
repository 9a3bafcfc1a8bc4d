"""How far a sync job is and how it goes: counts, pace, symbols under way, errors by kind, each provider's share.

Read from the results that the running sync commits, so that any process can look. The job's own life (opened, asked to
end, ended) is sync_log's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from optsync_pipeline.storage.database import Database


@dataclass(frozen=True, slots=True)
class JobPace:
    """Symbols of a job by what became of them, and how many were done in the last recent_seconds (at most 60)."""

    total: int
    done: int
    left: int
    ok: int
    failed: int
    skipped: int
    in_progress: int
    recent_done: int
    recent_seconds: float

    @property
    def stocks_per_second(self) -> float:
        """The pace over the last minute, or since the job was taken up."""
        return self.recent_done / self.recent_seconds

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at that pace; None where nothing was done in the last minute."""
        return self.left / self.stocks_per_second if self.recent_done else None


@dataclass(frozen=True, slots=True)
class SymbolUnderWay:
    """A symbol that is being asked for, and since how many seconds."""

    symbol: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ProviderShare:
    """A provider's part in a job: symbols it was asked for and symbols it served, wire requests.

    errors: by error_type, of how many symbols it was this provider's last word.
    """

    provider: str
    asked: int
    served: int
    requests: int
    errors: Mapping[str, int]


def read_pace(database: Database, job_id: int, now: datetime) -> JobPace:
    """Count what is done of a job and how fast it goes. Of a job that does not exist, all is 0."""
    row = database.fetch_one("read_job_progress", {"job_id": job_id, "now": now}) or {}
    return JobPace(**{**row, "recent_seconds": row["recent_seconds"] or 1.0})


def symbols_under_way(database: Database, job_id: int, now: datetime) -> list[SymbolUnderWay]:
    """Return the symbols that are being asked for, the longest under way first."""
    rows = database.fetch_all("list_symbols_in_progress", {"job_id": job_id, "now": now})
    return [SymbolUnderWay(**row) for row in rows]


def errors_by_kind(database: Database, job_id: int) -> dict[str, dict[str, int]]:
    """Return for `failed` and `skipped` how many symbols by error_type, the commonest first."""
    counts: dict[str, dict[str, int]] = {"failed": {}, "skipped": {}}
    for row in database.fetch_all("count_job_errors", {"job_id": job_id}):
        counts[row["status"]][row["error_type"]] = row["symbols"]
    return counts


def provider_shares(database: Database, job_id: int) -> list[ProviderShare]:
    """Return each provider's part in a job, who served most first."""
    return [ProviderShare(**row) for row in database.fetch_all("tally_job_providers", {"job_id": job_id})]
