"""The morning check as the clerk sees it: a few presses, the rest happens by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = pytest.mark.browser


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_the_branch_is_checked_with_a_few_presses_and_the_line_measures_itself(
    enter: Callable[..., BrowserContext],
) -> None:
    window = enter("clerk")
    clerk = window.new_page()
    clerk.goto("/counter")
    clerk.get_by_role("button", name="Morning check").click()
    expect(clerk.locator("[data-morning-state]")).to_have_text("The camera works.")
    press(clerk, "Yes, I see myself")
    expect(clerk.locator("[data-morning-state]")).to_have_text("The microphone hears you. Now play the tone.")
    press(clerk, "Play the tone")
    press(clerk, "Yes, both")
    expect(clerk.locator("[data-morning-meters]")).to_be_visible(timeout=40_000)
    expect(clerk.get_by_text("Line good line")).to_be_visible()
    expect(clerk.locator("[data-morning-silent]")).to_have_count(2)
    wake_the_cuff(window)
    expect(clerk.locator("[data-morning-silent]")).to_have_count(1, timeout=40_000)
    press(clerk, "Go on without the silent meter")

    expect(clerk.get_by_text("All patients may come.")).to_be_visible()
    expect(clerk.get_by_text("no blood sugar is measured")).to_be_visible()
    clerk.goto("/counter")
    expect(clerk.get_by_text("nobody has checked it")).to_have_count(0)


def wake_the_cuff(window: BrowserContext) -> None:
    """Press the button of the simulated blood pressure meter, in a tab of its own."""
    tab = window.new_page()
    tab.goto("/simulated-meters")
    tab.locator("form:has(input[name=kind][value=blood_pressure]) button").first.click()
    tab.wait_for_load_state()
    tab.close()
