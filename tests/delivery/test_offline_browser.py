"""The postman's page in a real browser: it opens, records and keeps with no network, and sends later exactly once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import segno
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Route, expect, sync_playwright
from sqlalchemy import delete, func, select
from werkzeug.serving import make_server

from telemed.access.accounts import open_session
from telemed.bootstrap import Application
from telemed.delivery import service
from telemed.delivery.models import Phone, PhoneEvent
from telemed.services import Services
from telemed.web.live import COOKIE
from tests import cast
from tests.browser.conftest import chromium_path
from tests.delivery.made import Post

pytestmark = pytest.mark.browser
expect.set_options(timeout=15_000)  # a busy machine is slow, and waiting costs nothing when all is well
SW_READY = "navigator.serviceWorker.ready.then(() => true)"
OPEN = """
  const answerOf = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
  const db = await answerOf(indexedDB.open("telemed-round"));
  const keep = (mode) => db.transaction("keep", mode).objectStore("keep");
"""
# All that the phone keeps, as text: the sealed list as raw bytes, and every cached answer.
DUMP = f"""async () => {{ {OPEN}
  const [names, values] = [await answerOf(keep().getAllKeys()), await answerOf(keep().getAll())];
  db.close();
  const texts = [];
  for (const name of await caches.keys()) {{
    const cache = await caches.open(name);
    for (const key of await cache.keys()) texts.push(key.url, await (await cache.match(key)).text());
  }}
  const decode = (bytes) => new TextDecoder("utf-8", {{ fatal: false }}).decode(bytes);
  texts.push(...values.map((value) => (value?.data ? decode(value.data) : JSON.stringify(value))));
  return {{
    hasList: names.some((name) => name.startsWith("list:")),
    isExtractable: values.some((value) => value instanceof CryptoKey && value.extractable),
    text: texts.join(" "),
  }};
}}"""
COUNT_NOTES = f"""async () => {{ {OPEN}
  const count = await answerOf(db.transaction("outbox").objectStore("outbox").count());
  db.close();
  return count;
}}"""
NOTE_A_HUNDRED_TIMES = """async (parcel) => {
  const store = await import("/static/js/delivery/store.js");
  const note = () => store.append("d", "p", { report: { event_id: crypto.randomUUID() }, once: parcel, number: "" });
  const notes = await Promise.all(Array.from({ length: 100 }, note));
  return notes.filter((one) => one !== null).map((one) => one.device_seq);
}"""
TAP_A_HUNDRED_TIMES = """() => {
  const button = document.querySelector("[data-unverified]");
  for (let tap = 0; tap < 100; tap++) button.click();
}"""


@pytest.fixture
def address(application: Application) -> Iterator[str]:
    """Serve the application on a free port; service workers are allowed on 127.0.0.1 without TLS."""
    application.app.config.update(WTF_CSRF_ENABLED=True)
    server = make_server("127.0.0.1", 0, application.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def chromium(driver: Playwright) -> Iterator[Browser]:
    browser = launch(driver)
    yield browser
    browser.close()


def launch(playwright: Playwright, *arguments: str) -> Browser:
    return playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox", *arguments])


@pytest.fixture
def phone(chromium: Browser, address: str, services: Services) -> Iterator[BrowserContext]:
    """A phone on which postman Fedor is signed in."""
    context = chromium.new_context(viewport={"width": 390, "height": 844}, base_url=address)
    sign_in(context, services, address)
    yield context
    context.close()


def sign_in(context: BrowserContext, services: Services, address: str, person: cast.Person = cast.FEDOR) -> None:
    token = open_session(services, account_id=person.id)
    context.add_cookies(
        [{"name": COOKIE, "value": token, "url": address}, {"name": "lang", "value": "en", "url": address}]
    )


@contextmanager
def page_of(
    browser: Browser, services: Services, address: str, person: cast.Person, width: int, height: int, **options: Any
) -> Iterator[Page]:
    """Give a person's window of this size, in English."""
    context = browser.new_context(base_url=address, viewport={"width": width, "height": height}, **options)
    sign_in(context, services, address, person)
    yield context.new_page()
    context.close()


