"""Single readings through the real server, against a bare Flask JSON echo behind the same gunicorn, in turns."""

from __future__ import annotations

import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from bench import servers
from bench.figure import Figure
from telemed.bootstrap import build
from tests.conftest import prepare, settings_for
from tests.make import Hands
from tests.readings.sender import PATH, Sender

LINES = 8  # gateways that send at once
PER_LINE = 60
READINGS_A_VISIT = 6
TURNS = 3
ECHO = """
from flask import Flask, request

app = Flask("echo")


@app.post("/api/v1/readings")
def echo():
    return request.get_json()
"""
Requests = list[bytes]


def figures() -> list[Figure]:
    """Return `ingest_single`: requests a second, the echo's as yardstick."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        turns = _requests(folder)
        ours, echo = [], []
        with servers.ours(folder) as ours_runs, servers.bare(folder, ECHO) as bare_runs:
            for requests in turns:
                echo.append(_rate(bare_runs.address, requests))
                ours.append(_rate(ours_runs.address, requests))
            del echo[0], ours[0]  # warm now
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
