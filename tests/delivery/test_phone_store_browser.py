"""The postman's phone when its own memory fails, or its clock is wrong: nothing is said that is not so, nothing is lost."""

from __future__ import annotations

from uuid import UUID

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from telemed.clock import iso
from telemed.delivery import service
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.delivery.made import Post
from tests.delivery.test_offline_browser import (  # noqa: F401 - fixtures
    COUNT_NOTES,
    DUMP,
    OPEN,
    address,
    chromium,
    driver,
    open_hand_over,
    open_page,
    phone,
    sign_in,
    wait_until_sent,
)
from tests.delivery.test_spoken_code import others

pytestmark = pytest.mark.browser
DAY_MS = 86_400_000
# Hold the page's connections and let a test do to them what a system does; set the page's clock on and back.
HOLD = """
  const open = IDBFactory.prototype.open, transaction = IDBDatabase.prototype.transaction;
  const held = [];
  window.fault = "";
  IDBFactory.prototype.open = function (...names) {
    if (window.fault === "hangs") return new EventTarget();
    const request = open.apply(this, names);
    request.addEventListener("success", () => held.push(request.result));
    return request;
  };
  IDBDatabase.prototype.transaction = function (...names) {
    if (window.fault === "closed") throw new DOMException("The connection was closed.", "InvalidStateError");
    if (window.fault === "full" && names[1] === "readwrite") throw new DOMException("full", "QuotaExceededError");
    return transaction.apply(this, names);
  };
  window.closeAll = (isTold) => held.splice(0).forEach((db) => {
    db.close();
    if (isTold) db.dispatchEvent(new Event("close"));
  });
  const now = Date.now;
  window.clockIsOff = Number(sessionStorage.getItem("off") ?? 0);
  Date.now = () => now() + window.clockIsOff;
"""
SET_CLOCK = """(ms) => {
  sessionStorage.setItem("off", ms);
  window.clockIsOff = ms;
  document.dispatchEvent(new Event("visibilitychange"));
}"""
REFUSE_CAMERA = """(name) => {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", name));
}"""
# What a page of an earlier release left on the phone: a note without the server's time, and a list without its age.
FORGET_WHAT_IS_NEW = f"""async () => {{ {OPEN}
  const names = await answerOf(keep().getAllKeys());
  for (const name of names.filter((one) => one.startsWith("list:"))) {{
    const {{ iv, data, saved_at }} = await answerOf(keep().get(name));
    await answerOf(keep("readwrite").put({{ iv, data, saved_at }}, name));
  }}
  await answerOf(keep("readwrite").put(Date.now(), "high-water"));
  const outbox = () => db.transaction("outbox", "readwrite").objectStore("outbox");
  for (const {{ settled_time, ...note }} of await answerOf(outbox().getAll())) await answerOf(outbox().put(note));
  db.close();
}}"""


@pytest.fixture
def page(phone: BrowserContext, post: Post) -> Page:  # noqa: F811
    post.parcel("given")
    phone.add_init_script(HOLD)
    return open_page(phone)


def parcel_of(page: Page) -> str:
    return str(page.locator("[data-stop]").first.get_attribute("data-stop"))


def hand_over(page: Page) -> None:
    open_hand_over(page, parcel_of(page))
    page.locator("[data-without]").click()
    page.locator("[data-unverified]").click()


def bring_back(page: Page) -> None:
    page.locator("[data-fail]").first.click()
    page.get_by_label("nobody is at home").check()
    page.locator('#fail button[value="returned"]').click()


def wait_until_kept_and_sent(page: Page) -> None:
    expect(page.locator("dialog[open]")).to_have_count(0)
    wait_until_sent(page)


@pytest.mark.parametrize("is_told", [True, False], ids=["with-the-event", "without-a-word"])
@pytest.mark.parametrize("deed", [hand_over, bring_back])
def test_a_connection_closed_by_the_system_is_opened_again(page: Page, is_told: bool, deed: object) -> None:
    page.context.set_offline(True)
    page.evaluate("(isTold) => closeAll(isTold)", is_told)
    deed(page)  # type: ignore[operator]

    expect(page.locator("[data-unsent]")).to_have_text("Not sent yet: 1")
    assert page.evaluate(COUNT_NOTES) == 1
    assert page.problems == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fault", "says"), [("closed", "memory does not answer"), ("full", "phone is full")], ids=["gone", "full"]
)
def test_a_hand_over_that_is_not_kept_says_so_and_can_be_pressed_again(page: Page, fault: str, says: str) -> None:
    page.context.set_offline(True)
    page.evaluate("(fault) => { window.fault = fault; }", fault)
    hand_over(page)

    expect(page.locator("#hand-over [data-not-saved]")).to_contain_text("NOT SAVED")
    expect(page.locator("#hand-over [data-not-saved]")).to_contain_text(says)
    expect(page.locator("[data-unsent]")).to_have_text("NOT SAVED: 1")
    assert page.locator("#hand-over").is_visible()
    page.evaluate("window.fault = ''")
    page.locator("[data-unverified]").click()
    expect(page.locator("[data-unsent]")).to_have_text("Not sent yet: 1")
    assert page.problems == []  # type: ignore[attr-defined]


