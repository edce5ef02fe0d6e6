"""A region in which everything goes wrong at once: the gateways' own journal, sealing and wire code, the server's own
ingest, meters with memories, and for each packet the truth of whose blood pressure it was.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from devices import sealing
from devices import wire as device_wire
from devices.journal import Connection, Journal
from devices.meters import BLOOD_PRESSURE
from devices.outbox import Outbox
from devices.sealer import Sealer
from devices.session import Session
from devices.simulator.models import Pressure
from telemed.bootstrap import Application
from telemed.ids import new_id
from telemed.readings.models import QuarantinedItem, Reading, Transmission
from tests import cast
from tests.make import Hands, meter_of

STRANGER = None  # somebody who has no visit
MEASURING_S = 35
POST = "POST"


@dataclass
class Meter:
    """A pressure meter on the shelf: it keeps what nobody confirmed. Its clock is off by `error`."""

    enrolment_id: str
    error: timedelta = timedelta(0)
    has_clock: bool = True
    memory: list[Pressure] = field(default_factory=list)

    def shown(self, now: datetime) -> datetime:
        """Return what its display says."""
        return (now + self.error).replace(tzinfo=None, microsecond=0)


class Gateway:
    """One branch computer: the product's parts, driven by hand. `error` is how far its clock is off."""

    def __init__(self, region: Region, branch_id: UUID, folder: Path, stack: ExitStack) -> None:
        self.region, self.error = region, timedelta(0)
        self.key = sealing.SigningKey.fresh()
        self.id = str(Hands(region.application.services).gateway(self.key.public_bytes(), branch_id))
        self.journal = Journal(folder / f"{self.id}.db")
        stack.callback(self.journal.close)
        self.outbox = Outbox(self.journal, self.id, str(branch_id))
        self.session = Session(self.journal, self.outbox)
        self.sealer = Sealer(self.journal, self.outbox, self.session, lambda: region.ingest_key, "gateway", UTC)
        self.is_online = True
        self.orders: list[tuple[Callable[..., None], tuple[object, ...]]] = []

    def now(self) -> datetime:
        return self.region.now + self.error

    def order(self, step: Callable[..., None], *facts: object) -> None:
        """Give an order; it is carried out when the line is there."""
        self.orders.append((step, facts))
        self.hear()

    def hear(self) -> None:
        """Carry out what has been ordered, when the line is there."""
        if self.is_online:
            for step, facts in self.orders:
                step(*facts, self.now())
            self.orders.clear()
            self.session.note_heard(self.now())

    def fetch(self, meter: Meter, first: int | None = None) -> None:
        """Take what the meter has, or the first few before the link breaks."""
        self.session.check_clock(self.now(), self.region.running_s())
        name = str(new_id())
        shown = meter.shown(self.region.now).replace(tzinfo=UTC)
        offset_s = round((self.now() - shown).total_seconds()) if meter.has_clock else None
        self.journal.open_connection(Connection(name, meter.enrolment_id, device_wire.iso(self.now()), None, offset_s))
        for ordinal, pressure in enumerate(list(meter.memory)[:first], 1):
            at = self.now()
            self.journal.keep_packet(
                name, ordinal, "2a35", pressure.packet(), device_wire.iso(at), self.session.stamp_at(at)
            )
            if first is None:  # else the confirmation was lost with the link: it all comes again
                meter.memory.remove(pressure)
        self.journal.end_connection(name, device_wire.iso(self.now()))
        self.sealer.seal_new()

    def deliver(self) -> None:
        """Send everything over the wire to the server."""
        services, client = self.region.application.services, self.region.client
        while batch := self.outbox.next_batch():
            body = device_wire.readings_request(self.id, str(services.epoch), batch)
            message = device_wire.request_message(POST, device_wire.READINGS_PATH, body)
            headers = {
                device_wire.GATEWAY_HEADER: self.id,
                device_wire.SIGNATURE_HEADER: device_wire.b64(self.key.sign(message)),
            }
            response = client.post(
                device_wire.READINGS_PATH, data=body, content_type="application/json", headers=headers
            )
            assert response.status_code == 200, response.text
            assert self.outbox.note_answer(device_wire.parse_readings_answer(response.data))