def open_page(context: BrowserContext) -> Page:
    """Open the round with a network, until list and page are kept on the phone."""
    page = context.new_page()
    page.problems = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.problems.append(str(error)))  # type: ignore[attr-defined]
    page.goto("/round")
    expect(page.locator("[data-line]")).to_contain_text("Sent at")
    page.evaluate(SW_READY)
    return page


def unsent(page: Page) -> int:
    return int(page.locator("[data-unsent]").get_attribute("data-unsent") or -1)


def open_hand_over(page: Page, parcel_id: object) -> None:
    page.locator(f'[data-stop="{parcel_id}"] [data-hand-over]').click()


def wait_until_sent(page: Page) -> None:
    expect(page.locator("[data-unsent]")).to_have_attribute("data-unsent", "0", timeout=15_000)


def test_the_round_tells_the_branchs_time_on_a_phone_of_another_zone(
    chromium: Browser, address: str, services: Services, post: Post
) -> None:
    post.parcel("given")
    with page_of(chromium, services, address, cast.FEDOR, 390, 844, timezone_id="Asia/Kamchatka") as page:
        page.goto("/round")
        expect(page.locator("[data-line]")).to_contain_text("Sent at")
        moscow = page.evaluate("new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Moscow', hour: '2-digit' }).format()")

        expect(page.locator("[data-line]")).to_contain_text(f"Sent at {moscow}:")


def test_a_hand_over_with_no_network_is_sent_later_exactly_once(phone: BrowserContext, post: Post) -> None:
    parcel_id, other = post.parcel("given"), post.parcel("given", cast.IVAN)
    secret = post.secret(parcel_id)
    page = open_page(phone)

    phone.set_offline(True)
    page.reload()
    expect(page.locator("[data-stop]")).to_have_count(2)
    open_hand_over(page, parcel_id)
    page.locator("#code").fill("0" * 32)
    page.locator("[data-code] button").click()
    expect(page.locator("#code-error")).to_contain_text("not the code of this parcel")
    page.locator("#code").fill(f"{secret[:8]} {secret[8:16]} {secret[16:24]} {secret[24:]}")
    page.locator("[data-code] button").click()
    expect(page.locator("[data-stop]")).to_have_count(1)
    assert unsent(page) == 1
    assert post.now(parcel_id).state == "given"
    page.reload()
    expect(page.locator("[data-unsent]")).to_have_attribute("data-unsent", "1")

    phone.set_offline(False)
    page.locator("[data-send]").click()
    wait_until_sent(page)
    page.reload()
    wait_until_sent(page)

    assert (post.now(parcel_id).state, post.now(parcel_id).verified, post.finals(parcel_id)) == ("delivered", True, 1)
    assert post.now(other).state == "given"
    assert page.problems == []  # type: ignore[attr-defined]


def test_a_network_that_returns_while_a_try_still_hangs_is_used_at_once(phone: BrowserContext, post: Post) -> None:
    parcel_id = post.parcel("given")
    page = open_page(phone)
    hanging: list[Route] = []
    page.route("**/api/v1/delivery/phones", lambda route: route.continue_() if hanging else hanging.append(route))
    open_hand_over(page, parcel_id)
    with page.expect_request("**/api/v1/delivery/phones"):
        page.locator("#code").fill(post.secret(parcel_id))
        page.locator("[data-code] button").click()
    page.evaluate("window.dispatchEvent(new Event('online'))")
    assert unsent(page) == 1
    hanging[0].abort()
    wait_until_sent(page)

    assert post.now(parcel_id).state == "delivered"


