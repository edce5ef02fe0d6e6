"""The deeds that a phone noted with an older page and never sent are sent by today's page to today's server."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from playwright.sync_api import BrowserContext, expect, sync_playwright

from telemed.access.accounts import open_session
from telemed.bootstrap import Application
from telemed.delivery.models import Parcel, PhoneEvent
from telemed.web.live import COOKIE
from tests.browser.conftest import chromium_path
from tests.carried.folders import Carried

pytestmark = [pytest.mark.browser, pytest.mark.db]
expect.set_options(timeout=15_000)
# As 2f8766b's page would have it: the same names, the list sealed under a key that cannot leave the browser.
PUT_BACK = """async (kept) => {
  const answerOf = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
  const opening = indexedDB.open("telemed-round", kept.version);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("keep");
    const outbox = opening.result.createObjectStore("outbox", { keyPath: ["device_id", "device_seq"] });
    outbox.createIndex("once", "once", { unique: true });
  };
  const db = await answerOf(opening);
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const bound = new TextEncoder().encode(`telemed-round-1:${kept.postman}`);
  const list = new TextEncoder().encode(JSON.stringify(kept.opened_list.list));
  const data = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: bound }, key, list);
  const tx = db.transaction(["keep", "outbox"], "readwrite");
  for (const [name, value] of Object.entries(kept.keep)) tx.objectStore("keep").put(value, name);
  tx.objectStore("keep").put(key, "key");
  tx.objectStore("keep").put({ iv, data, saved_at: kept.opened_list.saved_at }, `list:${kept.postman}`);
  for (const note of kept.outbox) tx.objectStore("outbox").put(note);
  await new Promise((done) => { tx.oncomplete = done; });
  db.close();
}"""


@pytest.fixture
def phone(carried: Carried, address: str, application: Application) -> Iterator[BrowserContext]:
    """A phone with the older page's store, on which the same postman is signed in."""
    kept = carried.facts["phone"]
    token = open_session(application.services, account_id=UUID(kept["postman"]))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 390, "height": 844}, base_url=address)
        cookies = {COOKIE: token, "lang": "en"}
        context.add_cookies([{"name": name, "value": value, "url": address} for name, value in cookies.items()])
        page = context.new_page()
        page.goto("/static/manifest.webmanifest")
        page.evaluate(PUT_BACK, kept)
        page.close()
        yield context
        browser.close()


def test_the_unsent_deeds_are_sent_and_count(carried: Carried, phone: BrowserContext, application: Application) -> None:
    deeds = carried.facts["phone"]["outbox"]
    page = phone.new_page()
    page.goto("/round")
    expect(page.locator("[data-unsent]")).to_have_attribute("data-unsent", "0")
    expect(page.locator("[data-troubles]")).to_be_hidden()

    waiting = [deed for deed in deeds if deed["status"] is None]
    assert [deed["report"]["kind"] for deed in waiting] == ["handed_over", "attempted"]
    with application.services.db.read() as tx:
        for deed in waiting:
            assert tx.get_one(PhoneEvent, UUID(deed["report"]["event_id"])).status == "applied"
        delivered = tx.get_one(Parcel, UUID(carried.facts["delivered"]["parcel"]))
        attempted = tx.get_one(Parcel, UUID(carried.facts["attempted"]["parcel"]))
        assert (delivered.state, delivered.verified) == ("delivered", True)
        assert attempted.state == "attempted"
