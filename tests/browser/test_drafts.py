"""What was typed survives the end of a session: the person signs in again and goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from telemed.web.live import COOKIE

pytestmark = pytest.mark.browser


def test_a_form_sent_after_the_session_ended_comes_back_with_its_words(enter: Callable[..., BrowserContext]) -> None:
    window = enter("clerk")
    page = window.new_page()
    page.goto("/patients/new")
    page.fill("[name=family_name]", "Иванова")
    page.fill("[name=birth_date]", "01.02.1941")
    window.clear_cookies(name=COOKIE)
    page.locator("main form button").last.click()
    expect(page.get_by_text("You were signed out meanwhile.")).to_be_visible()
    page.get_by_role("button", name="Sign in").click()
    page.locator("form:has(input[value='demo.clerk']) button").click()

    page.wait_for_url("**/patients/new")
    expect(page.locator("[name=family_name]")).to_have_value("Иванова")
    expect(page.locator("[name=birth_date]")).to_have_value("01.02.1941")