def test_a_hundred_rapid_taps_are_one_event(phone: BrowserContext, post: Post, services: Services) -> None:
    parcel_id = post.parcel("given")
    page = open_page(phone)
    phone.set_offline(True)
    open_hand_over(page, parcel_id)
    page.locator("[data-without]").click()
    page.evaluate(TAP_A_HUNDRED_TIMES)
    expect(page.locator("[data-unsent]")).to_have_attribute("data-unsent", "1")
    phone.set_offline(False)
    page.locator("[data-send]").click()
    wait_until_sent(page)

    with services.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(PhoneEvent)) == 1
    assert (post.now(parcel_id).state, post.finals(parcel_id)) == ("delivered_unverified", 1)


def test_the_store_takes_a_deed_once_whoever_asks(phone: BrowserContext) -> None:
    page = open_page(phone)

    assert page.evaluate(NOTE_A_HUNDRED_TIMES, "one parcel:handed_over") == [1]
    assert page.evaluate(NOTE_A_HUNDRED_TIMES, "another parcel:handed_over") == [2]


def test_a_failed_try_is_noted_with_its_reason(phone: BrowserContext, post: Post) -> None:
    parcel_id = post.parcel("given")
    page = open_page(phone)
    phone.set_offline(True)
    page.locator(f'[data-stop="{parcel_id}"] [data-fail]').click()
    page.locator('#fail button[value="attempted"]').click()
    expect(page.locator("[data-reason-error]")).to_contain_text("Choose a reason")
    page.get_by_label("refused to take it").check()
    page.locator('#fail button[value="attempted"]').click()
    expect(page.locator("[data-stop] [data-note]")).to_contain_text("refused")
    phone.set_offline(False)
    page.locator("[data-send]").click()
    wait_until_sent(page)

    assert post.now(parcel_id).state == "attempted"
    assert post.steps(parcel_id)[-1].reason == "refused"


def test_the_list_on_the_phone_is_sealed(phone: BrowserContext, post: Post) -> None:
    post.parcel("given")
    page = open_page(phone)
    kept = page.evaluate(DUMP)

    assert kept["hasList"]
    assert not kept["isExtractable"]
    assert "Ёлкина" not in kept["text"]


def test_an_ended_session_keeps_the_notes_and_asks_to_sign_in(
    phone: BrowserContext, post: Post, services: Services, address: str
) -> None:
    parcel_id = post.parcel("given")
    page = open_page(phone)
    phone.clear_cookies(name=COOKIE)
    page.reload()
    expect(page.locator("[data-sign-in]")).to_be_visible()
    open_hand_over(page, parcel_id)
    page.locator("[data-without]").click()
    page.locator("[data-unverified]").click()
    expect(page.locator("[data-unsent]")).to_have_attribute("data-unsent", "1")
    sign_in(phone, services, address)
    phone.clear_cookies(name="telemed_form")
    page.locator("[data-send]").click()
    wait_until_sent(page)

    assert post.now(parcel_id).state == "delivered_unverified"


def test_signing_out_with_unsent_notes_is_warned_and_wipes_the_list(phone: BrowserContext, post: Post) -> None:
    parcel_id = post.parcel("given")
    page = open_page(phone)
    page.route("**/api/v1/delivery/**", lambda route: route.abort())
    open_hand_over(page, parcel_id)
    page.locator("[data-without]").click()
    page.locator("[data-unverified]").click()
    expect(page.locator("[data-unsent]")).to_have_attribute("data-unsent", "1")
    page.locator("form[data-forget] button").click()
    expect(page.locator("#notices")).to_contain_text("1 notes are not sent yet")
    assert page.url.endswith("/round")
    page.locator("#notices button", has_text="Sign out").click()
    page.wait_for_url("**/sign-in")

    kept = page.evaluate(DUMP)
    assert not kept["hasList"]
    assert page.evaluate(COUNT_NOTES) == 1


def test_what_the_server_did_not_accept_stays_in_sight(
    phone: BrowserContext, post: Post, services: Services
) -> None:
    parcel_id = post.parcel("given")
    page = open_page(phone)
    phone.set_offline(True)
    open_hand_over(page, parcel_id)
    page.locator("[data-without]").click()
    page.locator("[data-unverified]").click()
    expect(page.locator("[data-unsent]")).to_have_attribute("data-unsent", "1")
    service.take_again(services, cast.EGOR.who, parcel_id)
    phone.set_offline(False)
    page.locator("[data-send]").click()
    wait_until_sent(page)

    expect(page.locator("[data-troubles]")).to_contain_text("no longer with this postman")