class Region:
    """Two branches, three gateways, four meters, one true time."""

    def __init__(self, application: Application, folder: Path, seed: int, stack: ExitStack) -> None:
        self.application, self.chance = application, random.Random(seed)
        self.client = application.app.test_client()
        self.hands = Hands(application.services)
        self.now = self._begun = cast.NOON
        with application.services.db.write() as tx:
            key = application.services.signer.key_for(tx, "ingest")
            self.ingest_key = device_wire.PublicKey(str(key.id), key.public_key)
        self.truth: dict[str, UUID | None] = {}
        self.wanted: set[str] = set()
        own = str(meter_of(cast.OZERKI, BLOOD_PRESSURE))
        self.own = Meter(own)
        self.foreign = Meter(str(meter_of(cast.SOSNOVO, BLOOD_PRESSURE)))
        first, second = (Gateway(self, cast.OZERKI, folder, stack) for _ in range(2))
        self.gateways = (first, second)

    def running_s(self) -> float:
        """Return a clock that nobody sets."""
        return (self.now - self._begun).total_seconds()

    def later(self, seconds: float) -> None:
        """Let time pass; gateways with a line hear the server."""
        self.now += timedelta(seconds=seconds)
        for gateway in self.gateways:
            gateway.hear()

    def measure(self, meter: Meter, whose: UUID | None, is_wanted: bool = False, ago: timedelta = timedelta(0)) -> None:
        """Let somebody measure; the truth of it is noted."""
        if not ago:
            self.later(MEASURING_S)
        pressure = Pressure(
            self.chance.randint(90, 200), self.chance.randint(50, 85), self.chance.randint(50, 110),
            meter.shown(self.now - ago),
        )  # fmt: skip
        raw = pressure.packet().hex()
        assert self.truth.setdefault(raw, whose) == whose, "two measurements that nobody could tell apart"
        meter.memory.append(pressure)
        if is_wanted:
            self.wanted.add(raw)

    def wrong_patients(self) -> list[str]:
        """Return each reading that stands in the record of somebody else."""
        services = self.application.services
        with services.db.read() as tx:
            stored = [
                (services.vault.open(tx, row, "clinical")["raw"], row.patient_id) for row in tx.scalars(select(Reading))
            ]
        self.filed = {raw for raw, _ in stored}
        return [raw for raw, patient_id in stored if self.truth[raw] != patient_id]

    def is_all_kept(self) -> bool:
        """Say whether each measurement that reached a gateway stands in a record or in the tray."""
        with self.application.services.db.read() as tx:
            judged = list(tx.scalars(select(Transmission.status).where(Transmission.kind == "reading")))
            tray = len(list(tx.scalars(select(QuarantinedItem.id))))
        return judged.count("quarantined") == tray and set(judged) <= {"accepted", "quarantined", "duplicate"}


class Visit:
    """One patient in the corner: opened, asked, measured, closed; and what happened besides."""

    def __init__(self, region: Region, villager: cast.Villager) -> None:
        self.region, self.whose = region, villager.id
        self.id = str(region.hands.visit(villager, state="closed"))
        self.ordinal = 0

    def open(self) -> None:
        for gateway in self.region.gateways:
            gateway.order(gateway.session.open_visit, self.id)

    def close(self) -> None:
        for gateway in self.region.gateways:
            gateway.order(gateway.session.close_visit, self.id)

    def ask(self) -> None:
        self.ordinal += 1
        for gateway in self.region.gateways:
            gateway.order(gateway.session.ask_for, self.id, BLOOD_PRESSURE, self.ordinal)
