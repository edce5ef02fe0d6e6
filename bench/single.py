"""Single readings through the real server, against a bare Flask JSON echo behind the same gunicorn, in turns."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bench.figure import Figure
from telemed.bootstrap import build
from tests.conftest import prepare, settings_for
from tests.make import Hands
from tests.readings.sender import PATH, Sender

ROOT = Path(__file__).parent.parent
LINES = 8  # gateways that send at once
PER_LINE = 60
READINGS_A_VISIT = 6
TURNS = 3
ECHO = """
from flask import Flask, request
from gunicorn.app.base import BaseApplication
import sys

app = Flask("echo")


@app.post("/api/v1/readings")
def echo():
    return request.get_json()


class Server(BaseApplication):
    def load_config(self):
        for name, value in {"bind": [f"127.0.0.1:{sys.argv[1]}"], "worker_class": "gthread", "workers": 1,
                            "threads": 64, "keepalive": 5, "loglevel": "error"}.items():
            self.cfg.set(name, value)

    def load(self):
        return app


Server().run()
"""
Requests = list[bytes]


def figures() -> list[Figure]:
    """Return `ingest_single`: requests a second, the echo's as yardstick."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        turns = _requests(folder)
        ours, echo = [], []
        with _server(folder) as address, _echo(folder) as bare:
            _rate(bare, turns[0])  # warm
            _rate(address, turns[0])
            for requests in turns[1:]:
                echo.append(_rate(bare, requests))
                ours.append(_rate(address, requests))
    value, yardstick = statistics.median(ours), statistics.median(echo)
    goal = "at least 0.33 of a bare Flask JSON echo"
    return [Figure("ingest_single", value, "requests a second", yardstick, value / yardstick, goal)]


def _requests(folder: Path) -> list[list[Requests]]:
    """Return for each turn and line the requests of one gateway, sealed and signed beforehand."""
    settings = settings_for(folder)
    prepare(settings)
    application = build(settings)
    senders = [Sender(application) for _ in range(LINES)]
    turns = [[_of_one(sender) for sender in senders] for _ in range(TURNS + 1)]
    with application.services.db.write() as tx:
        application.services.signer.key_for(tx, "server")  # as joining the first gateway does
    application.close()
    return turns


def _of_one(sender: Sender) -> Requests:
    hands, found = Hands(sender.services), []
    for number in range(PER_LINE):
        begun = len(sender.items)
        if number % READINGS_A_VISIT == 0:
            visit_id = hands.visit(state="closed")
            sender.opened(visit_id)
        sender.reading(visit_id)
        body, headers = sender.signed(sender.items[begun:])
        head = [f"POST {PATH} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
        head += [f"{key}: {value}" for key, value in headers.items()]
        found.append("\r\n".join(head).encode() + b"\r\n\r\n" + body)
    return found


def _rate(address: tuple[str, int], lines: Sequence[Requests]) -> float:
    """Return the requests a second of all lines together."""
    threads = [threading.Thread(target=_send, args=(address, requests)) for requests in lines]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(map(len, lines)) / (time.perf_counter() - begun)


def _send(address: tuple[str, int], requests: Requests) -> None:
    with socket.create_connection(address) as line:
        for request in requests:
            line.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += line.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b" 200 " in head.split(b"\r\n")[0], answer[-300:]
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += line.recv(65536)


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, int]]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("TELEMED_")},
        "TELEMED_DEMO": "1", "TELEMED_DATA_DIR": str(folder),
        "TELEMED_MEDIA_URL": "http://127.0.0.1:9",  # nobody calls here, and a media process would take a core to start
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        command = [sys.executable, str(ROOT / "app.py"), "serve"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            run = folder / "server" / "run.json"
            url = _until(lambda: httpx.Response(200, content=run.read_bytes()).json()["url"])
            yield _address(url)
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def _echo(folder: Path) -> Iterator[tuple[str, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "echo.py").write_text(ECHO)
    process = subprocess.Popen([sys.executable, str(folder / "echo.py"), str(port)])
    try:
        _until(lambda: socket.create_connection(("127.0.0.1", port)).close() or True)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(20)


def _until(look: object) -> str:
    deadline = time.monotonic() + 30
    while True:
        try:
            return look()  # type: ignore[operator,no-any-return]
        except (OSError, ValueError, KeyError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)