def test_a_restored_server_gets_everything_again(
    phone: BrowserContext, post: Post, services: Services
) -> None:
    parcel_id = post.parcel("given")
    page = open_page(phone)
    page.locator(f'[data-stop="{parcel_id}"] [data-fail]').click()
    page.get_by_label("nobody is at home").check()
    page.locator('#fail button[value="attempted"]').click()
    wait_for_events(page, services, 1)
    with services.db.write() as tx:  # back to the state before that note, under a new epoch
        tx.execute(delete(PhoneEvent))
        for row in tx.scalars(select(Phone)):
            row.watermark = 0
    services.epoch = cast.known_id("epoch after the restore")
    page.locator("[data-send]").click()
    wait_for_events(page, services, 1)
    wait_until_sent(page)

    assert page.problems == []  # type: ignore[attr-defined]


def wait_for_events(page: Page, services: Services, wanted: int) -> None:
    for _ in range(100):
        with services.db.read() as tx:
            if tx.scalar(select(func.count()).select_from(PhoneEvent)) == wanted:
                return
        page.wait_for_timeout(100)
    raise AssertionError(f"the server did not get {wanted} events")


def test_the_camera_reads_the_slip(
    driver: Playwright, address: str, post: Post, services: Services, tmp_path: Path
) -> None:
    parcel_id = post.parcel("given")
    film = tmp_path / "slip.y4m"
    film_of(f"{post.now(parcel_id).number}:{post.secret(parcel_id)}", film)
    camera = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    browser = launch(driver, *camera, f"--use-file-for-fake-video-capture={film}")
    context = browser.new_context(base_url=address, permissions=["camera"])
    sign_in(context, services, address)
    page = open_page(context)
    expect(page.locator("[data-scanner-state]")).to_contain_text("works without a network")  # it came with the round
    context.set_offline(True)
    page.reload()
    open_hand_over(page, parcel_id)
    page.locator("[data-scan]").click()
    expect(page.locator("[data-unsent]")).to_have_attribute("data-unsent", "1", timeout=20_000)
    context.set_offline(False)
    page.locator("[data-send]").click()
    wait_until_sent(page)
    browser.close()

    assert (post.now(parcel_id).state, post.now(parcel_id).verified) == ("delivered", True)


def film_of(text: str, path: Path) -> None:
    """Write a camera's film of a QR code: 640x480 pixels, two grey pictures."""
    matrix = [list(row) for row in segno.make(text, error="m", micro=False).matrix_iter(scale=8, border=4)]
    left, top = (640 - len(matrix[0])) // 2, (480 - len(matrix)) // 2
    picture = bytearray(b"\xeb" * 640 * 480)
    for y, row in enumerate(matrix):
        start = (top + y) * 640 + left
        picture[start : start + len(row)] = bytes(16 if dark else 235 for dark in row)
    frame = b"FRAME\n" + bytes(picture) + b"\x80" * (320 * 240 * 2)
    path.write_bytes(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420\n" + frame * 2)


def test_the_dispatchers_list_shows_a_packed_parcel_by_itself(
    chromium: Browser, address: str, post: Post, services: Services
) -> None:
    parcel_id = post.parcel("ordered")
    context = chromium.new_context(base_url=address)
    sign_in(context, services, address, cast.EGOR)
    page = context.new_page()
    page.goto("/dispatch")
    expect(page.locator("[data-room]")).to_have_attribute("data-watching", "yes", timeout=10_000)
    expect(page.locator("input[name=parcels]")).to_have_count(0)
    post.pack(post.now(parcel_id).order_id)

    expect(page.locator("input[name=parcels]")).to_have_count(1, timeout=10_000)
    context.close()
