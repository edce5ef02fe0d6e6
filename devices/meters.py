"""The meters enrolled in this corner: who they are, not where they are. An address is only a hint."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from devices import wire
from devices.journal import Journal

BLOOD_PRESSURE = "blood_pressure"
GLUCOSE = "glucose"

# Service that a meter of each kind advertises.
SERVICE_OF_KIND = {BLOOD_PRESSURE: "1810", GLUCOSE: "1808"}
KIND_OF_SERVICE = {service: kind for kind, service in SERVICE_OF_KIND.items()}


@dataclass(frozen=True)
class Meter:
    """One enrolled meter. What is None has not been seen yet."""

    enrolment_id: str
    kind: str
    name: str
    address: str | None
    manufacturer: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    battery_pct: int | None
    drift_s: int | None
    last_seen_at: str | None
    high_water: int | None

    def as_heartbeat(self) -> dict[str, object]:
        """Return what the server hears about this meter."""
        return {
            "enrolment_id": self.enrolment_id,
            "kind": self.kind,
            "manufacturer": self.manufacturer,
            "model": self.model,
            "serial": self.serial,
            "battery_pct": self.battery_pct,
            "drift_s": self.drift_s,
            "last_seen_at": self.last_seen_at,
        }

    @property
    def is_known(self) -> bool:
        """Whether the meter was reached at least once."""
        return self.last_seen_at is not None


@dataclass(frozen=True)
class MeterIdentity:
    """What a meter says about itself once connected."""

    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None


COLUMNS = ", ".join(Meter.__annotations__)


class EnrolledMeters:
    """The list of meters whose readings this gateway takes."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def all(self) -> list[Meter]:
        """Return the meters enrolled now, oldest first."""
        query = f"select {COLUMNS} from meter where forgotten_at is null order by enrolled_at, enrolment_id"
        return [Meter(*row) for row in self.journal.rows(query)]

    def enrol(self, enrolment_id: str, kind: str, name: str, now: datetime) -> None:
        """Take readings of this meter from now on. A second enrolment of the same kind and name replaces the first."""
        with self.journal.transaction() as db:
            db.execute(
                "update meter set forgotten_at = ? where kind = ? and name = ? and enrolment_id <> ?"
                " and forgotten_at is null",
                (wire.iso(now), kind, name, enrolment_id),
            )
            db.execute(
                "insert into meter (enrolment_id, kind, name, enrolled_at) values (?, ?, ?, ?)"
                " on conflict (enrolment_id) do update set forgotten_at = null",
                (enrolment_id, kind, name, wire.iso(now)),
            )

    def forget(self, enrolment_id: str, now: datetime) -> None:
        """Take no more readings of this meter."""
        with self.journal.transaction() as db:
            db.execute("update meter set forgotten_at = ? where enrolment_id = ?", (wire.iso(now), enrolment_id))

    def recognise(
        self,
        address: str,
        name: str,
        services: Collection[str],
        by_kind: bool,
        is_sought: Callable[[str], bool] = lambda enrolment_id: False,
    ) -> Meter | None:
        """Return the enrolled meter behind an advertisement, or None.

        `by_kind` lets the first meter of a kind be taken whatever its name: right for simulated meters only, since a
        real neighbour's meter would be taken as well. A meter for which `is_sought` (it is being enrolled again) may
        have another address than before.
        """
        kinds = {KIND_OF_SERVICE[service] for service in services if service in KIND_OF_SERVICE}
        candidates = [meter for meter in self.all() if meter.kind in kinds]
        for meter in candidates:
            if meter.address == address:
                return meter
        unbound = [meter for meter in candidates if meter.address is None or is_sought(meter.enrolment_id)]
        for meter in unbound:
            if name and name.casefold().startswith(meter.name.casefold()):
                return meter
        return unbound[0] if by_kind and unbound else None

    def note_seen(
        self, meter: Meter, address: str, identity: MeterIdentity, battery_pct: int | None, now: datetime
    ) -> bool:
        """Remember what the meter said; False, and nothing done, when it is another meter than the enrolled one."""
        if meter.serial and identity.serial and meter.serial != identity.serial:
            return False
        with self.journal.transaction() as db:
            db.execute(
                "update meter set address = ?, manufacturer = ?, model = ?, serial = ?, firmware = ?,"
                " battery_pct = ?, last_seen_at = ? where enrolment_id = ?",
                (
                    address,
                    identity.manufacturer,
                    identity.model,
                    identity.serial,
                    identity.firmware,
                    battery_pct,
                    wire.iso(now),
                    meter.enrolment_id,
                ),
            )
        return True

    def note_drift(self, enrolment_id: str, drift_s: int) -> None:
        """Remember how far the meter's clock is behind (positive) or ahead of ours."""
        with self.journal.transaction() as db:
            db.execute("update meter set drift_s = ? where enrolment_id = ?", (drift_s, enrolment_id))

    def note_high_water(self, enrolment_id: str, sequence_number: int | None) -> None:
        """Remember the last record number that is safe here; None asks for everything next time."""
        with self.journal.transaction() as db:
            db.execute("update meter set high_water = ? where enrolment_id = ?", (sequence_number, enrolment_id))
