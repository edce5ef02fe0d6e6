"""The page's side of calls and line checks, in a real browser, through a relay of this test."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio
from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server

from telemed.consultation.media_client import MediaClient
from tests.browser.conftest import chromium_path
from tests.consultation.peers import CallPeer
from tests.consultation.test_media import SECRET, media_process

ROOT = Path(__file__).parent.parent.parent
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
    "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]  # fmt: skip
PAGE = """<!doctype html><title>call</title><script type="importmap">
{"imports": {"socket.io-client": "/static/vendor/socket.io.esm.min.js"}}</script>"""
START = """async ({polite, callId}) => {
  const { createCall } = await import('/static/js/lib/call.js');
  const { live } = await import('/static/js/lib/live.js');
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 160, height: 120, frameRate: 10}});
  const far = document.createElement('video');
  Object.assign(far, {autoplay: true, playsInline: true});
  document.body.append(far);
  window.seen = [];
  window.line = live();
  window.call = createCall({
    socket: line.socket, callId, polite, localStream: stream,
    onRemoteTrack: (_track, stream) => { far.srcObject = stream; },
    onState: (state) => { window.state = state; seen.push(state.phase); },
    onCode: (code) => { window.code = code; },
    onStats: (stats) => { window.stats = stats; },
  });
}"""
TALKING = """window.state?.phase === 'talking'
  && state.hear.video && state.heard.video && state.hear.audio && state.heard.audio"""


class Relay:
    """What the server does for a call, without its checks."""

    def __init__(self) -> None:
        self.app = Flask("relay", static_folder=str(ROOT / "static"), static_url_path="/static")
        self.io = SocketIO(self.app, async_mode="threading")
        self.members: dict[str, dict[str, str]] = {}
        self.media: MediaClient | None = None
        self.app.add_url_rule("/", "page", lambda: PAGE)
        self.app.add_url_rule("/offer", "offer", self.offer, methods=["POST"])
        self.app.add_url_rule("/report", "report", self.report, methods=["POST"])
        self.io.on_event("call:join", self.join)
        self.io.on_event("disconnect", self.gone)
        for event in ("call:signal", "call:heard", "call:code", "call:step"):
            self.io.on_event(event, self.passing(event))
        self.alters: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        self.server = make_server("127.0.0.1", 0, self.app, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def offer(self) -> str:
        assert self.media is not None
        return self.media.answer_line_check("from-the-browser", request.get_json()["sdp"])

    def report(self) -> dict[str, Any]:
        assert self.media is not None
        return self.media.report_line_check("from-the-browser", request.get_json())

    def join(self, document: dict[str, Any]) -> None:
        call_id, sid = document["call_id"], request.sid  # type: ignore[attr-defined]
        members = self.members.setdefault(call_id, {})
        for page in [page for other, page in members.items() if other != sid]:
            emit("call:peer", {"call_id": call_id, "joined": True, "page": page})
        members[sid] = document["page"]
        join_room(call_id)
        emit("call:peer", {**document, "joined": True}, to=call_id, include_self=False)

    def gone(self, _reason: Any = None) -> None:
        for call_id, members in self.members.items():
            page = members.pop(request.sid, None)  # type: ignore[attr-defined]
            if page and page not in members.values():  # a page may come back before its old socket is missed
                emit("call:peer", {"call_id": call_id, "joined": False, "page": page}, to=call_id, include_self=False)

    def passing(self, event: str) -> Any:
        return lambda document: emit(event, self.altered(document), to=document["call_id"], include_self=False)

    def altered(self, document: dict[str, Any]) -> dict[str, Any]:
        return self.alters(document) if self.alters and document.get("description") else document


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    relay = Relay()
    yield relay
    relay.server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), headless=False, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, relay: Relay) -> Iterator[Page]:
    yield from _page(browser, relay)


@pytest.fixture
def other(browser: Browser, relay: Relay) -> Iterator[Page]:
    yield from _page(browser, relay)


def _page(browser: Browser, relay: Relay) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(relay.url)
    yield page
    context.close()


def enter(page: Page, call_id: str, *, polite: bool) -> None:
    page.evaluate(START, {"polite": polite, "callId": call_id})


def is_truly_talking(page: Page) -> None:
    page.wait_for_function(TALKING, timeout=15000)


def frames_rise(page: Page) -> bool:
    before = page.evaluate("stats.framesDecoded")
    page.wait_for_function("(before) => stats.framesDecoded > before + 3", arg=before, timeout=8000)
    return True


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


def other_fingerprint(document: dict[str, Any]) -> dict[str, Any]:
    """Put another certificate's fingerprint into a description, as somebody in the middle would."""
    description = document["description"]
    sdp = re.sub(r"(?<=a=fingerprint:sha-256 )\S+", ":".join(["AB"] * 32), description["sdp"])
    assert sdp != description["sdp"]
    return {**document, "description": {**description, "sdp": sdp}}


