"""Nobody in the middle: the five digits differ when somebody is, whether or not a browser tells the certificates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.consultation.call_relay import Relay, enter, is_truly_talking, open_page

TELLS_NONE = "delete RTCDtlsTransport.prototype.getRemoteCertificates;"  # as Firefox ESR 140
SIDES = {"both tell": ("", ""), "one tells": ("", TELLS_NONE), "none tells": (TELLS_NONE, TELLS_NONE)}

pytestmark = pytest.mark.browser


@pytest.fixture(params=SIDES.values(), ids=SIDES)
def lacking(request: pytest.FixtureRequest) -> tuple[str, str]:
    """What each side's browser is to be without."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def plain(browser: Browser, relay: Relay) -> Iterator[Page]:
    """A page for what needs no call."""
    yield from open_page(browser, relay)


@pytest.fixture
def page(browser: Browser, relay: Relay, lacking: tuple[str, str]) -> Iterator[Page]:
    yield from open_page(browser, relay, lacking[0])


@pytest.fixture
def other(browser: Browser, relay: Relay, lacking: tuple[str, str]) -> Iterator[Page]:
    yield from open_page(browser, relay, lacking[1])


def other_fingerprint(document: dict[str, Any]) -> dict[str, Any]:
    """Put another certificate's fingerprint into a description, as somebody in the middle would."""
    description = document["description"]
    sdp = re.sub(r"(?<=a=fingerprint:sha-256 )\S+", ":".join(["AB"] * 32), description["sdp"])
    assert sdp != description["sdp"]
    return {**document, "description": {**description, "sdp": sdp}}


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


def test_somebody_with_a_connection_to_each_side_gives_them_different_digits(
    page: Page, other: Page, browser: Browser, relay: Relay
) -> None:
    """The attacker holds a whole call with each of the two; both calls run, and only the digits tell."""
    middle = [browser.new_context() for _ in range(2)]
    try:
        for victim, polite, context, call_id in (
            (page, True, middle[0], "call-5"),
            (other, False, middle[1], "call-6"),
        ):
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


def test_the_digits_come_also_when_statistics_were_asked_for_before_the_keys_were_agreed(
    page: Page, other: Page
) -> None:
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


def test_both_certificates_are_known_as_soon_as_the_connection_stands(page: Page) -> None:
    for _ in range(10):
        corner, doctor = page.evaluate(AT_ONCE)
        assert (corner["mine"], corner["theirs"]) == (doctor["theirs"], doctor["mine"])


# The corner answers an offer in which voice and picture are one bundle, the attacker's, and the data another, the true
# doctor's, whom the attacker only passes on.
SPLIT_OFFER = """async () => {
  const { fingerprints, ofOneCertificate } = await import('/static/js/lib/call-code.js');
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
  const split = {type: 'offer', sdp: attacker.localDescription.sdp + data};
  const isRefused = ofOneCertificate(split) === null; // by a call; here to see what would come of it
  await corner.setRemoteDescription(split);
  await corner.setLocalDescription();
  await gathered(corner);
  const answer = corner.localDescription.sdp, at = answer.indexOf('m=application');
  const head = answer.slice(0, answer.indexOf('m=')).replace(/a=group.*/, `a=group:BUNDLE ${own}`);
  await attacker.setRemoteDescription({type: 'answer', sdp: answer.slice(0, at)});
  await doctor.setRemoteDescription({type: 'answer', sdp: head + answer.slice(at).replace(/a=mid:.*/, `a=mid:${own}`)});
  const up = () => [corner, attacker, doctor].every((one) => one.connectionState === 'connected');
  for (let waited = 0; waited < 10000 && !up(); waited += 50) await new Promise((done) => setTimeout(done, 50));
  const print = (one) => one.localDescription.sdp.match(/fingerprint:sha-256 (.*)/)[1].trim();
  const seen = (await fingerprints(corner))?.theirs;
  return {up: up(), isRefused, seen, attacker: print(attacker), doctor: print(doctor)};
}"""


