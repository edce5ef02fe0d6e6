"""Two people talk over a village line: it begins, it survives a cut, a restarted server and a killed media process.
How long each takes is a figure of bench/; here it only has to happen.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.coturn import SECRET, NoCoturn, coturn
from tests.line import CLEAN, CUT, LINES
from tests.village import CHECK, FIGURES, Village, until, until_more

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("calls")]
PENDING = "document.querySelector('[data-call]').callPeer.connection.signalingState"
REMOTE = "document.querySelector('[data-call]').callPeer.connection.remoteDescription.sdp"
ONLINE = "fetch('/healthz').then((answer) => answer.ok, () => false)"


@pytest.mark.parametrize("line", ["clean", "400k-300ms-5"])
def test_both_see_and_hear_each_other(quiet_village: Village, line: str) -> None:
    pages = quiet_village.pages()
    quiet_village.lines.set("corner", LINES[line])
    quiet_village.talk(pages)

    for page in pages.values():
        until_more(page, "frames", "packets")
    assert [page.evaluate(FIGURES)["pair"]["local"] for page in pages.values()] == ["host", "host"]


def credentials(page: Page) -> str:
    return str(page.evaluate(FIGURES)["credentials"])


def test_voice_and_picture_return_after_a_cut(quiet_village: Village) -> None:
    """The premise: the cut is long enough that the browser mends nothing alone; both sides restarted the connection."""
    pages = quiet_village.pages()
    quiet_village.talk(pages)
    before = [credentials(page) for page in pages.values()]
    quiet_village.lines.set("corner", CUT)
    until(pages["doctor"], FIGURES, lambda now: now["state"] == "disconnected")
    until(pages["doctor"], PENDING, lambda state: state != "stable")  # the restart is due, and cannot pass
    quiet_village.lines.set("corner", CLEAN)

    for page, old in zip(pages.values(), before, strict=True):
        until(page, FIGURES, lambda now, old=old: now["credentials"] != old)  # media may be back before the restart is
        until_more(page, "frames", "packets")


def test_a_call_does_not_notice_that_the_media_process_died(quiet_village: Village) -> None:
    pages = quiet_village.pages()
    quiet_village.talk(pages)
    before = [credentials(page) for page in pages.values()]
    killed = quiet_village.media_pid()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    for page in pages.values():
        until_more(page, "frames", "packets", by=30)
    until(pages["doctor"], "1", lambda _one: quiet_village.media_pid() not in (None, killed))
    assert [credentials(page) for page in pages.values()] == before


def test_a_call_goes_on_while_the_server_restarts_and_signalling_comes_back(quiet_village: Village) -> None:
    """A restart of the connection afterwards needs both sides' signalling, so it proves that they are back."""
    pages = quiet_village.pages()
    quiet_village.talk(pages)
    before = [credentials(page) for page in pages.values()]
    quiet_village.stop_server(signal.SIGKILL)
    for page in pages.values():
        until_more(page, "frames", "packets", by=30)
    assert [credentials(page) for page in pages.values()] == before
    quiet_village.start_server()
    for page in pages.values():
        until(page, ONLINE, bool)
    pages["doctor"].evaluate("document.querySelector('[data-call]').callPeer.connection.restartIce()")

    for page, old in zip(pages.values(), before, strict=True):
        until(page, FIGURES, lambda now, old=old: now["credentials"] != old)
        until_more(page, "frames", "packets")


def test_a_call_goes_through_coturn_and_hides_both_addresses(quiet_village: Village, tmp_path: Path) -> None:
    lines = quiet_village.lines
    own = f"{lines.network}.0.0-{lines.network}.255.255"
    try:
        with coturn(tmp_path, lines.hub, own) as url:
            restart(quiet_village, TELEMED_MEDIA_PLANE="relay", TELEMED_TURN_URL=url, TELEMED_TURN_SECRET=SECRET)
            try:
                pages = quiet_village.pages()
                quiet_village.talk(pages)
                figures = [until_more(page, "frames", "packets") for page in pages.values()]
                seen = [page.evaluate(REMOTE) for page in pages.values()]
            finally:
                restart(quiet_village, TELEMED_MEDIA_PLANE="p2p", TELEMED_TURN_URL="", TELEMED_TURN_SECRET="")
    except NoCoturn as missing:
        pytest.skip(str(missing))

    assert [one["pair"] for one in figures] == [{"local": "relay", "remote": "relay"}] * 2
    assert lines.address("doctor") not in seen[0]
    assert lines.address("corner") not in seen[1]
    assert all(lines.hub in text for text in seen)


@pytest.mark.parametrize("line", ["256k-600ms-10", "64k-300ms-2"])
def test_a_check_of_a_bad_line_ends_with_a_class(quiet_village: Village, line: str) -> None:
    """Every second one failed here: its result waited in the line behind the trains until the server had closed."""
    page = quiet_village.page("corner")
    quiet_village.lines.set("corner", LINES[line])

    assert page.evaluate(CHECK)["line_class"] in ("fair", "thin", "voice_photos", "telephone")


def test_where_no_media_come_through_the_pages_tell_the_class(quiet_village: Village) -> None:
    page = quiet_village.page("corner")
    page.evaluate("() => { RTCPeerConnection.prototype.setRemoteDescription = () => new Promise(() => {}); }")

    result = page.evaluate(CHECK)

    assert (result["is_rough"], result["line_class"], result["loss_up_pct"]) == (True, "thin", None)
    assert result["up_kbit_s"] > 1000


def restart(village: Village, **changed: str) -> None:
    """Start the server anew with other settings."""
    village.stop_server()
    village.start_server(**changed)
