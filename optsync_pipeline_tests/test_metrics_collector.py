"""What Prometheus is told after real syncs, and that dashboard, rules and page name what is told."""

import json
import re
from pathlib import Path

import pytest

from optsync_pipeline.sandbox.running import Sandbox
from optsync_pipeline.settings import PROJECT_ROOT, Settings, load_settings
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.job_lock import JobLock
from optsync_pipeline.sync.engine import SyncEngine
from optsync_pipeline_tests.chunks import open_job
from optsync_pipeline_tests.recovery import list_market, run_sync
from optsync_pipeline_tests.scraping import (
    SYMBOLS,
    get,
    only,
    sandbox,
    scrape,
    serving,
    settings,
)

__all__ = ["sandbox", "settings"]


def test_a_scrape_after_a_sync_tells_what_the_tables_say(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    symbols = list_market(database, sandbox)
    sandbox.fault("html", symbol=symbols[0])
    outcomes, job_id = run_sync(SyncEngine(database, settings), symbols)
    requests = sum(outcome.requests for outcome in outcomes.values())
    with serving(settings) as url:
        samples = scrape(url)
    assert only(samples, "optsync_up") == 1
    assert only(samples, "optsync_last_sync_success_ratio", sync_type="all", fetches="chains") == 5 / 6
    assert only(samples, "optsync_last_sync_symbols", sync_type="all", fetches="chains", status="failed") == 1
    assert only(samples, "optsync_symbols_total", status="success") == 5
    assert only(samples, "optsync_symbol_failures_total", error_type="invalid_data") == 1
    assert only(samples, "optsync_provider_errors_total", provider="yahoo", error_type="invalid_data") == 1
    # Cookie and crumb are requests too, and those of one call that failed before.
    assert sum(samples["optsync_provider_requests_total"].values()) >= requests
    counted = samples["optsync_provider_attempt_seconds_count"]
    assert sum(counted.values()) == sum(len(outcome.attempts) for outcome in outcomes.values())
    assert only(samples, "optsync_provider_circuit_state", provider="yahoo", state="closed") == 1
    assert only(samples, "optsync_provider_circuit_state", provider="yahoo", state="open") == 0
    assert only(samples, "optsync_chunk_write_seconds_count") >= 2
    stored = database.fetch_one("SELECT count(*) AS rows FROM option_chains")
    assert stored is not None
    assert only(samples, "optsync_table_rows", table="option_chains") == stored["rows"] > 0
    assert only(samples, "optsync_active_stocks") == SYMBOLS
    assert only(samples, "optsync_stocks_without_quote") == 1
    assert only(samples, "optsync_sync_jobs", state="running") == 0
    assert only(samples, "optsync_quote_wall_age_seconds", quote="newest") >= 0
    assert sync_log.read_job(database, job_id) is not None


def test_buckets_are_cumulative_and_end_in_the_count(settings: Settings, database: Database, sandbox: Sandbox) -> None:
    run_sync(SyncEngine(database, settings), list_market(database, sandbox))
    with serving(settings) as url:
        samples = scrape(url)
    for (_, who), count in [
        (key[0], value) for key, value in samples["optsync_provider_attempt_seconds_count"].items()
    ]:
        buckets = {
            float(dict(labels)["le"]): value
            for labels, value in samples["optsync_provider_attempt_seconds_bucket"].items()
            if dict(labels)["provider"] == who
        }
        assert [buckets[bound] for bound in sorted(buckets)] == sorted(buckets.values())
        assert buckets[float("inf")] == count > 0


def test_counters_do_not_fall_when_old_jobs_are_deleted(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    run_sync(SyncEngine(database, settings), list_market(database, sandbox))
    with serving(settings) as url:
        before = scrape(url)
    database.execute("DELETE FROM sync_jobs")
    with serving(settings) as url:
        after = scrape(url)
    counters = [name for name in before if name.endswith(("_total", "_bucket", "_count", "_sum"))]
    assert len(counters) >= 10
    assert {name: before[name] for name in counters} == {name: after[name] for name in counters}
    assert "optsync_last_sync_success_ratio" not in after


def test_running_and_dead_jobs_are_told_apart(settings: Settings, database: Database) -> None:
    alive, _dead = open_job(database, ["AAPL", "MSFT"]), open_job(database, ["AAPL"])
    lock = JobLock(database, alive)
    assert lock.acquire()
    with serving(settings) as url:
        samples = scrape(url)
    lock.release()
    assert only(samples, "optsync_sync_jobs", state="running") == 1
    assert only(samples, "optsync_sync_jobs", state="dead") == 1
    assert only(samples, "optsync_running_sync_symbols", status="pending") == 2


def exposed_names(url: str) -> dict[str, str]:
    """Return the families of a scrape with their types."""
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", get(f"{url}/metrics")[1], flags=re.MULTILINE))


@pytest.fixture
def exposed(database_url: str, tmp_path: Path) -> dict[str, str]:
    """Every family is told, before the first sync too."""
    with serving(load_settings(env_file=None, home=tmp_path, database_url=database_url)) as url:
        return exposed_names(url)


def test_the_dashboard_and_the_rules_name_only_metrics_that_exist(exposed: dict[str, str]) -> None:
    endings = {"histogram": ("_bucket", "_sum", "_count")}
    samples = {name + ending for name, kind in exposed.items() for ending in endings.get(kind, ("",))}
    dashboard = json.loads((PROJECT_ROOT / "deploy" / "grafana" / "optsync.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = (PROJECT_ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    queries += re.findall(r"^ +expr: (.*)$", rules, flags=re.MULTILINE)
    assert len(queries) > 30
    for query in queries:
        named = re.findall(r"\boptsync_\w+", query)
        assert named, query
        assert set(named) <= samples, query


def test_every_metric_is_on_the_dashboard_or_is_about_optsync_itself(exposed: dict[str, str]) -> None:
    dashboard = (PROJECT_ROOT / "deploy" / "grafana" / "optsync.json").read_text()
    unseen = {name for name in exposed if name not in dashboard}
    assert unseen <= {"optsync_build_info", "optsync_stocks_without_quote"}


def test_the_dashboard_asks_whichever_prometheus_is_chosen() -> None:
    dashboard = json.loads((PROJECT_ROOT / "deploy" / "grafana" / "optsync.json").read_text())
    assert [variable["type"] for variable in dashboard["templating"]["list"]] == ["datasource"]
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert all(panel["datasource"] == chosen for panel in panels)
    assert all(target["datasource"] == chosen for panel in panels for target in panel["targets"])
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identifiers)) == len(identifiers)


def test_the_operations_page_has_every_metric_with_its_type(exposed: dict[str, str]) -> None:
    page = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    assert dict(re.findall(r"^\| `(optsync_\w+)` \| (\w+) \|", page, flags=re.MULTILINE)) == exposed
