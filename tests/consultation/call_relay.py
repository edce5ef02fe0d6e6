"""Two pages of a call without the product around them: a relay of the tests, and what to run in its page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server

from telemed.consultation.media_client import MediaClient
from tests.browser.conftest import chromium_path

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
        self.io.on_event("call:leave", self.leave)
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

    def leave(self, document: dict[str, Any]) -> None:
        call_id = document["call_id"]
        page = self.members[call_id].pop(request.sid, None)  # type: ignore[attr-defined]
        news = {"call_id": call_id, "joined": False, "page": page, "by_choice": True}
        emit("call:peer", news, to=call_id, include_self=False)

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
    yield from open_page(browser, relay)


@pytest.fixture
def other(browser: Browser, relay: Relay) -> Iterator[Page]:
    yield from open_page(browser, relay)


def open_page(browser: Browser, relay: Relay, script: str = "") -> Iterator[Page]:
    """Open the relay's page in a window of its own; `script` runs before anything else, e.g. to take something away."""
    context = browser.new_context()
    context.add_init_script(script)
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
