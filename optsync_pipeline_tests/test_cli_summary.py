"""What is told of a job that is over."""

import pytest

from optsync_pipeline.cli.summary import JobStory, print_story
from optsync_pipeline.storage.job_progress import ProviderShare

JOB = {
    "job_id": 1,
    "sync_type": "all",
    "status": "completed",
    "prices_only": True,
    "duration_seconds": None,
    "stocks_per_second": None,
}


def test_numbers_stand_apart_from_the_longest_name_and_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    shares = [ProviderShare("robinhood", 3, 2, 9, {"api_timeout": 1}), ProviderShare("yahoo", 1, 1, 1, {})]
    print_story(JobStory(JOB, [], {}, shares))
    lines = capsys.readouterr().out.splitlines()
    assert "  robinhood  2 of 3 symbols served, 9 requests; api_timeout 1" in lines
    assert "  yahoo      1 of 1 symbols served, 1 requests" in lines
