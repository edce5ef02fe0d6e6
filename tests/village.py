"""A real call between two sites: the server and its media process, and one Chromium at each end of the emulated lines.
`village` is the fixture; `bench/` starts its own. Both sides sign in through the product's pages.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Playwright, WebSocket, expect, sync_playwright

from telemed.demo import PASSWORD
from telemed.serve import free_port
from telemed.up import Together
from tests import run_clock
from tests.browser.conftest import FLAGS, chromium_path
from tests.journey.browser import Browser
from tests.line import SITES, LineEmulator
from tests.voice import write_voice

HAPPENS_WITHIN_MS = 60_000  # generous: how long it takes is a figure of bench/
CASE = r"/consultations/[0-9a-f-]{36}/take"

# Notes by the wall clock, which both sites share, when each phase began and when the first picture was shown.
WATCH = """
window.noted = { phases: [], firstPicture: null };
new MutationObserver(() => {
  const phase = document.querySelector("[data-call]")?.dataset.phase;
  const last = window.noted.phases.at(-1)?.phase;
  if (phase && phase !== last) window.noted.phases.push({ phase, at: Date.now() });
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-phase"] });
document.addEventListener("DOMContentLoaded", () => {
  const picture = document.querySelector("[data-call-remote]");
  picture?.requestVideoFrameCallback(() => { window.noted.firstPicture = Date.now(); });
});
"""
# What a connection received so far: packets of voice, pictures, samples that were invented. `pair` is the path in use.
FIGURES = """async () => {
  const { connection } = document.querySelector("[data-call]").callPeer;
  const stats = await connection.getStats();
  const state = connection.connectionState;
  const found = { at: Date.now(), state, packets: 0, frames: 0, samples: 0, invented: 0, pair: null };
  for (const entry of stats.values()) {
    if (entry.type === "inbound-rtp" && entry.kind === "audio") {
      found.packets += entry.packetsReceived ?? 0;
      found.samples += entry.totalSamplesReceived ?? 0;
      found.invented += (entry.concealedSamples ?? 0) - (entry.silentConcealedSamples ?? 0);
    }
    if (entry.type === "inbound-rtp" && entry.kind === "video") found.frames += entry.framesDecoded ?? 0;
    if (entry.type === "transport" && entry.selectedCandidatePairId) {
      const pair = stats.get(entry.selectedCandidatePairId);
      const [local, remote] = [pair.localCandidateId, pair.remoteCandidateId].map((id) => stats.get(id)?.candidateType);
      found.pair = { local, remote };
    }
  }
  found.credentials = /a=ice-ufrag:(\\S+)/.exec(connection.currentLocalDescription?.sdp ?? "")?.[1] ?? null;
  return found;
}"""
CHECK = """async () => {
  const { checkLine } = await import("/static/js/lib/line-check.js");
  return checkLine().catch((error) => ({ failed: error.message }));
}"""
SAMPLE = f"""() => {{
  const look = {FIGURES};
  window.samples = [];
  setInterval(async () => window.samples.push(await look()), 100);
}}"""


def until(page: Page, script: str, is_right: Callable[[Any], bool], limit_ms: int = HAPPENS_WITHIN_MS) -> Any:
    """Return what `script` gives as soon as it is right. `wait_for_function` would need eval, which our CSP forbids."""
    deadline = time.monotonic() + limit_ms / 1000
    while True:
        found = page.evaluate(script)
        if is_right(found):
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"this did not happen within {limit_ms} ms; at last: {found}")
        page.wait_for_timeout(100)


def until_more(page: Page, *names: str, by: int = 5) -> dict[str, Any]:
    """Wait until figures have grown since now: packets of voice still come, pictures are still shown."""
    before = page.evaluate(FIGURES)
    return dict(until(page, FIGURES, lambda now: all(now[name] > before[name] + by for name in names)))


@dataclass
class Village:
    """A running server, two browsers, one consultation that a doctor has taken."""

    folder: Path
    lines: LineEmulator
    playwright: Playwright
    environment: dict[str, str] = field(default_factory=dict)
    browsers: dict[str, Chromium] = field(default_factory=dict)
    contexts: list[BrowserContext] = field(default_factory=list)
    cookies: dict[str, list[Any]] = field(default_factory=dict)
    socket_bytes: int = 0

    def start(self) -> None:
        """Seed a demo, start the server, lead the hub to it, sign both in and let the doctor take a case."""
        self.port = free_port()
        own = {"TELEMED_DEMO": "1", "TELEMED_DATA_DIR": str(self.folder), "TELEMED_PORT": str(self.port)}
        self.together = Together(run_clock.environment(**own, **self.environment), self.folder / "log")
        assert self.together.run("app.py", "migrate") == 0
        assert self.together.run("app.py", "demo", "--branches", "1", "--patients", "4") == 0
        self.start_server()
        self.url = self.lines.forward(self.port)
        self.visit, self.case = in_a_thread(self._take_a_case())

    def start_server(self, **changed: str) -> None:
        """Start the server, also again after `stop_server`, with some settings changed."""
        self.together.environment.update(changed)
        self.together.start("server", "app.py", "serve")
        self.together.wait_for(self.folder / "server" / "run.json", "server")

    def stop_server(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server alone."""
        server = self.together.started.pop()
        server.process.send_signal(number)
        server.process.wait(15)

    def media_pid(self) -> int | None:
        """Return the process id of the media process, None while it starts."""
        with suppress(OSError, ValueError):
            return int(json.loads((self.folder / "media" / "run.json").read_text())["pid"])
        return None

    async def _take_a_case(self) -> tuple[str, str]:
        """Return visit and case of a consultation that the doctor has taken, by the pages' own forms."""
        near = f"http://127.0.0.1:{self.port}"
        clerk, doctor = Browser(near, "clerk"), Browser(near, "doctor")
        for person, role in ((clerk, "clerk"), (doctor, "doctor")):
            page = await person.open("/sign-in")
            await person.submit(page.form("/sign-in", "password"), page, login=f"demo.{role}", password=PASSWORD)
        visit = await _open_visit(clerk)
        case = await _take(doctor)
        for site, person in (("corner", clerk), ("doctor", doctor)):
            self.cookies[site] = [(cookie.name, cookie.value) for cookie in person.client.cookies.jar]
            await person.close()
        return visit, case

    def page(self, site: str) -> Page:
        """Return the site's page of the call, loaded over its line as it is now, the talk not yet begun."""
        context = self._browser(site).new_context(base_url=self.url, permissions=["camera", "microphone"])
        self.contexts.append(context)
        context.set_default_timeout(HAPPENS_WITHIN_MS)
        cookies = [*self.cookies[site], ("lang", "en")]
        context.add_cookies([{"name": name, "value": value or "", "url": self.url} for name, value in cookies])
        context.add_init_script(WATCH)
        page = context.new_page()
        page.on("websocket", self._count)
        page.goto(f"/counter/visits/{self.visit}" if site == "corner" else f"/doctor/cases/{self.case}")
        page.locator("[data-call-start]").wait_for()
        return page

    def pages(self) -> dict[str, Page]:
        """Return both sites' pages, the talk not yet begun."""
        return {site: self.page(site) for site in SITES}

    def talk(self, pages: dict[str, Page]) -> None:
        """Let both begin to talk, and wait until both say that they hear or see each other."""
        for page in pages.values():
            page.locator("[data-call-start]").click()
        for page in pages.values():
            expect(page.locator("[data-call]")).to_have_attribute("data-phase", "talking", timeout=HAPPENS_WITHIN_MS)

    def close_pages(self) -> None:
        """End the calls by closing their windows."""
        for context in self.contexts:
            context.close()
        self.contexts.clear()

    def close(self) -> None:
        """Close browsers and server."""
        with suppress(Exception):  # a browser that died with its test must not keep the rest alive
            self.close_pages()
        for browser in self.browsers.values():
            with suppress(Exception):
                browser.close()
        self.together.stop()

    def _count(self, socket: WebSocket) -> None:
        def add(payload: str | bytes) -> None:
            self.socket_bytes += len(payload)

        socket.on("framesent", add)
        socket.on("framereceived", add)

    def _browser(self, site: str) -> Chromium:
        if site not in self.browsers:
            voice = self.folder / f"{site}.wav"
            write_voice(voice, 140 if site == "corner" else 210)
            flags = [f"--unsafely-treat-insecure-origin-as-secure={self.url}", f"--use-file-for-fake-audio-capture={voice}"]
            self.browsers[site] = self.playwright.chromium.launch(
                executable_path=self.lines.browser_wrapper(site, chromium_path()), headless=False, args=[*FLAGS, *flags]
            )
        return self.browsers[site]


def in_a_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine: Playwright's own loop runs in the main thread and allows no second one."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()


async def _open_visit(clerk: Browser) -> str:
    page = await clerk.open("/invitations")
    patient = page.link(r".*/booking/slots.*").split("patient_id=")[1][:36]
    page = await clerk.open(f"/patients/{patient}")
    page = await clerk.submit(page.form("/counter/walk-in"), page, identified_by="document")
    form = page.form(r"/visits/[0-9a-f-]{36}/questions")
    visit = form.action.split("/")[-2]
    answers = {name: "no" for name in form.options if name.startswith("symptom-")}
    await clerk.submit(form, page, fasting="yes", arm="left", cuff="medium", **answers)
    page = await clerk.open(f"/counter/visits/{visit}")
    form = page.form(rf"/visits/{visit}/finish")
    await clerk.submit(form, page, despite="meter_silent")
    return visit


async def _take(doctor: Browser) -> str:
    for _ in range(100):
        page = await doctor.open("/doctor")
        if page.has(CASE):
            break
        await asyncio.sleep(0.1)
    form = page.form(CASE)
    await doctor.submit(form, page)
    return re.findall(r"[0-9a-f-]{36}", form.action)[0]


def samples_until(
    page: Page, condition: Callable[[list[dict[str, Any]]], bool], limit_s: float = 60
) -> list[dict[str, Any]]:
    """Return the page's samples (see SAMPLE) as soon as `condition(samples)` holds, or when the limit is over."""
    deadline = time.monotonic() + limit_s
    while True:
        samples = list(page.evaluate("window.samples"))
        if condition(samples) or time.monotonic() > deadline:
            return samples
        page.wait_for_timeout(200)


def open_village(folder: Path, lines: LineEmulator, playwright: Playwright, **environment: str) -> Village:
    """Return a started village. What was started is stopped again when the start fails."""
    village = Village(folder, lines, playwright, environment)
    try:
        village.start()
    except BaseException:
        village.close()
        raise
    return village


@pytest.fixture(scope="module")
def village(line_emulator: LineEmulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    """The server and two sites; one for all tests of a module."""
    with sync_playwright() as playwright:
        village = open_village(tmp_path_factory.mktemp("village"), line_emulator, playwright)
        yield village
        village.close()


@pytest.fixture
def quiet_village(village: Village, lines: LineEmulator) -> Iterator[Village]:
    """The village with clean lines and nobody in a call."""
    yield village
    village.close_pages()


