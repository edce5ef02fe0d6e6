"""What a call's signalling costs: 1,000 pages, 200 messages a second through the real server, which asks the database about
both sides of each, against a bare relay of WebSockets behind the same gunicorn. And how a page answers beside it.

`PAGES` and `RATE` in the environment measure other sizes.

Both servers ping each line every five seconds: a relay that does not would not notice a cut line.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from bench import servers
from bench.figure import Figure, quantile
from telemed.access.models import Account, SignInSession
from telemed.bootstrap import build
from telemed.checkup.models import Visit
from telemed.clock import utc_now
from telemed.consultation.models import Consultation
from telemed.crypto.tokens import token_hash
from telemed.ids import new_id
from tests import cast
from tests.conftest import prepare, settings_for
from tests.make import corner_of

SOCKETS, RATE, SECONDS = int(os.environ.get("PAGES", "1000")), int(os.environ.get("RATE", "200")), 20
CALLS, CALLS_A_PERSON = SOCKETS // 2, 10  # a person has at most twenty sockets
RELAY = """
from flask import Flask, request
from simple_websocket import ConnectionClosed, Server as Line

app, lines = Flask("relay"), {}


@app.route("/<call>/<side>", websocket=True)
def relay(call, side):
    other = (call, "b" if side == "a" else "a")
    line = lines[call, side] = Line(request.environ, ping_interval=5)
    try:
        while True:
            message = line.receive()
            lines[other].send(message)
    except ConnectionClosed:
        return ""


@app.get("/page")
def page():
    return "ok"
"""


def figures() -> Iterator[Figure]:
    """Yield `relay_vs_bare`, `relay_cpu_vs_bare` and `http_p99_at_socket_cap`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calls = _people_and_calls(folder)
        with servers.bare(folder, RELAY, SOCKETS + 32) as running:
            bare = _load(running, [["a", "b", str(number)] for number in range(CALLS)], "bare", "/page")
        with servers.ours(folder, TELEMED_MAX_SOCKETS=str(SOCKETS)) as running:
            ours = _load(running, calls, "socketio", "/healthz")
    words = f"{SOCKETS} pages, {RATE} messages a second, "
    p50, bare_p50 = (quantile(one["ms"], 0.5) for one in (ours, bare))
    yield Figure(
        "relay_vs_bare", p50, "ms", bare_p50, p50 / bare_p50, words + "p50: at most 3 x a bare relay",
        p50, quantile(ours["ms"], 0.95),
    )  # fmt: skip
    rate, bare_rate = (len(one["ms"]) / one["cpu_s"] for one in (ours, bare))
    yield Figure(
        "relay_cpu_vs_bare", rate, "messages a CPU-second", bare_rate, rate / bare_rate, words + "at least 0.33"
    )
    p99, quiet = quantile(ours["page_ms"], 0.99), quantile(ours["quiet_page_ms"], 0.99)
    goal = words + "a page's p99 under 250; the yardstick is its p99 with no socket"
    yield Figure("http_p99_at_socket_cap", p99, "ms", quiet, p99 / quiet, goal, quantile(ours["page_ms"], 0.5))


def _load(running: servers.Running, calls: list[list[str]], kind: str, page: str) -> dict[str, Any]:
    """Let another process talk, and return its waits with the worker's processor time of the same seconds."""
    host, port = running.address
    order = {"host": host, "port": port, "pid": running.pid, "calls": calls, "kind": kind, "page": page}
    order |= {"rate": RATE, "seconds": SECONDS}
    done = subprocess.run(
        [sys.executable, "-m", "bench.socket_load"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{kind}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    print(
        f"  {kind}: {len(found['ms'])} of {found['sent']} came, the load's own share of a core {found['own_share']:.2f}"
    )
    return found


def _people_and_calls(folder: Path) -> list[list[str]]:
    """Return for each call the two sides' session tokens and its id, all of them in a database of their own."""
    settings = settings_for(folder)
    prepare(settings)
    application = build(settings)
    with application.services.db.write() as tx:
        pairs = [(_signed_in(tx, "clerk"), _signed_in(tx, "doctor")) for _ in range(CALLS // CALLS_A_PERSON)]
        tx.flush()
        cases = [
            [clerk, doctor, str(_case(tx, doctor_id))] for (clerk, _), (doctor, doctor_id) in pairs * CALLS_A_PERSON
        ]
    application.close()
    return cases


def _signed_in(tx: Session, role: str) -> tuple[str, UUID]:
    now, person, token = utc_now(), new_id(), secrets.token_urlsafe(32)
    tx.add(
        Account(
            id=person, login=f"bench.{person}", role=role, display_name="Bench", password_hash="-",
            branch_id=cast.OZERKI if role == "clerk" else None, region_id=cast.LAKE, language="ru", created_at=now,
        )
    )  # fmt: skip
    tx.add(
        SignInSession(
            id=new_id(), token_hash=token_hash(token), account_id=person, created_at=now, last_seen_at=now,
            expires_at=now + timedelta(hours=8),
        )
    )  # fmt: skip
    return token, person


def _case(tx: Session, doctor_id: UUID) -> UUID:
    """Put a case that the doctor has taken into the database. One patient serves for all: only the number counts."""
    now = utc_now()
    visit = Visit(
        id=new_id(), kind="branch", state="ready", patient_id=cast.MARIA.id, branch_id=cast.OZERKI,
        corner_id=corner_of(cast.OZERKI), protocol="demo-1", identified_by="document", opened_by=cast.ANNA.id,
        opened_at=now, ready_at=now, answers_rev=0,
    )  # fmt: skip
    tx.add(visit)
    tx.flush()
    case = Consultation(
        id=new_id(), visit_id=visit.id, patient_id=cast.MARIA.id, branch_id=cast.OZERKI, region_id=cast.LAKE,
        doctor_id=doctor_id, state="taken", level="YELLOW", queued_at=now, taken_at=now, note_rev=0,
    )  # fmt: skip
    tx.add(case)
    return case.id