def test_a_failed_delivery_that_is_not_kept_says_so_and_can_be_pressed_again(page: Page) -> None:
    page.evaluate("window.fault = 'full'")
    bring_back(page)

    expect(page.locator("#fail [data-not-saved]")).to_contain_text("NOT SAVED")
    page.evaluate("window.fault = ''")
    page.locator('#fail button[value="returned"]').click()
    wait_until_kept_and_sent(page)
    assert page.problems == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", ["closed", "hangs"])
def test_the_badge_never_says_that_all_is_sent_while_the_store_is_silent(page: Page, fault: str) -> None:
    expect(page.locator("[data-unsent]")).to_have_text("All is sent")
    page.evaluate("(fault) => { window.fault = fault; closeAll(true); }", fault)

    expect(page.locator("[data-unsent]")).to_contain_text("Not known")
    expect(page.locator("[data-unsent]")).to_have_class("badge alarm")
    page.evaluate("window.fault = ''")
    page.locator("[data-send]").click()
    expect(page.locator("[data-unsent]")).to_have_text("All is sent")
    assert page.problems == []  # type: ignore[attr-defined]


def test_notes_that_the_system_threw_away_are_called_lost(page: Page) -> None:
    page.context.set_offline(True)
    hand_over(page)
    expect(page.locator("[data-unsent]")).to_have_text("Not sent yet: 1")
    wire = page.context.new_cdp_session(page)
    wire.send("Storage.clearDataForOrigin", {"origin": page.evaluate("location.origin"), "storageTypes": "indexeddb"})

    expect(page.locator("[data-unsent]")).to_have_text("Notes are lost")
    expect(page.locator("[data-warning]")).to_contain_text("Tell the dispatcher")


def test_signing_out_works_while_the_store_is_silent(page: Page) -> None:
    page.evaluate("window.fault = 'closed'")
    page.locator("form[data-forget] button").click()
    expect(page.locator("#notices")).to_contain_text("list of addresses could not be removed")
    page.locator("#notices button", has_text="Sign out").click()

    page.wait_for_url("**/sign-in")


def test_a_clock_that_jumps_on_hides_the_list_and_jumps_back_shows_it(page: Page) -> None:
    page.context.set_offline(True)
    page.evaluate(SET_CLOCK, 8 * DAY_MS)
    expect(page.locator("[data-empty]")).to_contain_text("it is hidden")
    expect(page.locator("[data-stop]")).to_have_count(0)
    page.reload()
    expect(page.locator("[data-empty]")).to_contain_text("it is hidden")
    page.evaluate(SET_CLOCK, 0)

    expect(page.locator("[data-stop]")).to_have_count(1)


def test_a_late_time_met_again_a_day_later_erases_the_list(page: Page) -> None:
    page.context.set_offline(True)
    for days in (7.5, 8.4):
        page.evaluate(SET_CLOCK, days * DAY_MS)
        expect(page.locator("[data-empty]")).to_contain_text("it is hidden")
    page.evaluate(SET_CLOCK, 8.6 * DAY_MS)
    expect(page.locator("[data-empty]")).to_contain_text("was removed")
    page.evaluate(SET_CLOCK, 0)

    expect(page.locator("[data-empty]")).to_contain_text("was removed")
    assert "iv" not in page.evaluate(DUMP)["text"].split("expired")[-1]


def test_seven_days_that_the_phone_counted_itself_erase_the_list(page: Page) -> None:
    page.context.set_offline(True)
    grow = "async (ms) => (await import('/static/js/delivery/store.js')).growOlder(ms)"
    page.evaluate(grow, 4 * DAY_MS)
    page.evaluate(SET_CLOCK, -300 * DAY_MS)  # its clock stands still, or runs back
    expect(page.locator("[data-stop]")).to_have_count(1)
    page.evaluate(grow, 3 * DAY_MS + 1)
    page.evaluate(SET_CLOCK, -300 * DAY_MS)

    expect(page.locator("[data-empty]")).to_contain_text("was removed")


def test_the_servers_time_erases_the_list_whatever_the_phones_clock_says(
    page: Page, clock: Clock, services: Services, address: str  # noqa: F811
) -> None:
    page.route("**/api/v1/delivery/round*", lambda route: route.abort())
    clock.forward(days=7, minutes=1)
    sign_in(page.context, services, address)
    page.locator("[data-send]").click()

    expect(page.locator("[data-empty]")).to_contain_text("was removed")


@pytest.mark.parametrize("hours", [-1, -26, 5])
def test_a_delivered_stop_stays_away_whatever_the_phones_clock_says(page: Page, hours: int) -> None:
    page.evaluate(SET_CLOCK, hours * 3_600_000)
    page.locator("[data-send]").click()
    page.route("**/api/v1/delivery/round*", lambda route: route.abort())  # the list kept is the one before the deed
    hand_over(page)
    wait_until_kept_and_sent(page)
    page.reload()

    expect(page.locator("[data-empty]")).to_be_visible()
    expect(page.locator("[data-stop]")).to_have_count(0)


