"""The ladder over a real line that becomes thin: the application takes the picture away itself, says why, and goes on."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.line import Shape
from tests.village import HAPPENS_WITHIN_MS, Village, quiet_village, until, until_more, village  # noqa: F401  (fixtures)

pytestmark = pytest.mark.browser
THIN = Shape(64, 300, 2)


PICTURE_SENT = """async () => {
  const stats = await document.querySelector("[data-call]").callPeer.connection.getStats();
  return [...stats.values()].find(({ type, kind }) => type === "outbound-rtp" && kind === "video")?.bytesSent ?? 0;
}"""


def sent_in_a_second(page: Page) -> int:
    before = page.evaluate(PICTURE_SENT)
    page.wait_for_timeout(1000)
    return int(page.evaluate(PICTURE_SENT)) - int(before)


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
        until(page, PICTURE_SENT, lambda _sent, page=page: sent_in_a_second(page) == 0, 8000)  # nothing is repeated
        expect(page.locator("[data-call][data-phase=talking]")).to_be_attached(timeout=HAPPENS_WITHIN_MS)
        until_more(page, "packets", by=50)
    assert quiet_village.case in pages["doctor"].url