def test_who_takes_voice_and_picture_and_passes_on_the_data_is_refused_and_would_be_in_the_digits(
    page: Page, lacking: tuple[str, str]
) -> None:
    found = page.evaluate(SPLIT_OFFER)

    assert found["up"]
    assert found["isRefused"]
    both = " ".join(sorted([found["attacker"], found["doctor"]]))
    assert found.get("seen") == (None if lacking[0] else both), "of several, a browser that tells none knows not which"


def test_a_description_whose_parts_name_different_certificates_is_refused_and_ends_the_code(
    page: Page, other: Page, relay: Relay
) -> None:
    relay.alters = other_fingerprint_in_the_last_part
    try:
        for side, polite in ((page, True), (other, False)):
            enter(side, "call-10", polite=polite)
        page.wait_for_function("window.code?.state === 'broken'", timeout=15000)

        assert page.evaluate("call.connection.remoteDescription") is None
        assert "talking" not in page.evaluate("seen")
    finally:
        relay.alters = None


def other_fingerprint_in_the_last_part(document: dict[str, Any]) -> dict[str, Any]:
    """Let the data alone be somebody else's, as one would who takes only a part of the call."""
    head, last = document["description"]["sdp"].rsplit("m=", 1)
    own = re.search(r"a=fingerprint:\S+ \S+", document["description"]["sdp"])
    assert own
    cut = re.sub(r"a=fingerprint:.*\r\n", "", last)
    parted = re.sub(r"(a=mid:.*\r\n)", rf"\1a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\n", cut)
    whole = head if "a=fingerprint" in head.split("m=", 1)[1] else head.replace("a=mid:", f"{own[0]}\r\na=mid:", 1)
    return {**document, "description": {**document["description"], "sdp": f"{whole}m={parted}"}}


A, B = ":".join(["AB"] * 32), ":".join(["CD"] * 32)
LONG = ":".join(["EF"] * 48)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([f"sha-256 {A}"], A),
        ([f"sha-256 {A}", f"sha-256 {A}"], A),
        ([f"SHA-256 {A.lower()}", f"sha-256 {A}"], A),
        ([f"sha-256 {A}", f"sha-384 {LONG}"], A),  # as aiortc writes: its key exchange is then held to the first
        ([f"sha-256 {A}", f"sha-256 {B}"], None),
        ([f"sha-384 {LONG}"], None),
        ([], None),
        ([f"sha-256  {A}", f"sha-256 {A}"], None),
        ([f"sha-256 {A}", f" sha-256 {B}"], None),
        ([f"sha-256 {A}", f"sha-256 {B} "], None),
        ([f"sha-256 {A[:-3]}"], None),
    ],
)
def test_one_certificate_is_what_every_line_names_in_one_spelling(
    plain: Page, lines: list[str], found: str | None
) -> None:
    sdp = "".join(f"m=audio 9 X 1\r\na=fingerprint:{line}\r\na=mid:1\r\n" for line in lines) or "m=audio 9 X 1\r\n"
    read = plain.evaluate(
        """async (sdp) => {
          const { ofOneCertificate } = await import('/static/js/lib/call-code.js');
          return ofOneCertificate({ type: 'offer', sdp });
        }""",
        sdp,
    )

    assert (read and read["print"]) == found
    assert read is None or "sha-384" not in read["description"]["sdp"]
    assert read is None or read["description"]["sdp"].count("a=mid:1\r\n") == len(lines)


def test_a_certificate_that_changes_in_the_middle_of_a_connection_is_refused(
    page: Page, other: Page, relay: Relay
) -> None:
    for side, polite in ((page, True), (other, False)):
        enter(side, "call-11", polite=polite)
    for side in (page, other):
        is_truly_talking(side)
        side.wait_for_function("window.code?.state === 'ready'", timeout=15000)
    relay.alters = other_fingerprint
    try:
        before = page.evaluate("call.connection.remoteDescription.sdp")
        page.evaluate("line.socket.emit('call:signal', {call_id: 'call-11', round: 0, ask: 'offer'})")
        page.wait_for_function("window.code?.state === 'broken'", timeout=15000)

        assert page.evaluate("call.connection.remoteDescription.sdp") == before
    finally:
        relay.alters = None