def test_a_stop_given_again_is_offered_again_whatever_the_phones_clock_said(
    page: Page, post: Post, services: Services
) -> None:
    parcel_id = parcel_of(page)
    page.evaluate(SET_CLOCK, 30 * DAY_MS)
    page.locator("[data-send]").click()
    expect(page.locator("[data-stop]")).to_have_count(1)
    bring_back(page)
    wait_until_kept_and_sent(page)
    service.take_again(services, cast.EGOR.who, UUID(parcel_id))
    service.assign(services, cast.EGOR.who, UUID(parcel_id), cast.FEDOR.id)
    service.give(services, cast.EGOR.who, UUID(parcel_id))
    page.evaluate(SET_CLOCK, 0)
    page.locator("[data-send]").click()

    expect(page.locator(f'[data-stop="{parcel_id}"] [data-hand-over]')).to_be_visible()


def test_a_clock_a_month_on_forgets_no_note_that_a_restored_server_may_ask_for(page: Page) -> None:
    hand_over(page)
    wait_until_kept_and_sent(page)
    page.evaluate(SET_CLOCK, 40 * DAY_MS)
    page.locator("[data-send]").click()
    expect(page.locator("[data-line]")).to_contain_text("Sent at")

    assert page.evaluate(COUNT_NOTES) == 1


def test_what_an_earlier_release_kept_is_shown_and_sent(page: Page, post: Post) -> None:
    parcel_id = parcel_of(page)
    page.context.set_offline(True)
    hand_over(page)
    page.evaluate(FORGET_WHAT_IS_NEW)
    page.reload()
    expect(page.locator("[data-unsent]")).to_have_text("Not sent yet: 1")
    expect(page.locator("[data-done]")).to_contain_text("handed over without the slip")
    page.context.set_offline(False)
    page.locator("[data-send]").click()
    wait_until_sent(page)

    assert post.now(UUID(parcel_id)).state == "delivered_unverified"


def test_the_answers_to_a_phone_carry_the_servers_time(page: Page, clock: Clock) -> None:
    with page.expect_response("**/api/v1/delivery/phones") as got:
        page.locator("[data-send]").click()

    assert got.value.json()["time"] == iso(clock.now)


def type_code(page: Page, code: str) -> None:
    open_hand_over(page, parcel_of(page))
    page.locator("#code").fill(code)
    page.locator("[data-code] button").click()


def test_a_spoken_code_is_kept_as_unchecked_until_the_server_has_seen_it(page: Page, post: Post) -> None:
    parcel_id = UUID(parcel_of(page))
    code = post.code(parcel_id)
    page.context.set_offline(True)
    type_code(page, f"{code[:3]} {code[3:6]} {int(code[6:]) ^ 1:03d}")
    expect(page.locator("#code-error")).to_contain_text("one digit is wrong")
    page.locator("#code").fill(f"{code[:3]} {code[3:6]} {code[6:]}")
    page.locator("[data-code] button").click()
    expect(page.locator("[data-done]")).to_contain_text("handed over, the code is not checked yet")
    page.context.set_offline(False)
    page.locator("[data-send]").click()
    wait_until_kept_and_sent(page)

    expect(page.locator("[data-done]")).not_to_contain_text("not checked")
    assert (post.now(parcel_id).state, post.now(parcel_id).verified) == ("delivered", True)


def test_a_wrong_spoken_code_brings_the_stop_back_and_says_so(page: Page, post: Post) -> None:
    code = others(post.code(UUID(parcel_of(page))), 1)[0]
    type_code(page, code)

    expect(page.locator("[data-troubles]")).to_contain_text("Ask for it again")
    expect(page.locator("[data-stop]")).to_have_count(1)
    expect(page.locator("[data-done-part]")).to_be_hidden()


def test_the_scanner_comes_with_the_round_and_a_phone_without_it_says_what_is_true(page: Page) -> None:
    expect(page.locator("[data-scanner-state]")).to_contain_text("works without a network")
    page.context.set_offline(True)
    page.evaluate("caches.delete('telemed-scanner')")
    open_hand_over(page, parcel_of(page))
    page.locator("[data-scan]").click()
    expect(page.locator("#code-error")).to_contain_text("no network to load it")
    page.locator("#hand-over [data-close]").click()
    page.context.set_offline(False)
    page.locator("[data-send]").click()

    expect(page.locator("[data-scanner-state]")).to_contain_text("works without a network")


@pytest.mark.parametrize(
    ("name", "says"),
    [("NotAllowedError", "not allowed"), ("NotReadableError", "Another program"), ("NotFoundError", "gives no camera")],
)
def test_a_camera_that_fails_says_why(page: Page, name: str, says: str) -> None:
    expect(page.locator("[data-scanner-state]")).to_contain_text("works without a network")
    page.evaluate(REFUSE_CAMERA, name)
    open_hand_over(page, parcel_of(page))
    page.locator("[data-scan]").click()

    expect(page.locator("#code-error")).to_contain_text(says)
