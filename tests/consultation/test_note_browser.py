"""The doctor's note in a real browser: whatever happens to line, session or window, no word is lost."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from telemed.access import accounts
from telemed.consultation import service
from telemed.services import Services
from telemed.web.live import COOKIE
from tests import cast
from tests.delivery.test_offline_browser import address, chromium, driver, sign_in  # noqa: F401 - fixtures

pytestmark = pytest.mark.browser
NOTE = "**/api/v1/consultations/*/note"


@pytest.fixture
def window(chromium: Browser, address: str, services: Services) -> Iterator[BrowserContext]:  # noqa: F811
    context = chromium.new_context(base_url=address)
    sign_in(context, services, address, cast.VERA)
    yield context
    context.close()


def open_note(window: BrowserContext, case: UUID) -> Page:
    page = window.new_page()
    page.goto(f"/doctor/cases/{case}")
    return page


def expect_saved(page: Page) -> None:
    expect(page.locator("[data-note-state]")).to_have_text("saved")


def stored(services: Services, case: UUID) -> dict[str, str]:
    return service.read_note(services, cast.VERA.who, case)[0]


def test_an_answer_that_was_lost_is_not_another_windows_save(
    window: BrowserContext, services: Services, case: UUID
) -> None:
    page = open_note(window, case)
    lost: list[int] = []

    def lose_one(route: Route) -> None:
        if lost:
            return route.continue_()
        lost.append(route.fetch().status)
        page.locator("[data-note] [name=plan]").fill("Второе")  # the doctor goes on while the answer is on its way
        return route.abort()

    page.route(NOTE, lose_one)
    page.locator("[data-note] [name=complaint]").fill("Первое")

    expect_saved(page)
    assert lost == [200]
    assert {name: text for name, text in stored(services, case).items() if text} == {
        "complaint": "Первое",
        "plan": "Второе",
    }


def test_words_that_another_window_overtook_are_shown_and_can_be_put_in(
    window: BrowserContext, services: Services, case: UUID
) -> None:
    first, second = open_note(window, case), open_note(window, case)
    first.locator("[data-note] [name=plan]").fill("Из первого окна")
    expect_saved(first)
    second.locator("[data-note] [name=plan]").fill("Из второго окна")
    expect(second.locator(".notice.error")).to_contain_text("saved in another window")
    assert stored(services, case)["plan"] == "Из первого окна"

    second.get_by_role("button", name="Look at it; my words stay").click()
    apart = second.locator(".note-apart")
    expect(apart).to_contain_text("Из второго окна")
    second.reload()  # they stay until something is done with them
    apart.get_by_role("button", name="Put them in").click()

    expect_saved(second)
    expect(apart).to_have_count(0)
    assert stored(services, case)["plan"] == "Из первого окна\nИз второго окна"


def test_after_the_session_ended_the_words_and_the_place_are_found_again(
    window: BrowserContext, services: Services, case: UUID
) -> None:
    page = open_note(window, case)
    token = next(cookie["value"] for cookie in window.cookies() if cookie["name"] == COOKIE)
    accounts.sign_out(services, accounts.who_is(services, token))
    page.locator("[data-note] [name=plan]").fill("Не потеряйте это")

    page.get_by_role("button", name="Sign in again").first.click()
    page.get_by_label("Name").fill(cast.VERA.login)
    page.get_by_label("Password").fill(cast.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()

    expect(page.locator("[data-note] [name=plan]")).to_have_value("Не потеряйте это")
    expect_saved(page)
    assert stored(services, case)["plan"] == "Не потеряйте это"


def test_a_case_is_not_ended_with_a_blank_of_a_template_and_the_cursor_goes_there(
    window: BrowserContext, services: Services, case: UUID
) -> None:
    page = open_note(window, case)
    page.locator("[data-note] [name=assessment]").fill("ОРВИ")
    page.locator(".note-templates summary").click()
    page.get_by_role("button", name="Cold").click()
    complaint = page.locator("[data-note] [name=complaint]")
    complaint.fill(complaint.input_value().replace("___", "37.8", 1))
    page.select_option("#outcome", "advised")
    page.get_by_role("button", name="End the consultation").click()

    expect(complaint).to_be_focused()
    assert complaint.evaluate("field => field.value.slice(field.selectionStart, field.selectionEnd)") == "___"
    expect(page.locator("#notices")).to_contain_text("still has a blank")
    expect_saved(page)
    assert stored(services, case)["complaint"] == complaint.input_value()

    complaint.fill("Насморк")
    page.get_by_role("button", name="End the consultation").click()
    page.wait_for_url("**/doctor")


def test_what_the_server_refused_to_end_opens_with_the_cursor_in_the_blank(
    window: BrowserContext, services: Services, case: UUID
) -> None:
    page = open_note(window, case)
    service.save_note(services, cast.VERA.who, case, {"assessment": "ГБ", "plan": "Лечение: ___."}, 0)
    page.select_option("#outcome", "treated")  # this window knows nothing of what another one wrote
    page.get_by_role("button", name="End the consultation").click()

    plan = page.locator("[data-note] [name=plan]")
    expect(plan).to_be_focused()
    assert plan.evaluate("field => field.value.slice(field.selectionStart, field.selectionEnd)") == "___"
    expect(page.locator("#notices")).to_contain_text("still has a blank")
