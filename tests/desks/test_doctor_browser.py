"""The doctor's pages in a real browser: what is in sight, and what the keys do."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from telemed.checkup import service as checkup
from telemed.consultation import service, service_gate
from telemed.consultation.models import CaseGap, Consultation
from telemed.readings import service as readings
from telemed.services import Services
from tests import cast
from tests.delivery.test_offline_browser import address, chromium, driver, page_of  # noqa: F401 - fixtures
from tests.make import Hands

pytestmark = pytest.mark.browser
ANSWERS = {"symptoms": ["dizziness"], "question": "Что с давлением?", "medicines": "", "allergies": "пенициллин: сыпь",
           "arm": "left", "cuff": "medium", "fasting": True}  # fmt: skip


@pytest.fixture
def page(chromium: Browser, address: str, services: Services) -> Iterator[Page]:  # noqa: F811
    """Vera's window, of the smallest size that a doctor's desk has."""
    with page_of(chromium, services, address, cast.VERA, 1280, 800) as page:
        yield page


@pytest.fixture
def incomplete(services: Services, hands: Hands) -> UUID:
    """A case with a pressure and without the medicines, which Vera has taken."""
    visit = hands.visit()
    checkup.answer_questions(services, cast.ANNA.who, visit, ANSWERS)
    pressure = {"systolic": 151, "diastolic": 88, "pulse": 70}
    readings.type_in(services, cast.ANNA.who, visit, "blood_pressure", pressure)
    service_gate.hand_to_doctors(services, cast.ANNA.who, visit, "patient_cannot_say")
    with services.db.write() as tx:
        case = service.queue_case(services, tx, visit)
    assert case is not None
    service.take(services, cast.VERA.who, case)
    return case


def test_allergies_what_is_missing_and_the_value_are_in_sight_at_once(page: Page, incomplete: UUID) -> None:
    page.goto(f"/doctor/cases/{incomplete}")

    for words in ("пенициллин: сыпь", "Came incomplete", "151/88"):
        expect(page.get_by_text(words)).to_be_in_viewport(ratio=1)


def test_the_mark_of_the_line_is_as_wide_as_its_word(page: Page) -> None:
    page.goto("/doctor")
    expect(page.locator(".badge.ok")).to_have_text("Live")

    box = page.locator(".badge.ok").bounding_box()
    assert box is not None
    assert (box["width"] < 120, box["height"] < 40) == (True, True)


def keys_shown(page: Page) -> list[str]:
    page.keyboard.press("?")
    return page.locator("#keys kbd:visible").all_text_contents()


def test_each_page_shows_the_keys_that_work_there(page: Page, services: Services, incomplete: UUID) -> None:
    page.goto("/doctor")
    assert keys_shown(page) == ["Q", "Esc", "?"]
    page.keyboard.press("q")
    expect(page.get_by_role("button", name="Go on")).to_be_focused()

    page.goto(f"/doctor/cases/{incomplete}")  # the only case of the queue is open here: there is nowhere to go in it
    assert keys_shown(page) == ["1 – 4", "V", "R", "O", "N", "W", "M", "P", "Esc", "?"]

    with services.db.write() as tx:  # the patient went home
        tx.get_one(Consultation, incomplete).stored_at = services.clock()
    page.reload()
    assert keys_shown(page) == ["1 – 4", "V", "R", "O", "N", "Esc", "?"]


@pytest.mark.parametrize(
    ("level", "despite", "rings"), [("RED", None, 1), ("GREEN", "cannot_wait", 1), ("AMBER", None, 0)]
)
def test_what_cannot_wait_rings_as_the_page_says(
    page: Page, services: Services, hands: Hands, level: str, despite: str | None, rings: int
) -> None:
    page.add_init_script("""
      window.rings = 0;
      OscillatorNode.prototype.start = () => { window.rings += 1; };
    """)
    page.goto("/doctor")
    expect(page.get_by_text("a red case and one called at once come first and ring")).to_be_visible()
    expect(page.locator(".badge.ok")).to_have_text("Live")
    visit = hands.visit()
    with services.db.write() as tx:
        if despite:
            tx.add(
                CaseGap(visit_id=visit, missing="vitals", despite=despite, noted_by=cast.ANNA.id, at=services.clock())
            )
        service.queue_case(services, tx, visit, level)

    expect(page.locator(".queue-case")).to_have_count(1)
    expect(page.get_by_text("A case that cannot wait: please take it now.")).to_have_count(rings)
    assert page.evaluate("window.rings") == rings


def test_a_page_that_may_not_sound_before_it_is_touched_says_so(page: Page) -> None:
    page.add_init_script("""
      let state = "suspended";
      Object.defineProperty(AudioContext.prototype, "state", { get: () => state });
      AudioContext.prototype.resume = async function () {
        state = "running";
        this.dispatchEvent(new Event("statechange"));
      };
    """)
    page.goto("/doctor")
    remark = page.get_by_text("This page is still silent")
    expect(remark).to_be_visible()
    page.locator("h1").click()
    expect(remark).to_be_hidden()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_an_ended_case_begins_with_what_was_decided(
    page: Page, services: Services, incomplete: UUID, width: int, height: int
) -> None:
    note = {"complaint": "Головная боль", "assessment": "ГБ II", "plan": "Дневник АД"}
    service.save_note(services, cast.VERA.who, incomplete, note, 0)
    service.end(services, cast.VERA.who, incomplete, "advised")
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"/doctor/cases/{incomplete}")

    expect(page.get_by_text("This consultation is over. Advised")).to_be_in_viewport(ratio=1)
    tops = [page.locator(place).bounding_box() for place in ("#note", "#values-title")]
    assert tops[0] is not None
    assert tops[1] is not None
    assert tops[0]["y"] <= tops[1]["y"]
    assert page.locator("#note-plan").evaluate(
        "field => [field.scrollHeight - field.clientHeight, getComputedStyle(field).borderTopWidth]"
    ) == [0, "0px"]


def test_scripts_write_dates_day_first_whatever_the_browser_speaks(page: Page) -> None:
    """Chromium answers Belarusian in its own language, month first; the chart's dates are written by our own words."""
    page.goto("/doctor")
    folder = page.locator("script[src*='/js/']").first.get_attribute("src").partition("/js/")[0]  # type: ignore[union-attr]
    moment = "Date.UTC(2026, 11, 31, 20, 58)"

    written = page.evaluate(
        f"""async () => {{
            const dates = await import("{folder}/js/lib/dates.js");
            return [dates.dayAndClock({moment}, "Europe/Moscow"), dates.shortDay({moment}, "Asia/Kamchatka"),
                    dates.clock({moment}, "Europe/Minsk")];
        }}"""
    )
    assert written == ["31.12.2026 23:58", "01.01", "23:58"]
