"""The web UI as a person sees it: Dagster's own pages, in a real browser, on what `optsync up` serves.

What Dagster says of partitions through its API is in test_dagster_partitions.py; how `up` ends is in
test_cli_services.py.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import pytest
from playwright.sync_api import Locator, Page, expect

from optsync_pipeline.definitions import build_definitions
from optsync_pipeline.sandbox.running import Sandbox, sandbox_process
from optsync_pipeline.settings import load_settings
from optsync_pipeline_tests.browser import PATIENCE_MILLISECONDS, open_browser, take_picture
from optsync_pipeline_tests.commands import Ended, run_program, start_program
from optsync_pipeline_tests.integration.test_cli_services import free_port
from optsync_pipeline_tests.postgres import new_open_folder

SYMBOLS = 24
NEVER_SYNCED = "AMD"
BAD = "TSLA"
BACKFILLED = ("AAPL", "MSFT", BAD, "NVDA")
TABLES = ("stock_prices", "option_chains", "stock_premiums", "premium_rankings")
GREEN, RED = re.compile("accent-green"), re.compile("accent-red")
JOB_PAGE = "/locations/optsync_pipeline/jobs/sync_market_data"


@dataclass
class Installation:
    """A running installation on a sandbox market, and a browser that looks at it."""

    url: str
    settings: dict[str, str]
    sandbox: Sandbox
    page: Page

    def open(self, path: str) -> Page:
        """Open a page of the web UI."""
        self.page.goto(self.url + path)
        return self.page

    def run(self, *arguments: str) -> Ended:
        """Run a command on this installation to its good end."""
        ended = run_program(*arguments, settings=self.settings)
        assert ended.exit_code == 0, ended.err
        return ended


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """`optsync up` on a market of 24 stocks, all synced but one."""
    with open_browser() as page, new_open_folder() as folder, sandbox_process(symbols=SYMBOLS) as sandbox:
        settings = {
            "OPTSYNC_HOME": str(folder / "home"),
            "OPTSYNC_DATABASE_URL": "",
            "OPTSYNC_DAGSTER_DATABASE_URL": "",
            "OPTSYNC_WEBSERVER_PORT": str(free_port()),
            "OPTSYNC_METRICS_PORT": str(free_port()),
            **sandbox.environment_of("yahoo", "cboe"),
        }
        found = Installation(f"http://127.0.0.1:{settings['OPTSYNC_WEBSERVER_PORT']}", settings, sandbox, page)
        try:
            market = folder / "market.csv"
            market.write_bytes(sandbox.symbols_csv())
            found.run("stocks", "import", str(market))
            up = start_program("up", "--detach", settings=settings)
            found.run("sync", *(symbol for symbol in sandbox.symbols() if symbol != NEVER_SYNCED))
            out, err = up.communicate()
            assert up.returncode == 0, out + err
            yield found
        finally:
            run_program("down", settings=settings)


def launch(page: Page, *symbols: str) -> None:
    """Choose partitions in the dialog of the job's page, and launch them."""
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.locator(".dagster-dialog")
    dialog.get_by_text("Select a partition or create one").click()
    search = page.get_by_placeholder("Filter partitions")
    for symbol in symbols:
        search.fill(symbol)
        page.locator("label", has_text=re.compile(f"^{symbol}")).first.click()
    dialog.get_by_text("Partition selection").click()  # closes the list
    dialog.get_by_role("button", name=re.compile("^Launch")).click()
    expect(dialog).to_have_count(0)


def dot_of(page: Page, symbol: str) -> Locator:
    """Return the coloured dot beside a partition in an asset's list of them."""
    return page.locator(f"div:has(> [data-tooltip='{symbol}']) > div[style*=background]").last


def wait_for_colour(page: Page, symbol: str, colour: re.Pattern[str]) -> None:
    """Look again until a partition has its colour: the page itself looks rarely, and misses runs that are quick."""
    deadline = time.monotonic() + PATIENCE_MILLISECONDS / 1000
    while True:
        dot = dot_of(page, symbol)
        expect(dot).to_be_visible()
        if colour.search(dot.get_attribute("style") or ""):
            return
        assert time.monotonic() < deadline, f"{symbol} never became {colour.pattern}"
        page.wait_for_timeout(1_000)
        page.reload()


