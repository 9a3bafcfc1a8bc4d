"""/metrics and /health over HTTP: they answer whatever the database does, and nothing else is there."""

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path

from optsync_pipeline.metrics.reading import Readings
from optsync_pipeline.metrics.server import MetricsServer
from optsync_pipeline.settings import Settings, load_settings
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline_tests.scraping import (
    NOBODY,
    get,
    health,
    only,
    sandbox,
    scrape,
    serving,
    settings,
)

__all__ = ["sandbox", "settings"]


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
