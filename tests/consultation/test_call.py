"""The page's side of calls and line checks, in a real browser, through a relay of the tests."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import socketio
from playwright.sync_api import Browser, Page

from telemed.consultation.media_client import MediaClient
from tests.consultation.call_relay import Relay, enter, frames_rise, is_truly_talking, open_page
from tests.consultation.peers import CallPeer
from tests.consultation.test_media import SECRET, media_process
from tests.firefox import firefox_or_skip


@pytest.mark.browser
def test_two_pages_hear_and_see_each_other_and_recover(page: Page, other: Page) -> None:
    enter(page, "call-1", polite=True)
    enter(other, "call-1", polite=False)
    is_truly_talking(page)
    is_truly_talking(other)
    assert frames_rise(page)
    assert frames_rise(other)
    for side in (page, other):
        side.wait_for_function("window.code?.state === 'ready'", timeout=8000)
    assert page.evaluate("code.digits") == other.evaluate("code.digits")

    # The socket breaks while the doctor asks for a restart: the pending offer goes again.
    other.evaluate("line.socket.io.engine.close()")
    other.evaluate("call.connection.restartIce()")
    other.wait_for_function("line.socket.connected && call.connection.signalingState === 'stable'", timeout=8000)
    assert frames_rise(page)

    # The doctor's page is loaded again: the corner starts over with it.
    other.reload()
    enter(other, "call-1", polite=False)
    is_truly_talking(other)
    is_truly_talking(page)
    assert frames_rise(other)
    assert frames_rise(page)

    # The picture stops where it is switched off, and the voice stays.
    page.evaluate("call.setVideo(false)")
    other.wait_for_function("state.hear.audio && !state.hear.video && state.phase === 'talking'", timeout=8000)


AGREED = "call.connection.currentLocalDescription.sdp"
SENT = """async () => {
  const stats = [...(await call.connection.getStats()).values()];
  return stats.filter(({ type }) => type === "outbound-rtp").map(({ packetsSent }) => packetsSent);
}"""


@pytest.mark.browser
def test_both_go_on_sending_when_both_want_a_new_description_at_once(page: Page, other: Page) -> None:
    """Offers that meet would make the corner take its own back, and this browser then sends nothing ever after."""
    for side, polite in ((page, True), (other, False)):
        enter(side, "call-7", polite=polite)
    for side in (page, other):
        is_truly_talking(side)

    for _ in range(3):
        before = [side.evaluate(AGREED) for side in (page, other)]
        for side in (page, other):
            side.evaluate("void call.connection.dispatchEvent(new Event('negotiationneeded'))")
        for side, old in zip((page, other), before, strict=True):
            side.wait_for_function(
                f"(old) => call.connection.signalingState === 'stable' && {AGREED} !== old", arg=old, timeout=8000
            )

    for side in (page, other):
        sent = side.evaluate(SENT)
        side.wait_for_function(
            f"async (before) => (await ({SENT})()).every((now, at) => now > before[at])", arg=sent, timeout=8000
        )


@pytest.mark.browser
def test_the_corner_has_a_new_path_looked_for_by_asking(page: Page, other: Page) -> None:
    for side, polite in ((page, True), (other, False)):
        enter(side, "call-8", polite=polite)
    for side in (page, other):
        is_truly_talking(side)
    ufrag = "/a=ice-ufrag:(\\S+)/.exec(call.connection.currentLocalDescription.sdp)[1]"
    before = [side.evaluate(ufrag) for side in (page, other)]

    page.evaluate("line.socket.emit('call:signal', {call_id: 'call-8', round: 0, ask: 'restart'})")

    for side, old in zip((page, other), before, strict=True):
        side.wait_for_function(f"(old) => {ufrag} !== old", arg=old, timeout=8000)
        assert frames_rise(side)


@pytest.mark.browser
def test_a_page_talks_with_a_peer_without_a_browser(page: Page, relay: Relay) -> None:
    enter(page, "call-2", polite=False)
    result: dict[str, Any] = {}

    async def patient() -> None:
        client = socketio.AsyncClient()
        waiting: set[asyncio.Task[None]] = set()
        peer = CallPeer(client.emit, "call-2", polite=True)

        def hand_over(event: str) -> None:
            client.on(event, lambda document: waiting.add(asyncio.ensure_future(peer.receive(event, document))))

        for event in ("call:peer", "call:signal", "call:heard", "call:ended"):
            hand_over(event)
        await client.connect(relay.url, transports=["websocket"])
        await peer.join()
        deadline = time.monotonic() + 12
        while time.monotonic() < deadline and not all(peer.heard.values()):
            await peer.hold(0.5)
        result.update(got=await peer.hold(3), heard=peer.heard)
        await peer.close()
        await client.disconnect()

    thread = threading.Thread(target=lambda: asyncio.run(patient()))
    thread.start()
    is_truly_talking(page)
    assert frames_rise(page)
    thread.join(20)

    assert result["got"]["audio"] > 50
    assert result["got"]["video"] > 5
    assert result["heard"] == {"audio": True, "video": True}


OFFERED = """(async () => {
  const one = new RTCPeerConnection();
  one.createDataChannel("probe");
  await one.setLocalDescription();
  await new Promise((done) => {
    one.onicegatheringstatechange = () => one.iceGatheringState === "complete" && done();
    setTimeout(done, 3000);
  });
  return one.localDescription.sdp;
})()"""
@pytest.mark.browser
@pytest.mark.parametrize(("way", "cuts", "phase"), [("", 1, "interrupted"), ("call.depart(); ", 0, "waiting")])
def test_who_goes_by_choice_cuts_no_line(page: Page, other: Page, way: str, cuts: int, phase: str) -> None:
    """A page that is loaded anew says so; one that just falls silent is a cut: the premise."""
    call_id = f"call-13-{cuts}"
    for side, polite in ((page, True), (other, False)):
        enter(side, call_id, polite=polite)
    for side in (page, other):
        is_truly_talking(side)

    other.evaluate(f"{way}call.connection.close()")

    page.wait_for_function("['disconnected', 'failed'].includes(state.connection)", timeout=20000)
    page.wait_for_function(f"state.phase === '{phase}'", timeout=5000)
    assert page.evaluate("call.cuts") == cuts


CHECK = """async () => {
  const { checkLine } = await import('/static/js/lib/line-check.js');
  const tell = (path, body) => fetch(path, {
    method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)});
  return checkLine({ api: {
    offer: async (sdp) => (await tell('/offer', {sdp})).text(),
    report: async (figures) => (await tell('/report', figures)).json(),
    touch: async () => {},
  } });
}"""


def is_a_good_line(result: dict[str, Any]) -> None:
    assert result["is_rough"] is False
    assert result["line_class"] == "good"
    assert result["took_ms"] < 8500
    assert result["loss_up_pct"] is not None
    assert result["loss_down_pct"] is not None


@pytest.mark.browser
def test_a_page_checks_its_line(page: Page, relay: Relay, tmp_path: Path) -> None:
    with media_process(tmp_path) as (_process, url):
        relay.media = MediaClient(url, SECRET)
        result = page.evaluate(CHECK)

        is_a_good_line(result)
        kept = relay.media.line_check_result("from-the-browser")
    assert kept == {name: value for name, value in result.items() if name != "is_rough"}


@pytest.mark.browser
@pytest.mark.parametrize("hides_addresses", [True, False])
def test_a_page_of_firefox_checks_its_line_also_where_it_hides_its_addresses(
    relay: Relay, tmp_path: Path, hides_addresses: bool
) -> None:
    with (
        media_process(tmp_path) as (_process, url),
        firefox_or_skip(tmp_path / "profile", hides_addresses=hides_addresses) as fox,
    ):
        relay.media = MediaClient(url, SECRET)
        fox.goto(relay.url)
        offered = fox.evaluate(OFFERED)
        assert (".local" in offered) is hides_addresses, "the premise"

        is_a_good_line(fox.evaluate(f"({CHECK})()"))


# As of Firefox ESR 140: nothing of the path, and of a voice alone no report of the far end.
TELLS_NO_PATH = """
  const read = RTCPeerConnection.prototype.getStats;
  RTCPeerConnection.prototype.getStats = async function () {
    const told = [...(await read.call(this)).values()];
    const kept = told.filter(({ type }) => !["transport", "remote-inbound-rtp"].includes(type));
    return new Map(kept.map((one) => [one.id, one]));
  };
