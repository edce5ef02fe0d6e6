"""What was typed survives the end of a session on the server, for its author alone; a browser keeps nothing of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from telemed.access.accounts import open_session
from telemed.services import Services
from telemed.web.live import COOKIE
from tests import cast
from tests.conftest import Clock
from tests.delivery.test_offline_browser import address, chromium, driver  # noqa: F401 - fixtures
from tests.make import Hands

pytestmark = pytest.mark.browser
MEMORY = "JSON.stringify([{...sessionStorage}, {...localStorage}])"


@pytest.fixture
def window(chromium: Browser, address: str, services: Services) -> Iterator[BrowserContext]:  # noqa: F811
    """A browser at the counter, in English, in which Anna is signed in."""
    context = chromium.new_context(base_url=address)
    context.add_cookies([{"name": "lang", "value": "en", "url": address}])
    come(context, services, address, cast.ANNA)
    yield context
    context.close()


def come(context: BrowserContext, services: Services, address: str, person: cast.Person) -> None:  # noqa: F811
    """Let a person sign in at this browser."""
    token = open_session(services, account_id=person.id)
    context.add_cookies([{"name": COOKIE, "value": token, "url": address}])


def type_in(page: Page, selector: str, text: str) -> None:
    """Type, and wait until the server has the words."""
    with page.expect_response("**/api/v1/drafts"):
        page.fill(selector, text)


def test_a_form_left_open_over_lunch_gives_its_words_back(window: BrowserContext, clock: Clock) -> None:
    page = window.new_page()
    page.goto("/patients/new")
    type_in(page, "[name=family_name]", "Иванова")
    clock.forward(minutes=31)
    page.fill("[name=birth_date]", "01.02.1941")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("with what you typed")).to_be_visible()
    page.get_by_role("button", name="Sign in").click()
    page.fill("[name=login]", "anna")
    page.fill("[name=password]", cast.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/patients/new")

    page.get_by_role("button", name="Put the words in").click()
    expect(page.locator("[name=family_name]")).to_have_value("Иванова")
    expect(page.locator("[name=birth_date]")).to_have_value("01.02.1941")


def test_words_about_a_visit_come_back_by_themselves_and_to_no_other_visit(window: BrowserContext, hands: Hands) -> None:
    one, other = hands.visit(cast.MARIA), hands.visit(cast.IVAN, state="closed")
    page = window.new_page()
    page.goto(f"/visits/{one}/questions")
    type_in(page, "[name=medicines]", "метформин вечером")
    page.locator("[name=fasting][value=yes]").check()
    page.goto("/counter")
    page.goto(f"/visits/{one}/questions")
    expect(page.locator("[name=medicines]")).to_have_value("метформин вечером")
    expect(page.locator("[name=fasting][value=yes]")).to_be_checked()

    page.goto(f"/visits/{other}/questions", wait_until="networkidle")
    expect(page.locator("[name=medicines]")).to_have_value("")


def test_the_next_person_at_this_browser_finds_nothing(
    window: BrowserContext, services: Services, address: str  # noqa: F811
) -> None:
    page = window.new_page()
    page.goto("/patients/new")
    type_in(page, "[name=family_name]", "Иванова")
    page.evaluate("sessionStorage.setItem('note:/x', 'Иванова')")
    come(window, services, address, cast.BORIS)  # another sign-in, without a sign-out before

    page.goto("/patients/new", wait_until="networkidle")
    expect(page.locator("[name=family_name]")).to_have_value("")
    expect(page.get_by_role("button", name="Put the words in")).to_have_count(0)
    assert "Иванова" not in page.evaluate(MEMORY)


def test_signing_out_empties_every_window(window: BrowserContext) -> None:
    left, right = window.new_page(), window.new_page()
    for page in (left, right):
        page.goto("/patients/new", wait_until="networkidle")
        type_in(page, "[name=family_name]", "Иванова")
        page.evaluate("sessionStorage.setItem('note:/x', 'Иванова')")

    left.get_by_role("button", name="Sign out").click()
    for page in (left, right):
        page.wait_for_url(re.compile("/sign-in"))
        assert "Иванова" not in page.evaluate(MEMORY)


def test_typing_leaves_nothing_in_the_browsers_memory(window: BrowserContext) -> None:
    page = window.new_page()
    page.goto("/patients/new")
    type_in(page, "[name=family_name]", "Иванова")

    assert "Иванова" not in page.evaluate(MEMORY)
