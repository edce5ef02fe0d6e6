"""Each square code of the product is dark on light: in dark colours, in forced colours, and in both."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from telemed.services import Services
from telemed.web.squares import square_svg
from tests import cast
from tests.delivery.conftest import post  # noqa: F401 - the fixture
from tests.delivery.made import Post
from tests.delivery.test_offline_browser import address, chromium, driver, sign_in  # noqa: F401 - fixtures

ROOT = Path(__file__).parent.parent.parent
LOOKS = [("light", "none"), ("dark", "none"), ("light", "active"), ("dark", "active")]
# The lightness of the frame and of the middle of a corner mark, as a camera sees them.
LOOK = """async (png) => {
  const picture = new Image();
  picture.src = "data:image/png;base64," + png;
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  const at = (x, y) => pen.getImageData(x * picture.width, y * picture.height, 1, 1).data[0];
  const points = pen.getImageData(0, 0, picture.width, picture.height).data;
  let dark = 0;
  for (let i = 0; i < points.length; i += 4) dark += points[i] < 64;
  return { frame: Math.min(at(0.01, 0.01), at(0.99, 0.5), at(0.5, 0.99)), dark: dark / (points.length / 4) };
}"""


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "forced"), LOOKS)
def test_each_square_is_dark_on_light(
    chromium: Browser, address: str, services: Services, post: Post, scheme: Any, forced: Any  # noqa: F811
) -> None:
    parcel_id = post.parcel("given")
    context = chromium.new_context(base_url=address, color_scheme=scheme, forced_colors=forced)
    sign_in(context, services, address, cast.ANNA)
    page, eye = context.new_page(), chromium.new_page()
    seen = []

    def look() -> None:
        png = base64.b64encode(page.locator(".qr svg").first.screenshot()).decode()
        seen.append(eye.evaluate(LOOK, png))

    page.goto(f"/parcels/{parcel_id}/slip")
    look()
    page.goto(f"/patients/{cast.MARIA.id}")
    page.get_by_role("button", name="Issue and print a card").click()
    token = re.sub(r"\s", "", page.locator("p.numbers").text_content() or "")
    look()
    page.goto("/card")
    page.locator("input[name=token]").fill(token)
    page.get_by_role("button", name="Open my page").click()
    page.wait_for_url("**/my")
    look()
    context.close()
    eye.close()

    assert [one for one in seen if one["frame"] < 200 or not 0.1 < one["dark"] < 0.6] == []


def test_a_square_carries_its_own_colours_and_its_quiet_zone() -> None:
    svg = square_svg("174001110000150")

    assert "#fff" in svg
    assert "#000" in svg
    assert 'viewBox="0 0 29 29"' in svg  # 21 modules and 4 on each side


def test_squares_are_made_in_one_place() -> None:
    makers = [path.name for path in (ROOT / "telemed").rglob("*.py") if "segno" in path.read_text(encoding="utf-8")]

    assert makers == ["squares.py"]