def move_graph(page: Page, pixels: int) -> None:
    """Drag the graph to the right by its background."""
    page.mouse.move(400, 250)
    page.mouse.down()
    page.mouse.move(400 + pixels, 250, steps=5)
    page.mouse.up()


def switch_of(page: Page, name: str) -> Locator:
    """Return the switch of a schedule or sensor on the page of them."""
    switch = "label[contains(@class, 'formatSwitch')]"
    row = page.get_by_text(name, exact=True).first.locator(f"xpath=ancestor::*[.//{switch}][1]")
    return row.locator(f"xpath=.//{switch}//input")


def test_the_graph_shows_the_four_tables_with_their_checks(installation: Installation) -> None:
    page = installation.open("/asset-groups")
    page.get_by_role("button", name="panel_show_right Hide").click()
    page.get_by_role("button", name="panel_show_right", exact=True).click()
    expect(page.get_by_text("premium_rankings").first).to_be_visible()
    zoom_in = page.get_by_role("button").filter(has=page.get_by_label("zoom_in"))
    for _ in range(5):  # of tables seen from afar only the names are shown
        zoom_in.click()
    expect(page.get_by_text("Asset checks")).to_have_count(len(TABLES) + 1)  # and sync_jobs, the log of syncs
    move_graph(page, 220)
    for table in TABLES:
        expect(page.get_by_text(table, exact=True).first).to_be_visible()
    take_picture(page, "asset_graph", page.get_by_text("Passed").first)


def test_the_checks_say_what_was_found(installation: Installation) -> None:
    page = installation.open("/assets/stock_premiums?view=checks")
    expect(page.get_by_text("premium_schema").first).to_be_visible()
    expect(page.get_by_text("Passed").first).to_be_visible()
    take_picture(page, "checks")


def test_what_is_to_run_by_itself_is_on(installation: Installation) -> None:
    definitions = build_definitions(load_settings(env_file=None)).get_repository_def()
    page = installation.open("/automation")
    for schedule in definitions.schedule_defs:
        wanted = schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        expect(switch_of(page, schedule.name)).to_be_checked(checked=wanted)
    for sensor in definitions.sensor_defs:
        wanted = sensor.default_status is dg.DefaultSensorStatus.RUNNING
        expect(switch_of(page, sensor.name)).to_be_checked(checked=wanted)
    take_picture(page, "automation")


def test_one_partition_is_launched_and_turns_green(installation: Installation) -> None:
    partitions = f"/assets/stock_prices?view=partitions&partition={NEVER_SYNCED}"
    page = installation.open(partitions)
    expect(dot_of(page, "KO")).to_have_attribute("style", GREEN)
    expect(dot_of(page, NEVER_SYNCED)).not_to_have_attribute("style", GREEN)
    launch(installation.open(JOB_PAGE), NEVER_SYNCED)
    page = installation.open(partitions)
    wait_for_colour(page, NEVER_SYNCED, GREEN)
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    take_picture(page, "partition", page.get_by_text("quote_time"))


def test_a_backfill_with_a_bad_symbol_is_shown_failed(installation: Installation) -> None:
    installation.sandbox.fault("html", symbol=BAD)
    launch(installation.open(JOB_PAGE), *BACKFILLED)
    page = installation.open("/runs?view=backfills")
    page.locator("a[href*='/runs/b/']").first.click()
    # The heading of a column, and the status: the daemon looks at backfills each 30 s.
    expect(page.get_by_text("Failed", exact=True)).to_have_count(2, timeout=2 * PATIENCE_MILLISECONDS)
    expect(page.get_by_text("100% completed")).to_be_visible()
    counts = page.get_by_role("row").or_(page.locator("tr")).last
    expect(counts).to_contain_text(re.compile(r"4\s*0\s*3\s*1"))
    take_picture(page, "backfill")
    page = installation.open(f"/assets/stock_prices?view=partitions&partition={BAD}")
    wait_for_colour(page, BAD, RED)
    expect(dot_of(page, "AAPL")).to_have_attribute("style", GREEN)
