"""Nothing that a doctor does in the middle of a talk loads the page: the talk would be cut and the digits compared anew."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from telemed.consultation import service
from telemed.services import Services
from tests import cast
from tests.delivery.test_offline_browser import address, chromium, driver, sign_in  # noqa: F401 - fixtures

pytestmark = pytest.mark.browser


@pytest.fixture
def window(chromium: Browser, address: str, services: Services) -> Iterator[BrowserContext]:  # noqa: F811
    context = chromium.new_context(base_url=address)
    sign_in(context, services, address, cast.VERA)
    yield context
    context.close()


@pytest.fixture
def desk(window: BrowserContext, case: UUID) -> Page:
    """The case's page, marked so that a page that was loaded anew is noticed."""
    page = window.new_page()
    page.goto(f"/doctor/cases/{case}")
    page.evaluate("window.isTheSame = true")
    page.locator("[data-call]").evaluate("panel => { panel.dataset.same = 'yes'; }")
    return page


def is_the_same(page: Page, case: UUID) -> None:
    assert page.url.split("#")[0].endswith(f"/doctor/cases/{case}")
    assert page.evaluate("window.isTheSame") is True
    expect(page.locator("[data-call][data-same]")).to_be_attached()


def write(page: Page, directions: str = "Одна таблетка утром", packs: str = "1") -> None:
    if page.locator("#write").get_attribute("open") != "":
        page.locator("#write > summary").click()
    code = page.locator("#code-1 option:not([data-barred])").nth(1).get_attribute("value")
    page.select_option("#code-1", code)
    page.fill("#quantity-1", packs)
    page.fill("#days-1", "30")
    page.fill("#directions-1", directions)
    page.check("input[name=basis][value=experiment]", force=True)
    page.get_by_role("button", name="Save the draft").click()


def test_a_prescription_is_drafted_changed_signed_and_cancelled_without_leaving_the_page(
    desk: Page, case: UUID
) -> None:
    write(desk)
    expect(desk.locator("[data-prescription]")).to_contain_text("Одна таблетка утром")
    expect(desk.locator("#write")).not_to_have_attribute("open", "")
    is_the_same(desk, case)

    desk.get_by_role("button", name="Change").click()
    expect(desk.locator("#directions-1")).to_have_value("Одна таблетка утром")
    write(desk, "Одна таблетка вечером")
    expect(desk.locator("[data-prescription]")).to_contain_text("Одна таблетка вечером")
    is_the_same(desk, case)

    desk.get_by_role("button", name="Sign", exact=True).click()
    expect(desk.locator("[data-prescription] .badge.ok").first).to_be_visible()
    expect(desk.locator("#notices")).to_contain_text("Signed.")
    expect(desk.locator("[data-in-place=therapy]")).to_contain_text("Одна таблетка вечером")
    is_the_same(desk, case)

    desk.get_by_text("Cancel the prescription", exact=True).click()
    desk.get_by_role("button", name="Yes: cancel the prescription").click()
    expect(desk.locator("[data-prescription] .badge.off").first).to_be_visible()
    is_the_same(desk, case)


def test_what_was_refused_stands_beside_its_field_with_the_words_that_were_typed(desk: Page, case: UUID) -> None:
    write(desk, packs="99")

    expect(desk.locator(".error-summary")).to_be_focused()
    expect(desk.locator("#quantity-1")).to_have_attribute("aria-invalid", "true")
    expect(desk.locator("#directions-1")).to_have_value("Одна таблетка утром")
    is_the_same(desk, case)

    desk.fill("#quantity-1", "1")
    desk.get_by_role("button", name="Save the draft").click()
    expect(desk.locator("[data-prescription]")).to_have_count(1)
    expect(desk.locator(".error-summary")).to_have_count(0)
    is_the_same(desk, case)


def test_what_is_being_typed_into_another_form_stays(desk: Page, case: UUID) -> None:
    write(desk)
    expect(desk.locator("[data-prescription]")).to_have_count(1)
    desk.locator("#write > summary").click()
    desk.fill("#directions-1", "Ещё одно лекарство")
    desk.get_by_role("button", name="Sign", exact=True).click()

    expect(desk.locator("[data-prescription] .badge.ok").first).to_be_visible()
    expect(desk.locator("#directions-1")).to_have_value("Ещё одно лекарство")
    expect(desk.locator("#directions-1")).to_be_visible()
    is_the_same(desk, case)


def test_a_refused_end_is_shown_here_with_the_cursor_where_something_is_missing(desk: Page, case: UUID) -> None:
    desk.select_option("#outcome", "treated")
    desk.get_by_role("button", name="End the consultation").click()

    expect(desk.locator("#notices .notice")).to_have_count(1)
    expect(desk.locator("#note-assessment")).to_be_focused()
    assert desk.locator("#outcome").input_value() == "treated"
    is_the_same(desk, case)

    desk.get_by_role("button", name="End the consultation").click()
    expect(desk.locator("#notices .notice")).to_have_count(1)
    desk.fill("#note-assessment", "ГБ")
    desk.get_by_role("button", name="End the consultation").click()
    desk.wait_for_url("**/doctor")
    expect(desk.locator("#notices")).to_contain_text("ended")


def test_a_refused_hand_over_keeps_the_words_and_the_page(desk: Page, case: UUID, second: object) -> None:
    desk.reload()
    desk.evaluate("window.isTheSame = true")
    desk.locator("[data-call]").evaluate("panel => { panel.dataset.same = 'yes'; }")
    desk.locator("#hand-over > summary").click()
    desk.select_option("#to", index=1)
    desk.locator("#text").evaluate("field => { field.required = false; }")
    desk.fill("#text", "   ")
    desk.get_by_role("button", name="Hand over").click()

    expect(desk.locator("#hand-over .error-summary")).to_be_visible()
    is_the_same(desk, case)
    desk.fill("#text", "Следить за давлением")
    desk.get_by_role("button", name="Hand over").click()
    desk.wait_for_url("**/doctor")


def test_a_case_that_another_doctor_took_first_costs_no_talk(
    desk: Page, case: UUID, services: Services, queue_up: object, second: object
) -> None:
    other_case = queue_up(cast.IVAN)  # type: ignore[operator]
    take = desk.locator(f"form[action$='/consultations/{other_case}/take'] button")
    expect(take).to_be_visible()
    desk.context.set_offline(False)
    desk.evaluate("document.querySelector('[data-queue]').dataset.url = '/no-such-page'")  # the news has not come yet
    service.take(services, second, other_case)  # type: ignore[arg-type]
    take.click()

    expect(desk.locator("#notices")).to_contain_text("Another doctor took this case first")
    is_the_same(desk, case)


def test_without_an_answer_everything_stays_as_it_was(desk: Page, case: UUID) -> None:
    desk.route("**/prescription", lambda route: route.abort())
    write(desk)

    expect(desk.locator("#notices .error")).to_be_visible()
    expect(desk.locator("#directions-1")).to_have_value("Одна таблетка утром")
    is_the_same(desk, case)
    desk.unroute("**/prescription")
    desk.get_by_role("button", name="Save the draft").click()
    expect(desk.locator("[data-prescription]")).to_have_count(1)


def test_the_own_case_in_the_queue_leads_nowhere(desk: Page, case: UUID) -> None:
    own = desk.locator(".queue-case.chosen")
    expect(own).to_contain_text("This case is open here.")
    expect(own.locator("a[role=button], form")).to_have_count(0)
