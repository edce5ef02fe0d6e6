"""The patient's pages on a telephone: whatever is pressed is 48 px, numbers can be dialled, nothing lies under a bar."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from telemed.access.accounts import open_session
from telemed.services import Services
from telemed.web.live import COOKIE
from tests import cast
from tests.delivery.test_offline_browser import address, chromium, driver  # noqa: F401 - fixtures
from tests.make import Hands

pytestmark = pytest.mark.browser
# What can be pressed and is seen. A box inside a label is pressed by its label.
SMALL = """() => [...document.querySelectorAll("a, button, summary, input, select, textarea, label.choice")]
  .filter((one) => !one.closest(".skip") && !(one.matches("input") && one.closest("label.choice")) && one.type !== "hidden")
  .map((one) => [one, one.getBoundingClientRect()])
  .filter(([one, box]) => box.width > 1 && box.height > 1 && one.checkVisibility())
  .filter(([, box]) => box.height < 47.5 || box.width < 47.5)
  .map(([one, { width, height }]) => `${one.nodeName} ${one.textContent.trim().slice(0, 40)} ${width}x${height}`)"""
WIDE = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture
def phone(chromium: Browser, address: str, services: Services, hands: Hands) -> Iterator[BrowserContext]:  # noqa: F811
    """Maria's telephone, after she showed her card."""
    hands.booking(cast.MARIA)
    context = chromium.new_context(base_url=address, viewport={"width": 390, "height": 844})
    token = open_session(services, patient_id=cast.MARIA.id)
    context.add_cookies([{"name": COOKIE, "value": token, "url": address}, {"name": "lang", "value": "ru", "url": address}])
    yield context
    context.close()


@pytest.mark.parametrize("path", ["/my", "/rate", "/complaints/new", "/card", "/sign-in"])
def test_every_target_is_48_px(phone: BrowserContext, path: str) -> None:
    page = phone.new_page()
    page.goto(path)
    page.locator("details.view summary").click()

    assert page.evaluate(SMALL) == []
    assert page.evaluate(WIDE)


@pytest.mark.parametrize("path", ["/patients/{maria}", "/counter/visits/{visit}", "/branch", "/day", "/counter"])
def test_a_link_of_the_counter_that_stands_alone_is_48_px(
    chromium: Browser, address: str, services: Services, hands: Hands, path: str  # noqa: F811
) -> None:
    hands.booking(cast.IVAN)
    visit = hands.visit()
    context = chromium.new_context(base_url=address, viewport={"width": 390, "height": 844})
    token = open_session(services, account_id=cast.ANNA.id)
    context.add_cookies([{"name": COOKIE, "value": token, "url": address}, {"name": "lang", "value": "ru", "url": address}])
    page = context.new_page()
    page.goto(path.format(maria=cast.MARIA.id, visit=visit))

    assert [one for one in page.evaluate(SMALL) if not one.startswith("A Telemed")] == []
    context.close()


def test_the_emergency_numbers_are_dialled_by_a_press(phone: BrowserContext) -> None:
    page = phone.new_page()
    page.goto("/my")

    for number in ("112", "103"):
        expect(page.locator(f"footer a[href='tel:{number}']")).to_be_visible()


@pytest.mark.parametrize("path", ["/rate", "/complaints/new"])
def test_a_patient_may_go_back_without_sending(phone: BrowserContext, path: str) -> None:
    page = phone.new_page()
    page.goto(path)
    page.get_by_role("button", name="Назад, не отправлять").click()

    page.wait_for_url("**/my")


@pytest.mark.parametrize("kind", ["info", "success", "warn", "error"])
def test_a_notice_has_its_sign_beside_its_words_and_its_buttons_on_the_screen(phone: BrowserContext, kind: str) -> None:
    page = phone.new_page()
    page.goto("/my")
    page.evaluate(
        """async (kind) => {
          const { say } = await import("/static/js/lib/notice.js");
          const buttons = [{ text: "Вернуть слова", run() {} }, { text: "Выбросить", run() {} }];
          say("Вы начали эту форму в 12:40 и не отправили её, а связь тем временем прервалась.", kind, buttons);
        }""",
        kind,
    )

    notice = page.locator(".notice").bounding_box()
    words = page.locator(".notice span").bounding_box()
    assert notice is not None
    assert words is not None
    assert words["x"] - notice["x"] < 70, "the words follow the sign"
    for button in page.locator(".notice button").all():
        expect(button).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize(("width", "height"), [(640, 400), (195, 422)])
def test_a_bar_covers_nothing_when_the_page_is_zoomed(
    chromium: Browser, address: str, services: Services, hands: Hands, width: int, height: int  # noqa: F811
) -> None:
    """200 % of 1280 x 800 and of a telephone."""
    context = chromium.new_context(base_url=address, viewport={"width": width, "height": height})
    token = open_session(services, account_id=cast.ANNA.id)
    context.add_cookies([{"name": COOKIE, "value": token, "url": address}])
    page = context.new_page()
    page.goto(f"/counter/visits/{hands.visit()}")
    bar, last = page.locator(".next-step"), page.locator(".task-list")

    expect(bar).to_have_css("position", "static")
    assert bar.bounding_box()["y"] >= last.bounding_box()["y"] + last.bounding_box()["height"] - 1  # type: ignore[index]
    context.close()
