"""What is read for metrics: one quick look that waits for nobody's lock and starts nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from optsync_pipeline.settings import load_settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseFault, DatabaseUnavailable
from optsync_pipeline.storage.metric_readings import dagster_data_url, data_url, read_figures, read_heartbeats
from optsync_pipeline_tests.chunks import NOW, open_job

DATA = "postgresql://u@data.example.com/optsync"
DAGSTER = "postgresql://u@dagster.example.com/dagster"


def test_an_empty_database_gives_zeros_and_unknowns(database: Database) -> None:
    figures = read_figures(database, behind=NOW)
    assert (figures.totals, figures.providers, figures.last_syncs) == ({}, [], [])
    assert set(figures.running.values()) == {0}
    assert (figures.ages["stocks"], figures.ages["newest"], figures.ages["ranking"]) == (0, None, None)
    assert {row["rows"] for row in figures.tables} == {0}


def test_the_last_sync_of_each_kind_is_found(database: Database) -> None:
    for ended in ("2026-07-16 12:00Z", "2026-07-16 14:00Z", "2026-07-16 13:00Z"):
        job_id = open_job(database, ["AAPL"])
        end = "UPDATE sync_jobs SET status = 'completed', completed_at = %s WHERE job_id = %s"
        database.execute(end, (ended, job_id))
    priced = open_job(database, ["AAPL"])
    finish = "UPDATE sync_jobs SET status = 'failed', completed_at = now(), prices_only = true WHERE job_id = %s"
    database.execute(finish, (priced,))
    open_job(database, ["MSFT"])
    found = read_figures(database, behind=NOW).last_syncs
    assert [(row["job_id"], row["prices_only"], row["status"]) for row in found] == [
        (2, False, "completed"),
        (priced, True, "failed"),
    ]


def test_a_locked_table_does_not_hold_the_look_up(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute("LOCK TABLE sync_jobs IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseFault, match="lock timeout"):
            read_figures(database, behind=NOW)
    assert read_figures(database, behind=datetime.now(UTC)).last_syncs == []


def test_our_connections_are_counted_by_what_they_do(database: Database, database_url: str) -> None:
    other = Database(database_url)
    with other.transaction() as cursor:
        cursor.execute("SELECT 1")
        states = {row["state"]: row["sessions"] for row in read_figures(database, behind=NOW).sessions}
    other.close()
    assert states == {"idle in transaction": 1}


def test_before_dagster_ever_ran_there_are_no_heartbeats(database: Database) -> None:
    assert read_heartbeats(database) == {}


def test_dagsters_tables_are_beside_the_data_unless_told_otherwise(tmp_path: Path) -> None:
    both = load_settings(env_file=None, home=tmp_path, database_url=DATA, dagster_database_url=DAGSTER)
    assert (data_url(both), dagster_data_url(both)) == (DATA, DAGSTER)
    assert dagster_data_url(load_settings(env_file=None, home=tmp_path, database_url=DATA)) == DATA
    with pytest.raises(DatabaseUnavailable, match="never started"):
        dagster_data_url(load_settings(env_file=None, home=tmp_path))