@pytest.mark.browser
def test_an_altered_fingerprint_never_becomes_a_talk_on_either_side(page: Page, other: Page, relay: Relay) -> None:
    relay.alters = other_fingerprint
    try:
        enter(page, "call-3", polite=True)
        enter(other, "call-3", polite=False)
        broken = "window.state && ['failed', 'disconnected'].includes(state.connection)"
        page.wait_for_function(f"{broken} || window.seen.includes('interrupted')", timeout=30000)

        for side in (page, other):
            assert "talking" not in side.evaluate("seen")
            assert side.evaluate("[state.heard.audio, state.heard.video, state.hear.video]") == [False, False, False]
    finally:
        relay.alters = None

    # The premise: the same two pages do talk as soon as nobody alters anything.
    for side, polite in ((page, True), (other, False)):
        side.reload()
        enter(side, "call-4", polite=polite)
    is_truly_talking(page)


@pytest.mark.browser
def test_somebody_with_a_connection_to_each_side_gives_them_different_digits(
    page: Page, other: Page, browser: Browser, relay: Relay
) -> None:
    """The attacker holds a whole call with each of the two; both calls run, and only the digits tell."""
    middle = [browser.new_context() for _ in range(2)]
    try:
        for victim, polite, context, call_id in ((page, True, middle[0], "call-5"), (other, False, middle[1], "call-6")):
            enter(victim, call_id, polite=polite)
            attacker = context.new_page()
            attacker.goto(relay.url)
            enter(attacker, call_id, polite=not polite)
        digits = []
        for victim in (page, other):
            is_truly_talking(victim)
            victim.wait_for_function("window.code?.state === 'ready'", timeout=15000)
            digits.append(victim.evaluate("code.digits"))
    finally:
        for context in middle:
            context.close()

    assert len(set(digits)) == 2


@pytest.mark.browser
def test_the_digits_come_also_when_statistics_were_asked_for_before_the_keys_were_agreed(page: Page, other: Page) -> None:
    for side, polite in ((page, True), (other, False)):
        enter(side, "call-9", polite=polite)
        side.evaluate("void setInterval(() => call.connection.getStats(), 5)")  # what it first knew it keeps

    for side in (page, other):
        side.wait_for_function("window.code?.state === 'ready'", timeout=15000)

    assert page.evaluate("code.digits") == other.evaluate("code.digits")


# Asked at the first moment at which the connection says that it stands, as a call asks.
AT_ONCE = """async () => {
  const { fingerprints } = await import('/static/js/lib/call-code.js');
  const [corner, doctor] = [0, 1].map(() => new RTCPeerConnection());
  const passOn = (from, to) => { from.onicecandidate = ({candidate}) => candidate && to.addIceCandidate(candidate); };
  passOn(corner, doctor);
  passOn(doctor, corner);
  const found = Promise.all([corner, doctor].map((one) => {
    one.createDataChannel('photo', {negotiated: true, id: 1});
    return new Promise((done) => {
      one.onconnectionstatechange = () => one.connectionState === 'connected' && done(fingerprints(one));
    });
  }));
  await doctor.setLocalDescription();
  await corner.setRemoteDescription(doctor.localDescription);
  await corner.setLocalDescription();
  await doctor.setRemoteDescription(corner.localDescription);
  return found;
}"""