"""


@pytest.mark.browser
def test_both_sides_know_round_trip_and_what_arrives_where_a_browser_tells_neither(
    browser: Browser, relay: Relay, other: Page
) -> None:
    for silent in open_page(browser, relay, TELLS_NO_PATH):
        for side, polite in ((silent, True), (other, False)):
            enter(side, "call-12", polite=polite)
        is_truly_talking(silent)
        silent.wait_for_function("stats.rttMs !== null && stats.rttMs < 1000", timeout=10000)

        assert silent.evaluate("stats.availableKbitS") is None
        # What one side says arrives there is what the other one counts with.
        silent.wait_for_function("call.arrivesKbitS > 20", timeout=10000)


@pytest.mark.browser
def test_the_page_switches_the_picture_as_the_rule_says(page: Page) -> None:
    cases = json.loads((Path(__file__).parent / "video-cases.json").read_text())

    wrong = page.evaluate(
        """async (cases) => {
          const { nextVideo, VIDEO_ON } = await import("/static/js/lib/call-ladder.js");
          return cases.filter(({steps}) => {
            let video = VIDEO_ON;
            return steps.some(({on, ...sample}) => (video = nextVideo(video, sample)).on !== on);
          }).map(({name}) => name);
        }""",
        cases,
    )

    assert cases
    assert wrong == []
