"""What a sync's step can be told, and how a fault of the database ends a step."""

from dataclasses import dataclass

import dagster as dg
import pytest
from pydantic import ValidationError

from optsync_pipeline.resources import (
    RETRY_POLICY,
    PipelineResource,
    SyncConfig,
    end_step,
    failed_again_config,
    sync_run_config,
)
from optsync_pipeline.settings import load_settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseUnavailable

# Nothing listens on port 1.
NO_DATABASE = "postgresql://nobody:secret-word@127.0.0.1:1/none"


@dataclass
class Step:
    """The part of Dagster's contexts that ends of steps look at."""

    retry_number: int = 0


@pytest.mark.parametrize(
    "bad", [{"sync_type": "everything"}, {"tries": 0}, {"tries": 11}, {"concurrency": 0}, {"concurrency": 101}]
)
def test_a_value_out_of_range_is_refused_by_name(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(bad))):
        SyncConfig.model_validate(bad)


def test_run_config_says_only_what_differs_from_the_defaults() -> None:
    config = SyncConfig(symbols=["AAPL"], sync_type="all")

    assert sync_run_config(config) == {"ops": {"market_data": {"config": {"symbols": ["AAPL"], "sync_type": "all"}}}}


def test_a_failed_symbol_is_asked_again_once_and_for_the_same_expirations() -> None:
    assert failed_again_config(7, [30, 45]) == SyncConfig(job_id=7, target_dtes=[30, 45], tries=1)


def test_a_pipeline_opens_nothing_until_it_is_asked() -> None:
    pipeline = PipelineResource(load_settings(env_file=None, database_url=NO_DATABASE))

    with pytest.raises(DatabaseUnavailable), pipeline.open_database():
        raise AssertionError("there is no database")


def test_an_engine_takes_the_concurrency_of_the_run_instead_of_the_setting() -> None:
    pipeline = PipelineResource(load_settings(env_file=None, max_concurrent_fetches=10))
    database = Database(NO_DATABASE)

    assert pipeline.engine(database).settings.max_concurrent_fetches == 10
    assert pipeline.engine(database, concurrency=3).settings.max_concurrent_fetches == 3


def test_a_database_that_is_down_asks_for_the_step_again_and_says_why_without_the_password() -> None:
    pipeline = PipelineResource(load_settings(env_file=None, database_url=NO_DATABASE))

    with pytest.raises(dg.RetryRequested) as asked, pipeline.open_for_step(Step()):
        raise AssertionError("there is no database")

    failure = asked.value.__cause__
    assert isinstance(failure, dg.Failure)
    assert "127.0.0.1:1" in str(failure.description)
    assert "secret-word" not in str(failure.description)
    assert asked.value.max_retries == RETRY_POLICY.max_retries


def test_the_wait_before_a_retry_grows() -> None:
    waits = []
    for retry_number in (0, 1, 2):
        with pytest.raises(dg.RetryRequested) as asked:
            end_step(Step(retry_number), DatabaseUnavailable("down"), later=True)
        waits.append(asked.value.seconds_to_wait or 0)

    assert waits[0] <= 10
    assert 10 <= waits[1] <= 20
    assert 30 <= waits[2] <= 40


def test_what_no_retry_can_mend_fails_at_once() -> None:
    with pytest.raises(dg.Failure, match="grant the user") as failed:
        end_step(Step(), DatabaseUnavailable("grant the user of the URL its rights"), later=False)

    assert failed.value.allow_retries is False
