"""A whole demo, started as real processes in a fresh data folder, and a real browser with a fake camera."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from telemed.settings import from_environment
from telemed.up import Together, start_all
from tests import run_clock

ROOT = Path(__file__).parent.parent.parent
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--mute-audio",
]


def chromium_path() -> str:
    """Return the browser that set-up found, or fail with one sentence."""
    noted = ROOT / ".venv" / "chromium-path"
    for path in (os.environ.get("CHROMIUM_PATH"), noted.read_text().strip() if noted.exists() else None):
        if path and Path(path).exists():
            return path
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("No Chromium was found: install one, or set CHROMIUM_PATH to it.", pytrace=False)
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start server, media, meters and gateway; give the server's address."""
    folder = tmp_path_factory.mktemp("demo")
    environment = run_clock.environment(
        TELEMED_DEMO="1", TELEMED_DATA_DIR=str(folder), TELEMED_RADIO="simulated"
    )
    together = Together(environment, folder / "log")
    assert together.run("app.py", "migrate") == 0
    assert together.run("app.py", "demo", "--branches", "2", "--patients", "6") == 0
    try:
        yield start_all(from_environment(environment, folder), together, lambda _sentence: None)
    finally:
        together.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), headless=False, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def enter(chromium: Browser, demo: str) -> Iterator[Callable[..., BrowserContext]]:
    """Return a browser window in which one of the demo's people signed in by one click, in English."""
    contexts = []

    def enter(role: str | None, **options: object) -> BrowserContext:
        context = chromium.new_context(base_url=demo, permissions=["camera", "microphone"], **options)  # type: ignore[arg-type]
        context.add_cookies([{"name": "lang", "value": "en", "url": demo}])
        context.set_default_timeout(20_000)
        contexts.append(context)
        if role is not None:
            page = context.new_page()
            page.goto("/sign-in")
            page.locator(f"form:has(input[value='demo.{role}']) button").click()
            page.wait_for_url(lambda url: "/sign-in" not in url)
            page.close()
        return context

    yield enter
    for context in contexts:
        context.close()
