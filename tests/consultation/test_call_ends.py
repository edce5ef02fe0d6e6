"""On every way out of a talk camera and microphone stop, on both sides, in every browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from telemed.access import accounts
from telemed.bootstrap import Application
from telemed.checkup import service as checkup
from telemed.consultation import service, service_handover
from telemed.services import Services
from telemed.web.live import COOKIE
from tests import cast
from tests.browser.conftest import FLAGS, chromium_path
from tests.delivery.test_offline_browser import address, sign_in  # noqa: F401 - fixtures
from tests.firefox import firefox_or_skip
from tests.village import until

pytestmark = pytest.mark.browser
# Remembers every camera and microphone that the page was given.
WATCH = """
  window.given = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => {
    const stream = await open(wish);
    given.push(...stream.getTracks());
    return stream;
  };
"""
HEARD = (
    "given.filter(({ kind, readyState }) => kind === 'audio' && readyState === 'live').map(({ enabled }) => enabled)"
)
LIVE = "given.filter(({ readyState }) => readyState === 'live').length"


def is_watching(page: Page, number: int = 2) -> None:
    """Camera and microphone are open: the premise."""
    until(page, LIVE, lambda live: live == number, 15_000)


def has_let_go(page: Page) -> None:
    until(page, LIVE, lambda live: live == 0, 15_000)
    assert page.evaluate("given.length") > 0
    assert page.evaluate("document.querySelector('[data-call-local]')?.srcObject ?? null") is None


@dataclass
class Talk:
    """The corner's page and the doctor's."""

    clerk: Page
    doctor: Page
    case: UUID

    @property
    def sides(self) -> tuple[Page, Page]:
        return self.clerk, self.doctor

    def begin(self) -> None:
        """Let both begin, and wait until both see each other."""
        for side in self.sides:
            side.locator("[data-call-start]").click()
        for side in self.sides:
            is_talking(side)


def is_talking(side: Page, hear: str = "picture") -> None:
    expect(side.locator(f"[data-call][data-phase=talking][data-hear={hear}]")).to_be_attached(timeout=30_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), headless=False, args=FLAGS)
        yield browser
        browser.close()


def open_page(browser: Browser, services: Services, address: str, person: cast.Person, path: str) -> Page:  # noqa: F811
    context = browser.new_context(base_url=address, permissions=["camera", "microphone"])
    context.add_init_script(WATCH)
    sign_in(context, services, address, person)
    page = context.new_page()
    page.goto(path)
    return page


@pytest.fixture
def talk(browser: Browser, services: Services, address: str, case: UUID) -> Iterator[Talk]:  # noqa: F811
    """Both pages of Maria's case, which Vera has taken; the talk has not begun."""
    with services.db.read() as tx:
        row = service.consultation_of(tx, case)
        assert row is not None
        visit = row.visit_id
    clerk = open_page(browser, services, address, cast.ANNA, f"/counter/visits/{visit}")
    doctor = open_page(browser, services, address, cast.VERA, f"/doctor/cases/{case}")
    yield Talk(clerk, doctor, case)
    for side in (clerk, doctor):
        side.context.close()


@pytest.fixture
def running(talk: Talk) -> Talk:
    """The talk, with cameras and microphones open on both sides."""
    talk.begin()
    for side in talk.sides:
        is_watching(side)
    return talk


def test_a_case_given_back_closes_the_corners_devices_and_the_next_talk_opens_them(
    running: Talk, services: Services
) -> None:
    running.doctor.get_by_role("button", name="Give the case back to the queue").click()
    running.doctor.wait_for_url("**/doctor")
    has_let_go(running.clerk)
    expect(running.clerk.locator("[data-call][data-phase=ended]")).to_be_attached()
    for gone in ("[data-call-mic]", "[data-code-ask]", "[data-call-stage]"):
        expect(running.clerk.locator(gone)).to_be_hidden()

    service.take(services, cast.VERA.who, running.case)
    running.doctor.goto(f"/doctor/cases/{running.case}")
    running.begin()
    for side in running.sides:
        is_watching(side)
    service.give_back(services, cast.VERA.who, running.case)
    for side in running.sides:
        has_let_go(side)


def test_a_case_handed_to_another_doctor_closes_them_on_both_sides(
    running: Talk, services: Services, second: cast.Person
) -> None:
    assert second.id is not None
    service_handover.hand_over(services, cast.VERA.who, running.case, second.id, "Следить за давлением")

    for side in running.sides:
        has_let_go(side)


def test_the_end_of_the_consultation_closes_them_and_offers_no_new_talk(running: Talk, services: Services) -> None:
    service.end(services, cast.VERA.who, running.case, "not_reached")

    for side in running.sides:
        has_let_go(side)
    expect(running.clerk.locator("[data-case-queued]")).to_have_count(0)
    expect(running.clerk.locator("[data-call-start]")).to_be_hidden()


