"""Take one picture per desk, language and size of a freshly seeded demo: `python -m tools.screens`, into var/screens/."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from telemed.keeper import keep
from telemed.settings import from_environment
from telemed.up import Together, start_all
from tests import run_clock
from tests.browser.conftest import FLAGS, chromium_path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "var" / "screens"
SIZES = ((1280, 800), (390, 844))
LANGUAGES = ("ru", "be", "en")
DESKS: dict[str, tuple[str, ...]] = {
    "clerk": ("/counter", "/day", "/patients", "/patients/new", "/invitations", "/branch"),
    "doctor": ("/doctor", "/roster"),
    "pharmacist": ("/pharmacy",),
    "dispatcher": ("/dispatch",),
    "postman": ("/round",),
    "coordinator": ("/pilot", "/complaints", "/coordinator/data"),
    "admin": ("/system",),
    "auditor": ("/audit",),
}


def main() -> int:
    """Start a demo in a folder of its own, walk through every desk, and say how many pictures there are."""
    TARGET.mkdir(parents=True, exist_ok=True)
    keep()
    with tempfile.TemporaryDirectory() as folder:
        environment = run_clock.environment(TELEMED_DEMO="1", TELEMED_DATA_DIR=folder, TELEMED_RADIO="simulated")
        together = Together(environment, Path(folder) / "log")
        if together.run("app.py", "migrate") or together.run("app.py", "demo", "--branches", "3", "--patients", "8"):
            return 1
        try:
            url = start_all(from_environment(environment, Path(folder)), together, print)
            count = _walk(url)
        finally:
            together.stop()
    print(f"{count} pictures in {TARGET.relative_to(ROOT)}/")
    return 0


def _walk(url: str) -> int:
    count = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), headless=False, args=FLAGS)
        for language in LANGUAGES:
            for width, height in SIZES:
                for role, paths in DESKS.items():
                    page = _desk(browser, url, role, language, (width, height))
                    for path in paths:
                        count += _take(page, path, f"{role}-{path.strip('/').replace('/', '-')}-{language}-{width}")
                    page.context.close()
                print(f"  {language} {width}x{height}")
        count += _a_visit(browser, url)
        browser.close()
    return count


def _context(browser: Browser, url: str, language: str, size: tuple[int, int]) -> BrowserContext:
    context = browser.new_context(
        base_url=url, viewport={"width": size[0], "height": size[1]}, permissions=["camera", "microphone"]
    )
    context.add_cookies([{"name": "lang", "value": language, "url": url}])
    return context


def _desk(browser: Browser, url: str, role: str, language: str, size: tuple[int, int]) -> Page:
    page = _context(browser, url, language, size).new_page()
    page.goto("/sign-in")
    page.locator(f"form:has(input[value='demo.{role}']) button").click()
    page.wait_for_load_state()
    return page


def _take(page: Page, path: str, name: str) -> int:
    page.goto(path)
    page.wait_for_timeout(250)
    page.screenshot(path=str(TARGET / f"{name}.png"), full_page=True)
    return 1


def _a_visit(browser: Browser, url: str) -> int:
    """Picture the questions, the red card and the doctor's case with one visit, at both sizes."""
    clerk = _desk(browser, url, "clerk", "ru", SIZES[0])
    clerk.goto("/invitations")
    link = clerk.locator("a[href*='/booking/slots']").first.get_attribute("href") or ""
    patient = link.split("patient_id=")[1].split("&")[0]
    clerk.goto(f"/patients/{patient}")
    clerk.select_option("form[action$='/walk-in'] select", "document")
    clerk.locator("form[action$='/walk-in'] button").click()
    clerk.wait_for_url("**/questions")
    pages = [(clerk.url, "visit-questions")]
    clerk.locator("#symptom-chest_pain input[value=yes]").check(force=True)
    clerk.locator("form[action$='/questions'] button[type=submit]").click()
    clerk.wait_for_url("**/emergency")
    pages.append((clerk.url, "visit-red-card"))
    pages.append((clerk.url.replace("/visits/", "/counter/visits/").replace("/emergency", ""), "visit-counter"))
    doctor = _desk(browser, url, "doctor", "ru", SIZES[0])
    doctor.locator("form[action$='/take'] button").first.click()
    doctor.wait_for_url("**/doctor/cases/*")
    count = 0
    for page, wanted in ((clerk, pages), (doctor, [(doctor.url, "doctor-case")])):
        for size in SIZES:
            page.set_viewport_size({"width": size[0], "height": size[1]})
            for address, name in wanted:
                count += _take(page, address, f"{name}-ru-{size[0]}")
    return count


if __name__ == "__main__":
    sys.exit(main())
