"""The sensor: a round in each tick, and a tick that says what came of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest

from optsync_pipeline.resources import PipelineResource
from optsync_pipeline.sensors.alerts import alert_sensor
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.alerting import START, TOKEN, Inbox, alert_settings, end_job, open_inbox, with_failures


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with open_inbox() as opened:
        yield opened


@pytest.fixture
def pipeline(database_url: str, inbox: Inbox) -> PipelineResource:
    return PipelineResource(alert_settings(database_url, inbox.url), clock=lambda: START)


def tick(pipeline: PipelineResource) -> str:
    answer = alert_sensor(dg.build_sensor_context(resources={"pipeline": pipeline}))
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)


def test_a_tick_tells_what_is_new_and_says_so(database: Database, pipeline: PipelineResource, inbox: Inbox) -> None:
    assert tick(pipeline) == "nothing new"
    end_job(database, with_failures(100, 4))
    assert tick(pipeline) == "told 1"
    assert len(inbox.messages) == 1
    assert tick(pipeline) == "nothing new"


def test_a_service_that_fails_is_said_without_its_token(
    database: Database, pipeline: PipelineResource, inbox: Inbox
) -> None:
    tick(pipeline)
    end_job(database, with_failures(100, 4))
    inbox.answers = [500]
    told = tick(pipeline)
    assert told == "told 0, not taken 1: 1 json: refused with status 500"
    assert TOKEN not in told


def test_a_flood_waits_and_the_tick_says_so(database: Database, pipeline: PipelineResource) -> None:
    tick(pipeline)
    end_job(database, with_failures(100, 60), seconds=3600)  # a summary and four rules
    assert tick(pipeline) == "told 5"
    end_job(database, with_failures(100, 4), ended=START + timedelta(seconds=30))
    later = replace(pipeline, clock=lambda: START + timedelta(seconds=30))
    assert tick(later).startswith("many alerts were told just now")


def test_without_a_service_the_tick_says_what_to_set(database_url: str) -> None:
    pipeline = PipelineResource(alert_settings(database_url))
    assert tick(pipeline) == "nobody is to be alerted: OPTSYNC_ALERT_URLS is empty"


def test_a_database_that_is_down_is_a_reason_and_no_traceback(inbox: Inbox) -> None:
    pipeline = PipelineResource(alert_settings("postgresql://nobody@127.0.0.1:1/none", inbox.url))
    assert "127.0.0.1:1" in tick(pipeline)
