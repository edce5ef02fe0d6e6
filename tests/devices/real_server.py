"""A branch whose gateway has joined a real server: the server's own process on its own SQLite file, killed at will."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import select

from devices import identity, sealing, wire
from devices.journal import Journal
from devices.meters import BLOOD_PRESSURE, EnrolledMeters
from devices.outbox import Outbox
from devices.session import Session
from telemed.bootstrap import build_services
from telemed.readings.models import Reading, Transmission
from tests import cast
from tests.conftest import prepare, settings_for
from tests.make import Hands, meter_of

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 60


class Branch:
    """Processes of one branch and its server in one data folder; `stop` leaves none behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = settings_for(folder)
        self.port = _unused_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.enrolment_id = str(meter_of(cast.OZERKI, BLOOD_PRESSURE))
        self.log = (folder.parent / "processes.log").open("ab")
        prepare(self.settings)
        self.identity, self.visit_id = self._join()
        self.gateway_dir = folder / "gateway"
        self.gateway_dir.mkdir()
        identity.save(self.gateway_dir, self.identity)
        self._open_visit()

    def _join(self) -> tuple[identity.Identity, UUID]:
        """Register a gateway and make a visit, as the branch page and the counter do."""
        services = build_services(self.settings)
        key = sealing.SigningKey.fresh()
        try:
            hands = Hands(services)
            gateway_id = hands.gateway(key.public_bytes(), cast.OZERKI)
            visit_id = hands.visit(state="closed")
            with services.db.write() as tx:
                pairs = {purpose: services.signer.key_for(tx, purpose) for purpose in ("ingest", "server")}
                keys = {purpose: wire.PublicKey(str(row.id), row.public_key) for purpose, row in pairs.items()}
            return identity.Identity(
                str(gateway_id), str(cast.OZERKI), "Ozerki", str(uuid4()), self.url, str(services.epoch), True, key,
                keys["ingest"], keys["server"], {"id": "demo-1"},
            ), visit_id  # fmt: skip
        finally:
            services.db.close()

    def _open_visit(self) -> None:
        journal = Journal(self.gateway_dir / "journal.db")
        now = datetime.now(UTC)
        EnrolledMeters(journal).enrol(self.enrolment_id, BLOOD_PRESSURE, "SIM-BP", now)
        outbox = Outbox(journal, self.identity.gateway_id, self.identity.branch_id)
        Session(journal, outbox).open_visit(str(self.visit_id), now)
        journal.close()

    def start_server(self) -> None:
        """Start the server without its media part; return when it answers."""
        media = f"http://127.0.0.1:{_unused_port()}"
        self._start("server", "app.py", "serve", TELEMED_PORT=str(self.port), TELEMED_MEDIA_URL=media)
        deadline = time.monotonic() + READY_WITHIN_S
        with httpx.Client(trust_env=False) as client:
            while time.monotonic() < deadline:
                try:
                    if client.get(self.url + "/healthz").status_code == 200:
                        return
                except httpx.HTTPError:
                    time.sleep(0.05)
        raise AssertionError("the server did not start")

    def start_gateway(self) -> None:
        """Start the gateway; it finds server and meters when they are there."""
        self._start("gateway", "-m", "devices", "run", TELEMED_SERVER_URL=self.url, TELEMED_RADIO="simulated")

    def kill(self, name: str) -> None:
        """End a process and its children by SIGKILL."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Leave nothing running."""
        for name in list(self.running):
            self.kill(name)
        self.log.close()

    def _start(self, name: str, *arguments: str, **environment: str) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("TELEMED_")}
        ours = {"TELEMED_DATA_DIR": str(self.folder), "TELEMED_DEMO": "1", "TZ": "UTC", **environment}
        self.running[name] = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=clean | ours, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def stored(self) -> list[dict[str, Any]]:
        """Return the records in the patient's file in the order of the gateway's sequence. The server must be down."""
        services = build_services(replace(self.settings))
        try:
            with services.db.read() as tx:
                query = select(Reading).join(Transmission, Transmission.event_id == Reading.event_id)
                rows = tx.scalars(query.order_by(Transmission.seq))
                return [services.vault.open(tx, row, "clinical") for row in rows]
        finally:
            services.db.close()


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
