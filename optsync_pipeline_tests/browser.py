"""A real headless Chromium for the tests of the web UI, and the pictures of docs/pictures.

Tests skip, with the reason, where there is none; with REQUIRE_BROWSER=1 (as .ci/run sets it) they fail. With
TAKE_PICTURES=1 the tests write docs/pictures; without it they leave the checkout as it is. Neither name begins with
OPTSYNC_: those are the program's settings, and it refuses others.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from optsync_pipeline.settings import PROJECT_ROOT

PICTURES = PROJECT_ROOT / "docs" / "pictures"
SIZE = {"width": 1440, "height": 900}
NAMES = ("chromium", "chromium-browser")
FLAGS = [
    "--no-sandbox",  # a browser that root starts has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MILLISECONDS = 60_000
BUSY = ".dagster-toast, [class*=Spinner_spinner], [aria-busy=true]"


@contextmanager
def open_browser() -> Iterator[Page]:
    """Give a page of a fresh Chromium until the block ends."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        reason = "no chromium on PATH: apt-get install chromium"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(f"REQUIRE_BROWSER=1, and there is {reason}")
        pytest.skip(reason)
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        try:
            page = browser.new_page(viewport=SIZE, locale="en-US", timezone_id="America/New_York")  # type: ignore[arg-type]
            page.set_default_timeout(PATIENCE_MILLISECONDS)
            yield page
        finally:
            browser.close()


def take_picture(page: Page, name: str, *shown: Locator) -> None:
    """Write docs/pictures/NAME.png where pictures were asked for: once `shown` is there, and nothing moves any more."""
    for locator in shown:
        expect(locator).to_be_visible()
    if os.environ.get("TAKE_PICTURES") != "1":
        return
    page.mouse.move(SIZE["width"] - 2, SIZE["height"] - 2)  # away from what shows a tooltip
    page.wait_for_load_state("networkidle")
    expect(page.locator(BUSY)).to_have_count(0)
    page.evaluate("document.fonts.ready")
    page.screenshot(path=picture_path(name), animations="disabled")


def picture_path(name: str) -> Path:
    """Return where a picture is kept."""
    return PICTURES / f"{name}.png"
