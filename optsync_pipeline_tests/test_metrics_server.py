"""/metrics and /health over real HTTP after real syncs: what is told, when it is unwell, and that it always answers."""

import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from optsync_pipeline.metrics.reading import Readings, SharedLook
from optsync_pipeline.metrics.server import MetricsServer
from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.settings import PROJECT_ROOT, Settings, load_settings
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.errors import DatabaseUnavailable
from optsync_pipeline.storage.job_lock import JobLock
from optsync_pipeline.sync.engine import SyncEngine
from optsync_pipeline_tests.chunks import open_job
from optsync_pipeline_tests.recovery import list_market, run_sync, settings_for

SYMBOLS = 6
NOBODY = "postgresql://optsync:planted-pw@127.0.0.1:1/optsync"  # pragma: allowlist secret

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=SYMBOLS) as running:
        yield running


@pytest.fixture
def settings(sandbox: Sandbox, database_url: str, tmp_path: Path) -> Settings:
    return settings_for(sandbox, database_url, home=tmp_path)


@contextmanager
def serving(settings: Settings, clock: Any = lambda: datetime.now(UTC)) -> Iterator[str]:
    """Serve on a free port; give the URL."""
    readings = Readings(settings, clock)
    with MetricsServer(readings, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()
    readings.close()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(url: str) -> Samples:
    """Return a scrape's samples by name and labels."""
    status, text = get(f"{url}/metrics")
    assert status == 200
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return samples


def health(url: str) -> tuple[int, dict[str, Any]]:
    status, text = get(f"{url}/health")
    return status, json.loads(text)


def only(samples: Samples, name: str, **labels: str) -> float:
    return samples[name][tuple(sorted(labels.items()))]


def beat(database: Database, folder: Path, seconds_ago: float) -> None:
    """Write heartbeats of Dagster's daemons as Dagster writes them."""
    from dagster._daemon.types import DaemonHeartbeat

    from optsync_pipeline.local_runs import open_instance

    url, home = database._url, folder / "dagster"
    home.mkdir()
    with open_instance(home, f"postgresql+psycopg2://{url.partition('://')[2]}") as made:
        for name in ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR", "BACKFILL"):
            made.add_daemon_heartbeat(DaemonHeartbeat(time.time() - seconds_ago, name, "id", []))


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


def test_without_a_database_a_scrape_answers_that_it_is_down(tmp_path: Path) -> None:
    with serving(load_settings(env_file=None, home=tmp_path, database_url=NOBODY)) as url:
        samples = scrape(url)
        status, told = health(url)
    assert only(samples, "optsync_up") == 0
    assert set(samples) == {"optsync_up", "optsync_build_info"}
    assert status == 503
    assert not told["well"]
    assert "127.0.0.1:1" in told["database"]["reason"]
    assert "planted-pw" not in json.dumps(told)


def test_a_database_that_stops_and_comes_back_is_told_as_it_is(
    postgres_server: EmbeddedPostgres, database_url: str, tmp_path: Path
) -> None:
    settings = load_settings(env_file=None, home=tmp_path, database_url=database_url)
    readings = Readings(settings, fresh_seconds=0.0)
    with MetricsServer(readings, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        told = [only(scrape(server.url), "optsync_up")]
        postgres_server.stop()
        try:
            told.append(only(scrape(server.url), "optsync_up"))
            assert health(server.url)[0] == 503
        finally:
            postgres_server.ensure_running()
        told.append(only(scrape(server.url), "optsync_up"))
        server.shutdown()
        thread.join()
    readings.close()
    assert told == [1, 0, 1]


def test_an_embedded_server_that_never_ran_is_not_started(tmp_path: Path) -> None:
    with serving(load_settings(env_file=None, home=tmp_path, database_url=None)) as url:
        assert only(scrape(url), "optsync_up") == 0
        assert "optsync db start" in health(url)[1]["database"]["reason"]
    assert list(tmp_path.iterdir()) == []


def test_tables_that_are_missing_are_said_to_be(empty_database_url: str, tmp_path: Path) -> None:
    with serving(load_settings(env_file=None, home=tmp_path, database_url=empty_database_url)) as url:
        assert only(scrape(url), "optsync_up") == 0
        assert "optsync db migrate" in health(url)[1]["database"]["reason"]


def test_health_is_well_after_a_sync_while_the_daemon_lives(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    run_sync(SyncEngine(database, settings), list_market(database, sandbox))
    beat(database, settings.home, seconds_ago=20)
    with serving(settings) as url:
        status, told = health(url)
    assert (status, told["well"]) == (200, True), told
    assert {name for name in told if name not in ("well", "at")} == {"database", "providers", "last_sync", "daemon"}
    assert f"{SYMBOLS} ok, 0 failed" in told["last_sync"]["reason"]
    assert told["providers"]["reason"] == "yahoo: may be asked, cboe: may be asked"


@pytest.mark.parametrize("silence_seconds", [None, 400])
def test_health_is_unwell_without_the_daemon(
    silence_seconds: float | None, settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    run_sync(SyncEngine(database, settings), list_market(database, sandbox))
    if silence_seconds is not None:
        beat(database, settings.home, silence_seconds)
    with serving(settings) as url:
        status, told = health(url)
    assert status == 503
    assert [name for name, part in told.items() if isinstance(part, dict) and not part["well"]] == ["daemon"]
    assert "optsync up" in told["daemon"]["reason"]


def test_health_is_unwell_once_a_trading_day_has_passed_without_a_sync(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    run_sync(SyncEngine(database, settings), list_market(database, sandbox))
    with serving(settings, clock=lambda: datetime.now(UTC) + timedelta(days=5)) as url:
        told = health(url)[1]["last_sync"]
    assert not told["well"]
    assert "none has finished since the close" in told["reason"]


def test_health_wants_a_sync_only_where_there_are_stocks(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    with serving(settings) as url:
        assert health(url)[1]["last_sync"] == {"well": True, "reason": "no sync has finished yet"}
    list_market(database, sandbox)
    with serving(settings) as url:
        assert health(url)[1]["last_sync"] == {"well": False, "reason": "no sync has finished yet"}


def test_health_is_unwell_when_every_breaker_is_open_and_hides_secrets(settings: Settings, database: Database) -> None:
    opened = (
        "INSERT INTO api_rate_limits (provider, max_requests_per_minute, max_requests_per_hour,"
        " current_requests_per_minute, circuit_state, circuit_opened_at, last_error)"
        " VALUES (%s, 1, 1, 1, 'open', now(), 'auth_error: Authorization: Bearer planted.token')"
    )
    database.execute(opened, ("yahoo",))
    with serving(settings) as url:
        assert health(url)[1]["providers"]["well"]
    database.execute(opened, ("cboe",))
    with serving(settings) as url:
        told = health(url)[1]["providers"]
    assert not told["well"]
    assert "yahoo: its breaker is open (auth_error" in told["reason"]
    assert "planted" not in told["reason"]


def test_other_paths_do_not_exist(settings: Settings) -> None:
    with serving(settings) as url:
        for path in ("/", "/metric", "/metrics/x", "/health/"):
            assert get(url + path)[0] == 404


def test_a_scraper_that_wants_openmetrics_gets_it(settings: Settings) -> None:
    with serving(settings) as url:
        wish = urllib.request.Request(
            f"{url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
        )
        with urllib.request.urlopen(wish) as reply:
            assert reply.headers["Content-Type"].startswith("application/openmetrics-text")
            assert reply.read().decode().endswith("# EOF\n")


def test_a_look_that_hangs_is_given_up_shared_and_not_repeated() -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def hang() -> str:
        begun.release()
        go_on.wait(timeout=60)
        return "at last"

    look = SharedLook(hang, patience_seconds=0.05, fresh_seconds=60)
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable, match=r"does not answer within 0\.05 s"):
            look.get()
    assert begun.acquire(blocking=False)
    assert not begun.acquire(blocking=False)
    go_on.set()
    assert SharedLook(lambda: 1, fresh_seconds=60).get() == 1


def test_a_look_is_taken_again_once_it_is_old() -> None:
    looks = iter(range(10))
    look = SharedLook(lambda: next(looks), fresh_seconds=60)
    assert [look.get(), look.get()] == [0, 0]
    look = SharedLook(lambda: next(looks), fresh_seconds=-1)
    assert [look.get(), look.get()] == [1, 2]


# -- what names metrics names those that exist ---------------------------------------------------------------------


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
