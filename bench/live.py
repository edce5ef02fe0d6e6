"""What people wait for: from a meter's indication to the doctor's screen, and how heavy each role's first page is."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import sync_playwright

from bench.figure import Figure, quantile
from telemed.consultation.rules import DESPITE
from telemed.demo import PASSWORD
from telemed.settings import from_environment
from telemed.up import Together, start_all
from tests import run_clock
from tests.browser.conftest import FLAGS, chromium_path
from tests.journey.browser import Browser
from tests.journey.sockets import Line

MEASURED = 20
PAGES = {"clerk": ("/counter", 60), "doctor": ("/doctor", 100), "postman": ("/round", 50), "coordinator": ("/pilot", 80)}


def figures() -> list[Figure]:
    """Return `indication_to_doctor_ms` and `page_bytes_<role>` with `_again` for the second visit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = run_clock.environment(TELEMED_DEMO="1", TELEMED_DATA_DIR=name, TELEMED_RADIO="simulated")
        together = Together(environment, folder / "log")
        together.run("app.py", "migrate")
        together.run("app.py", "demo", "--branches", "1", "--patients", "5")
        try:
            url = start_all(from_environment(environment, folder), together, lambda _sentence: None)
            control = httpx.URL(_run_file(folder / "meters" / "run.json")["control"])
            return [asyncio.run(_indication(url, control, folder)), *_pages(url)]
        finally:
            together.stop()


def _run_file(path: Path) -> dict[str, str]:
    return dict(httpx.Response(200, content=path.read_bytes()).json())


async def _indication(url: str, control: httpx.URL, folder: Path) -> Figure:
    clerk, doctor = Browser(url, "clerk"), Browser(url, "doctor")
    for person, role in ((clerk, "clerk"), (doctor, "doctor")):
        page = await person.open("/sign-in")
        await person.submit(page.form("/sign-in", "password"), page, login=f"demo.{role}", password=PASSWORD)
    visit, case = await _open_visit(clerk, doctor)
    line = await Line.of(doctor, f"visit:{visit}")
    path = f"/doctor/cases/{case}/values"
    seen: dict[int, float] = {}
    async with httpx.AsyncClient(trust_env=False) as button:
        for number in range(MEASURED):
            values = {"systolic": 120 + number, "diastolic": 80, "pulse": 70}
            await button.post(f"{control}/measure", json={"meter": "blood_pressure", "values": values, "fault": None})
            deadline = time.monotonic() + 10
            while number not in seen and time.monotonic() < deadline:
                await line.wait(2)
                if f"{120 + number}/80" in (await doctor.client.get(path)).text:
                    seen[number] = time.time()
    bare = [await _timed(doctor, path) for _ in range(10)]
    await line.close()
    await clerk.close()
    await doctor.close()
    waits = [1000 * (at - came) for at, came in zip(seen.values(), _indicated(folder), strict=False)]
    p50, p95, read = statistics.median(waits), quantile(waits, 0.95), statistics.median(bare)
    goal = "p95 under 500; the yardstick is one read of the doctor's values"
    return Figure("indication_to_doctor_ms", p95, "ms", read, p95 / read, goal, p50, p95)


async def _open_visit(clerk: Browser, doctor: Browser) -> tuple[str, str]:
    """Open a visit, hand it to the doctor, who takes it; return visit and case."""
    page = await clerk.open("/invitations")
    link = page.link(r".*/booking/slots.*")
    patient = link.split("patient_id=")[1][:36]
    page = await clerk.open(f"/patients/{patient}")
    page = await clerk.submit(page.form("/counter/walk-in"), page, identified_by="document")
    form = page.form(r"/visits/[0-9a-f-]{36}/questions")
    visit = form.action.split("/")[-2]
    answers = {field: "no" for field in form.options if field.startswith("symptom-")}
    await clerk.submit(form, page, fasting="yes", arm="left", cuff="medium", **answers)
    page = await clerk.open(f"/counter/visits/{visit}")
    # The doctor talks while the meter measures: the case goes over before it is complete, for a reason.
    await clerk.submit(page.form(r"/visits/[0-9a-f-]{36}/finish"), page, despite=DESPITE[0])
    for _ in range(50):
        page = await doctor.open("/doctor")
        if page.has(r"/consultations/[0-9a-f-]{36}/take"):
            break
        await asyncio.sleep(0.1)
    form = page.form(r"/consultations/[0-9a-f-]{36}/take")
    await doctor.submit(form, page)
    return visit, form.action.split("/")[-2]


async def _timed(person: Browser, path: str) -> float:
    begun = time.perf_counter()
    await person.client.get(path)
    return 1000 * (time.perf_counter() - begun)


def _indicated(folder: Path) -> list[float]:
    """Return when the gateway received each indication, by the clock of this machine."""
    database = sqlite3.connect(f"file:{folder / 'server' / 'telemed.db'}?mode=ro", uri=True)
    rows = database.execute("SELECT received_at FROM reading ORDER BY received_at").fetchall()
    database.close()
    return [datetime.fromisoformat(row[0]).replace(tzinfo=UTC).timestamp() for row in rows]


def _pages(url: str) -> list[Figure]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), headless=False, args=FLAGS)
        found = [figure for role, (path, budget) in PAGES.items() for figure in _page(browser, url, role, path, budget)]
        found += _page(browser, url, None, "/card", 40)
        browser.close()
    return found


def _page(browser: Chromium, url: str, role: str | None, path: str, budget_kb: int) -> list[Figure]:
    """Weigh a first visit, a new browser with the session's cookie and nothing kept, and the second one."""
    context = browser.new_context(base_url=url)
    if role is not None:
        page = context.new_page()
        page.goto("/sign-in")
        page.locator(f"form:has(input[value='demo.{role}']) button").click()
        page.wait_for_load_state("networkidle")
        cookies = context.cookies()
        context.close()
        context = browser.new_context(base_url=url, service_workers="block")
        context.add_cookies(cookies)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    weights: list[float] = []
    session.on("Network.loadingFinished", lambda event: weights.append(event["encodedDataLength"]))
    figures = []
    for name, limit_kb in ((f"page_bytes_{role or 'patient'}", budget_kb), (f"page_bytes_{role or 'patient'}_again", 15)):
        weights.clear()
        page.goto(path, wait_until="load")
        page.wait_for_timeout(1500)
        goal = f"at most {limit_kb} kB on the wire, all included"
        weight = sum(weights) / 1000
        figures.append(Figure(name, weight, "kB", float(limit_kb), weight / limit_kb, goal))
    context.close()
    return figures
