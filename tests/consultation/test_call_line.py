"""The ladder over a real line that becomes thin: the application takes the picture away itself, says why, and goes on."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.line import Shape
from tests.village import HAPPENS_WITHIN_MS, Village, quiet_village, until_more, village  # noqa: F401  (fixtures)

pytestmark = pytest.mark.browser
THIN = Shape(64, 300, 2)


def steps_of(page: Page) -> str:
    return page.locator("[data-call-step]").inner_text()


def test_a_line_that_falls_to_64_kbit_keeps_the_voice_and_both_are_told_why(quiet_village: Village) -> None:  # noqa: F811
    pages = quiet_village.pages()
    quiet_village.talk(pages)
    for page in pages.values():
        until_more(page, "packets", "frames")
    quiet_village.lines.set("corner", THIN)

    corner = pages["corner"].locator("[data-call][data-step=voice_photos]")
    expect(corner).to_be_attached(timeout=HAPPENS_WITHIN_MS)
    expect(pages["corner"].locator("[data-call-step]")).to_contain_text("The line is thin")
    expect(pages["doctor"].locator("[data-call-step]")).to_contain_text("thin", timeout=HAPPENS_WITHIN_MS)
    for page in pages.values():
        expect(page.locator("[data-call][data-phase=talking]")).to_be_attached(timeout=HAPPENS_WITHIN_MS)
        until_more(page, "packets", by=50)
    assert quiet_village.case in pages["doctor"].url