@pytest.mark.parametrize("who", ["clerk", "doctor"])
def test_a_session_that_ended_closes_them_and_the_way_back_leads_into_the_talk(
    running: Talk, services: Services, application: Application, who: str
) -> None:
    side: Page = getattr(running, who)
    token = next(cookie["value"] for cookie in side.context.cookies() if cookie["name"] == COOKIE)
    accounts.sign_out(services, accounts.who_is(services, token))
    application.live.end_dead()  # the running server looks every few seconds

    has_let_go(side)
    assert side.evaluate(f"sessionStorage.getItem('call-on:{running.case}')") == "1"


def test_a_corner_that_waits_for_a_doctor_closes_them_when_its_visit_ends(talk: Talk, services: Services) -> None:
    service.give_back(services, cast.VERA.who, talk.case)
    talk.clerk.locator("[data-call-start]").click()
    until(talk.clerk, LIVE, lambda live: live == 2, 15_000)

    checkup.close_visit(services, cast.ANNA.who, UUID(talk.clerk.url.rsplit("/", 1)[1]))

    has_let_go(talk.clerk)
    expect(talk.clerk.locator("[data-call-start]")).to_be_hidden()


def test_a_talk_that_never_began_is_not_offered_after_the_consultation_ended(talk: Talk, services: Services) -> None:
    expect(talk.clerk.locator("[data-call-start]")).to_be_visible()
    service.end(services, cast.VERA.who, talk.case, "not_reached")

    expect(talk.clerk.locator("[data-call-start]")).to_be_hidden()
    expect(talk.clerk.locator("[data-call-state]")).to_have_text("The call has ended")


def test_by_telephone_nothing_is_seen_or_heard_and_the_way_back_opens_them_as_they_were(running: Talk) -> None:
    running.clerk.locator("[data-call-mic]").click()
    expect(running.clerk.locator("[data-call-mic]")).to_have_text("Unmute")
    running.doctor.locator("[data-call-telephone]").click()
    for side in running.sides:
        expect(side.locator("[data-call][data-step=telephone]")).to_be_attached()
        has_let_go(side)
        expect(side.locator("[data-call-mic]")).to_be_hidden()

    running.doctor.locator("[data-call-telephone]").click()
    for side in running.sides:
        is_watching(side)
        is_talking(side)
    expect(running.clerk.locator("[data-call-mic]")).to_have_text("Unmute")
    assert running.clerk.evaluate(HEARD) == [False], "who was muted stays muted"


def test_a_device_that_was_left_for_another_one_lets_go_and_takes_up_again(
    running: Talk,
    browser: Browser,
    services: Services,
    address: str,  # noqa: F811
) -> None:
    other = open_page(browser, services, address, cast.ANNA, running.clerk.url)
    other.locator("[data-call-start]").click()
    expect(other.locator("[data-call-elsewhere]")).to_be_visible(timeout=15_000)
    has_let_go(other)  # nobody is asked in there yet
    other.locator("[data-call-here]").click()
    has_let_go(running.clerk)
    is_talking(other)
    is_watching(other)

    running.clerk.locator("[data-call-here]").click()
    is_talking(running.clerk)
    is_watching(running.clerk)
    has_let_go(other)
    other.context.close()


def test_what_a_browser_gives_only_after_the_end_is_stopped_at_once(talk: Talk, services: Services) -> None:
    talk.clerk.evaluate("""() => {
      const open = navigator.mediaDevices.getUserMedia;
      navigator.mediaDevices.getUserMedia = async (wish) => {
        await new Promise((allow) => { window.allow = allow; });
        return open(wish);
      };
    }""")
    talk.clerk.locator("[data-call-start]").click()
    until(talk.clerk, "typeof window.allow", lambda kind: kind == "function")
    talk.clerk.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    talk.clerk.evaluate("allow()")

    until(talk.clerk, "given.length", lambda number: number > 0)
    has_let_go(talk.clerk)


def test_a_doctor_with_firefox_lets_go_of_them_too(
    talk: Talk,
    services: Services,
    address: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    token = accounts.open_session(services, account_id=cast.VERA.id)
    with firefox_or_skip(tmp_path / "profile") as fox:
        fox.goto(f"{address}/sign-in")
        fox.cookie(address, COOKIE, token)
        fox.goto(f"{address}/doctor/cases/{talk.case}")
        fox.evaluate(f"(() => {{ {WATCH} }})()")
        talk.clerk.locator("[data-call-start]").click()
        fox.click("[data-call-start]")
        fox.until("!!document.querySelector('[data-call][data-phase=talking]')")
        assert fox.evaluate(LIVE) == 2

        service.give_back(services, cast.VERA.who, talk.case)
        fox.until(f"{LIVE} === 0")
        assert fox.evaluate("document.querySelector('[data-call-local]').srcObject") is None
    has_let_go(talk.clerk)
