"""What the code location holds, by name: none of it changes by accident. And it loads without a database."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.workspace.load import location_origins_from_yaml_paths

from optsync_pipeline.definitions import build_definitions
from optsync_pipeline.settings import PROJECT_ROOT, load_settings


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    # Nothing listens on port 1: whatever reached for the database here would fail.
    return build_definitions(load_settings(env_file=None, database_url="postgresql://nobody@127.0.0.1:1/none"))


def test_the_code_location_loads_while_the_database_is_down(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_the_asset_graph_is_this(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    assert {
        key.to_user_string(): sorted(k.to_user_string() for k in graph.get(key).parent_keys)
        for key in graph.get_all_asset_keys()
    } == {
        "stock_prices": [],
        "option_chains": ["stock_prices"],
        "stock_premiums": ["option_chains"],
        "premium_rankings": ["stock_premiums"],
        "sync_jobs": [],
    }


def test_a_partition_is_a_symbol_and_the_ranking_and_the_log_have_none(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    partitioned = {key.to_user_string(): graph.get(key).partitions_def for key in graph.get_all_asset_keys()}

    assert partitioned.pop("premium_rankings") is None
    assert partitioned.pop("sync_jobs") is None
    assert set(partitioned.values()) == {dg.DynamicPartitionsDefinition(name="symbol")}


def test_the_checks_are_these(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    assert {key.to_user_string() for key in graph.asset_check_keys} == {
        "stock_prices:symbols_synced",
        "stock_prices:price_plausible",
        "stock_prices:provider_share",
        "stock_prices:quote_age",
        "option_chains:chain_schema",
        "option_chains:chain_complete",
        "option_chains:refused_share",
        "option_chains:rows_logged",
        "stock_premiums:premium_schema",
        "stock_premiums:quotes_two_sided",
        "premium_rankings:ranking_sorted",
    }


def test_only_the_premium_schema_blocks(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    assert [key.name for key in graph.asset_check_keys if graph.get_check_spec(key).blocking] == ["premium_schema"]


@pytest.mark.parametrize(
    ("job", "assets", "checks"),
    [
        (
            "sync_market_data",
            {"stock_prices", "option_chains", "stock_premiums"},
            {"symbols_synced", "price_plausible", "provider_share", "chain_schema", "chain_complete", "refused_share"},
        ),
        (
            "rank_premiums",
            {"premium_rankings"},
            {"quote_age", "rows_logged", "premium_schema", "quotes_two_sided", "ranking_sorted"},
        ),
    ],
)
def test_each_job_holds_its_assets_and_its_checks(
    definitions: dg.Definitions, job: str, assets: set[str], checks: set[str]
) -> None:
    layer = definitions.resolve_job_def(job).asset_layer

    assert {key.to_user_string() for key in layer.selected_asset_keys} == assets
    assert {key.name for key in layer.asset_graph.asset_check_keys} == checks


def test_jobs_schedules_and_sensors_are_these_and_run_unattended(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()

    assert {job.name for job in repository.get_all_jobs()} - {"__ASSET_JOB"} == {"sync_market_data", "rank_premiums"}
    assert {(s.name, s.default_status.value) for s in repository.schedule_defs} == {
        ("daily_market_sync", "RUNNING"),
        ("watched_sync", "RUNNING"),
        ("incremental_sync", "STOPPED"),
    }
    assert {(s.name, s.default_status.value, s.minimum_interval_seconds) for s in repository.sensor_defs} == {
        ("ranking_sensor", "RUNNING", 30),
        ("failed_symbols_sensor", "RUNNING", 30),
        ("alert_sensor", "RUNNING", 30),
        ("universe_sensor", "RUNNING", 30),
        ("refresh_sensor", "RUNNING", 10),
        ("watchdog_sensor", "RUNNING", 30),
    }


def test_a_backfill_takes_200_symbols_a_run_and_a_sync_holds_a_pool_slot(definitions: dg.Definitions) -> None:
    asset = definitions.resolve_assets_def("stock_premiums")

    assert asset.backfill_policy == dg.BackfillPolicy.multi_run(200)
    assert asset.op.pool == "market_data"


def test_steps_run_in_one_process(definitions: dg.Definitions) -> None:
    assert definitions.resolve_job_def("sync_market_data").executor_def.name == "in_process"
    assert definitions.resolve_implicit_global_asset_job_def().executor_def.name == "in_process"


def test_workspace_file_names_a_module_with_definitions() -> None:
    (origin,) = location_origins_from_yaml_paths([str(PROJECT_ROOT / "workspace.yaml")])

    assert origin.loadable_target_origin.module_name == "optsync_pipeline.definitions"


def test_instance_file_is_one_that_dagster_takes(tmp_path: Path) -> None:
    """All but the storage, which needs a server: tested in integration/."""
    (tmp_path / "dagster.yaml").write_bytes((PROJECT_ROOT / "dagster.yaml").read_bytes())
    sqlite = {"sqlite": {"base_dir": str(tmp_path)}}

    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"storage": sqlite}) as instance:
        pool = instance.get_concurrency_config().pool_config

        assert (pool.default_pool_limit, pool.pool_granularity) == (4, PoolGranularity.RUN)
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.run_coordinator.dequeue_use_threads
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 10
        assert {limit["key"]: limit["limit"] for limit in queue.tag_concurrency_limits} == {
            "dagster/backfill": 1,
            "optsync/unattended": 2,
            "optsync/job_id": 1,
        }
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