@pytest.mark.browser
def test_both_certificates_are_known_as_soon_as_the_connection_stands(page: Page) -> None:
    for _ in range(10):
        corner, doctor = page.evaluate(AT_ONCE)
        assert (corner["mine"], corner["theirs"]) == (doctor["theirs"], doctor["mine"])


# The corner answers an offer in which voice and picture are one bundle, the attacker's, and the data another, the true
# doctor's, whom the attacker only passes on.
SPLIT_OFFER = """async () => {
  const { fingerprints } = await import('/static/js/lib/call-code.js');
  const open = () => new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  const corner = open(), attacker = open(), doctor = open();
  const gathered = (one) => new Promise((done) => {
    const look = () => one.iceGatheringState === 'complete' && done();
    one.addEventListener('icegatheringstatechange', look);
    look();
  });
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
  for (const one of [corner, attacker]) stream.getTracks().forEach((track) => one.addTrack(track, stream));
  for (const one of [corner, doctor]) one.createDataChannel('photo', {negotiated: true, id: 1});
  await attacker.setLocalDescription();
  await doctor.setLocalDescription();
  await Promise.all([attacker, doctor].map(gathered));
  const offer = doctor.localDescription.sdp, own = offer.match(/a=mid:(.*)/)[1].trim();
  const data = offer.slice(offer.indexOf('m=')).replace(/a=mid:.*/, 'a=mid:data');
  await corner.setRemoteDescription({type: 'offer', sdp: attacker.localDescription.sdp + data});
  await corner.setLocalDescription();
  await gathered(corner);
  const answer = corner.localDescription.sdp, at = answer.indexOf('m=application');
  const head = answer.slice(0, answer.indexOf('m=')).replace(/a=group.*/, `a=group:BUNDLE ${own}`);
  await attacker.setRemoteDescription({type: 'answer', sdp: answer.slice(0, at)});
  await doctor.setRemoteDescription({type: 'answer', sdp: head + answer.slice(at).replace(/a=mid:.*/, `a=mid:${own}`)});
  const up = () => [corner, attacker, doctor].every((one) => one.connectionState === 'connected');
  for (let waited = 0; waited < 10000 && !up(); waited += 50) await new Promise((done) => setTimeout(done, 50));
  const print = (one) => one.localDescription.sdp.match(/fingerprint:sha-256 (.*)/)[1].trim();
  return {up: up(), seen: (await fingerprints(corner)).theirs, attacker: print(attacker), doctor: print(doctor)};
}"""


@pytest.mark.browser
def test_who_takes_voice_and_picture_and_passes_on_the_data_is_in_the_digits(page: Page) -> None:
    found = page.evaluate(SPLIT_OFFER)

    assert found["up"]
    assert found["seen"].split() == sorted([found["attacker"], found["doctor"]])


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


@pytest.mark.browser
def test_a_page_checks_its_line(page: Page, relay: Relay, tmp_path: Path) -> None:
    with media_process(tmp_path) as (_process, url):
        relay.media = MediaClient(url, SECRET)
        result = page.evaluate("""async () => {
          const { checkLine } = await import('/static/js/lib/line-check.js');
          const tell = (path, body) => fetch(path, {
            method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)});
          return checkLine({ api: {
            offer: async (sdp) => (await tell('/offer', {sdp})).text(),
            report: async (figures) => (await tell('/report', figures)).json(),
            touch: async () => {},
          } });
        }""")

        assert result.pop("is_rough") is False
        assert relay.media.line_check_result("from-the-browser") == result
    assert result["line_class"] == "good"
    assert result["took_ms"] < 8500
    assert result["loss_up_pct"] is not None
    assert result["loss_down_pct"] is not None


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
