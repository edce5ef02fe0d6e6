"""A branch whose gateway has joined a real server: the server's own process on its own SQLite file, killed at will."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import select

from devices import identity, sealing, uplink, wire
from devices.agent import Agent, system_radio
from devices.clock import utc_now
from devices.journal import Connection, Journal
from devices.meters import BLOOD_PRESSURE, EnrolledMeters
from devices.outbox import Outbox
from devices.sealer import Sealer
from devices.session import Session
from devices.simulator.models import Pressure
from telemed.bootstrap import build_services
from telemed.readings.models import Reading, Transmission
from tests import cast, run_clock
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
        now = utc_now()
        EnrolledMeters(journal).enrol(self.enrolment_id, BLOOD_PRESSURE, "SIM-BP", now)
        outbox = Outbox(journal, self.identity.gateway_id, self.identity.branch_id)
        Session(journal, outbox).open_visit(str(self.visit_id), now)
        journal.close()

    def fill(self, visits: int, readings: int, hours: int = 72) -> None:
        """Let the gateway take so many readings in each of so many visits, spread over hours without a server."""
        services = build_services(self.settings)
        hands = Hands(services)
        ids = [str(hands.visit(state="closed")) for _ in range(visits)]
        services.db.close()
        journal = Journal(self.gateway_dir / "journal.db")
        try:
            with journal.transaction():  # syncs prove nothing here
                for number, visit_id in enumerate(ids):
                    begun = utc_now() - timedelta(hours=hours * (visits - number) / visits)
                    self._measure(journal, visit_id, begun, range(number * readings, (number + 1) * readings))
        finally:
            journal.close()

    def _measure(self, journal: Journal, visit_id: str, begun: datetime, numbers: range) -> None:
        outbox = Outbox(journal, self.identity.gateway_id, self.identity.branch_id)
        session = Session(journal, outbox)
        sealer = Sealer(journal, outbox, session, lambda: self.identity.ingest_key, "gateway", UTC)
        session.open_visit(visit_id, begun)
        journal.open_connection(Connection(str(uuid4()), self.enrolment_id, wire.iso(begun), None, 0))
        connection_id = journal.rows("select connection_id from connection order by no desc limit 1")[0][0]
        for ordinal, number in enumerate(numbers, 1):
            at = begun + timedelta(seconds=10 + ordinal)
            packet = pressure(number, at.replace(tzinfo=None, microsecond=0)).packet()
            journal.keep_packet(connection_id, ordinal, "2a35", packet, wire.iso(at), visit_id)
        sealer.seal_new()
        session.close_visit(visit_id, begun + timedelta(minutes=5))

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        """Yield the gateway in this process, nothing of it running yet; it has no radio."""
        journal = Journal(self.gateway_dir / "journal.db")
        try:
            async with uplink.open_client(self.url) as client:
                server = uplink.Uplink(client, self.identity, self.url)
                yield Agent(self.identity, journal, server, system_radio, False, UTC)
        finally:
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
        ours = {"TELEMED_DATA_DIR": str(self.folder), "TELEMED_DEMO": "1", "TZ": "UTC", **environment}
        self.running[name] = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=run_clock.environment(**ours), stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
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


def pressure(number: int, at: datetime) -> Pressure:
    """Return the measurement that carries its number in its values."""
    return Pressure(120 + number % 100, 50 + number // 100 % 50, 50 + number // 5000, at)


def number_of(raw: str) -> int:
    """Return the number that a packet's values carry."""
    packet = bytes.fromhex(raw)
    return packet[1] - 120 + 100 * (packet[3] - 50) + 5000 * (packet[14] - 50)


async def drain(agent: Agent) -> None:
    """Let the gateway send until the server has acknowledged everything."""
    sending = asyncio.create_task(agent.send())
    try:
        while agent.outbox.waiting():
            await asyncio.sleep(0.01)
    finally:
        sending.cancel()


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
