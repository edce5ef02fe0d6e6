"""The media process: line checks, limits, and calls between peers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from telemed.consultation import media
from telemed.consultation.media_check import without_end_of_candidates
from telemed.consultation.media_client import MediaClient
from telemed.errors import Invalid, NotFound, StartRefused, Unavailable
from tests.consultation.peers import CallPeer, LineCheckPeer

ROOT = Path(__file__).parent.parent.parent
SECRET = "a secret of this test"
START = """
import pathlib, sys
from telemed.consultation.media import serve
serve(pathlib.Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2]), sys.argv[3])
"""


@contextlib.contextmanager
def media_process(folder: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A media process of its own on `folder`, and its address."""
    process = subprocess.Popen([sys.executable, "-c", START, str(folder), str(port), SECRET], cwd=ROOT)
    try:
        yield process, address(folder, process)
    finally:
        process.terminate()
        process.wait(8)


def address(folder: Path, process: subprocess.Popen[bytes]) -> str:
    """Return the address that this very process wrote."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads((folder / "media" / "run.json").read_text())
            if facts["pid"] == process.pid:
                return str(facts["url"])
        assert process.poll() is None, "the media process stopped"
        time.sleep(0.05)
    raise AssertionError("the media process did not start")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with media_process(tmp_path_factory.mktemp("media")) as (_process, url):
        yield url


@pytest.fixture
def client(process: str) -> Iterator[MediaClient]:
    client = MediaClient(process, SECRET)
    yield client
    client.close()


async def check_line(client: MediaClient, check_id: str) -> dict[str, Any]:
    peer = LineCheckPeer()
    try:
        answer = await asyncio.to_thread(client.answer_line_check, check_id, await peer.offer())
        report = await peer.measure(answer)
        return await asyncio.to_thread(client.report_line_check, check_id, report)
    finally:
        await peer.close()


async def an_offer() -> str:
    peer = LineCheckPeer()
    try:
        return await peer.offer()
    finally:
        await peer.close()


def test_a_line_check_on_the_loopback_finds_a_good_line(client: MediaClient) -> None:
    result = asyncio.run(check_line(client, "check-1"))

    assert result["line_class"] == "good"
    assert result["up_kbit_s"] > 1000
    assert result["down_kbit_s"] > 1000
    assert result["rtt_ms"] < 200
    assert result["loss_up_pct"] < 5
    assert result["loss_down_pct"] < 5
    assert result["took_ms"] < 8500
    assert client.line_check_result("check-1") == result
    client.end_line_check("check-1")
    assert client.line_check_result("check-1") == result


def test_a_check_without_a_result_says_so(client: MediaClient) -> None:
    client.answer_line_check("quiet", asyncio.run(an_offer()))

    assert client.line_check_result("quiet") is None
    client.end_line_check("quiet")
    with pytest.raises(NotFound):
        client.line_check_result("quiet")
    with pytest.raises(NotFound):
        client.line_check_result("never-begun")


def test_a_broken_offer_is_the_page_s_fault(client: MediaClient) -> None:
    with pytest.raises(Invalid):
        client.answer_line_check("broken", "v=0 and nothing else")

    assert client.healthy()


def test_control_without_the_secret_is_refused(process: str) -> None:
    stranger = MediaClient(process, "a wrong secret")

    assert not stranger.healthy()
    with pytest.raises(Unavailable):
        stranger.answer_line_check("check", "v=0")
    for path in ("/healthz", "/metrics", "/line-check/check-1", "/nowhere"):
        assert httpx.get(process + path, trust_env=False).status_code == 401


def test_no_more_checks_than_the_limit(client: MediaClient) -> None:
    offer = asyncio.run(an_offer())
    for number in range(media.CHECKS_MOST):
        client.answer_line_check(f"many-{number}", offer)

    try:
        with pytest.raises(Unavailable):
            client.answer_line_check("one-too-many", offer)
    finally:
        for number in range(media.CHECKS_MOST):
            client.end_line_check(f"many-{number}")
    assert client.answer_line_check("again", offer)
    client.end_line_check("again")


def test_an_abandoned_check_ends_by_itself() -> None:
    async def abandon() -> tuple[int, str, int]:
        checks = media.Checks([], lives_s=0.3)
        await checks.answer("left", await an_offer())
        open_before, check = len(checks.open), checks.open["left"]
        await asyncio.sleep(1.2)
        return open_before, check.connection.connectionState, len(checks.open)

    assert asyncio.run(abandon()) == (1, "closed", 0)


def test_a_result_is_there_while_its_connection_closes() -> None:
    async def look() -> tuple[media.LineCheck | None, media.LineCheck | None]:
        checks = media.Checks([])
        await checks.answer("closing", await an_offer())
        check = checks.open["closing"]
        seen: list[media.LineCheck | None] = []
        close = check.connection.close

        async def closing() -> None:
            seen.append(checks.find("closing"))
            await close()

        check.connection.close = closing  # type: ignore[method-assign]
        await checks.end("closing")
        return check, seen[0]

    check, found = asyncio.run(look())

    assert found is check


def test_the_process_leaves_on_sigterm_and_starts_again(tmp_path: Path) -> None:
    with media_process(tmp_path) as (first, url):
        assert MediaClient(url, SECRET).healthy()
        first.send_signal(signal.SIGTERM)
        assert first.wait(8) == 0

    assert not MediaClient(url, SECRET).healthy()
    with pytest.raises(Unavailable):
        MediaClient(url, SECRET).answer_line_check("check", "v=0")
    with media_process(tmp_path, int(url.rsplit(":", 1)[1])) as (_second, again):
        assert again == url
        assert MediaClient(again, SECRET).healthy()


def test_it_does_not_start_without_a_secret(tmp_path: Path) -> None:
    with pytest.raises(StartRefused):
        media.serve(tmp_path, "127.0.0.1", 0, "")


def test_two_people_hear_and_see_each_other() -> None:
    async def talk() -> tuple[dict[str, int], dict[str, int], CallPeer, CallPeer]:
        peers: dict[str, CallPeer] = {}
        on_the_way: set[asyncio.Task[None]] = set()

        def to(name: str):  # type: ignore[no-untyped-def]
            async def send(event: str, document: dict[str, Any]) -> None:
                if event in ("call:signal", "call:heard"):  # delivered later, as over a socket
                    on_the_way.add(asyncio.ensure_future(peers[name].receive(event, document)))

            return send

        doctor = peers["doctor"] = CallPeer(to("patient"), "call", polite=False)
        patient = peers["patient"] = CallPeer(to("doctor"), "call", polite=True)
        await patient.join()
        await doctor.join()
        await patient.receive("call:peer", {"joined": True, "role": "doctor"})
        await doctor.receive("call:peer", {"joined": True, "role": "patient"})
        got = await asyncio.gather(doctor.hold(3), patient.hold(3))
        await doctor.close()
        await patient.close()
        return got[0], got[1], doctor, patient

    at_doctor, at_patient, doctor, patient = asyncio.run(talk())

    for got in (at_doctor, at_patient):
        assert got["audio"] > 50
        assert got["video"] > 8
    assert doctor.heard == patient.heard == {"audio": True, "video": True}


def test_the_run_file_names_this_process(tmp_path: Path) -> None:
    media._write_run_file(tmp_path / "media", "http://127.0.0.1:1")

    assert json.loads((tmp_path / "media" / "run.json").read_text()) == {"pid": os.getpid(), "url": "http://127.0.0.1:1"}


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_an_offer_never_says_that_no_address_follows(end: str) -> None:
    lines = ["v=0", "m=audio 9 X 1", "a=candidate:0 1 UDP 1 name.local 9 typ host", "a=end-of-candidates", "a=mid:0"]
    offer = end.join([*lines, "m=application 9 X 1", "a=end-of-candidates"])

    assert without_end_of_candidates(offer + end) == end.join([*lines[:3], "a=mid:0", "m=application 9 X 1"]) + end
    assert "end-of-candidates" not in without_end_of_candidates(offer)
