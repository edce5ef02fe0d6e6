"""The doctor's prescription form with scripts: lines wait behind a button, what is barred says so at once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from telemed.services import Services
from tests import cast
from tests.delivery.test_offline_browser import address, chromium, driver, sign_in  # noqa: F401 - fixtures
from tests.make import Hands
from tests.prescription import made

pytestmark = pytest.mark.browser


def test_the_form_shows_one_line_and_says_what_cannot_go_by_post(
    chromium: Browser, address: str, services: Services, hands: Hands  # noqa: F811
) -> None:
    case = made.case(hands)
    context = chromium.new_context(base_url=address)
    sign_in(context, services, address, cast.VERA)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(f"/consultations/{case}/prescription")
    expect(page.locator("[data-line]:visible")).to_have_count(1)
    page.locator("#code-1").select_option("insulara-100")
    expect(page.locator("[data-barred-note]").first).to_contain_text("must stay cold")
    page.locator("[data-more] button").click()
    expect(page.locator("[data-line]:visible")).to_have_count(2)
    page.get_by_label("Experimental legal regime").check()
    expect(page.locator("[data-basis-details]")).to_be_hidden()
    context.close()

    assert problems == []
