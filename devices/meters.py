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
# What makers of radio chips put into their examples, and meters are sold with: it names nobody.
SHORTEST_NAME = 4
PLACEHOLDERS = {
    "manufacturername", "modelnumber", "modelname", "serialnumber", "firmwarerevision", "na", "none", "null", "unknown",
    "undefined",
}  # fmt: skip


def named(text: str | None) -> str | None:
    """Return what names a maker, a model or one meter; None for a placeholder and for one sign over and over."""
    plain = "".join(letter for letter in (text or "").casefold() if letter.isalnum())
    return text if len(set(plain)) > 1 and plain not in PLACEHOLDERS else None


def is_called(meter: Meter, shown: str) -> bool:
    """Say whether a meter may show itself under this name: the one it was enrolled by, with something behind it or cut
    short by the advertisement, or the one it showed before.
    """
    name, plain = shown.casefold().strip(), meter.name.casefold().strip()
    if not name or not plain:
        return False
    is_cut = len(name) >= SHORTEST_NAME and plain.startswith(name)
    return name.startswith(plain) or is_cut or name == (meter.model or "").casefold()


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
        """Return the enrolled meter that is where it was, or one that is still to be found for the first time, or None.
        Many meters name no service in an advertisement, or none any more once they are paired.

        `by_kind` lets the first meter of a kind be taken whatever its name: right for simulated meters only, since a
        real neighbour's meter would be taken as well. A meter for which `is_sought` (it is being enrolled again) may
        have another address than before.
        """
        candidates = self._of_kinds(services)
        for meter in (*candidates, *self.all()):  # what measures two things may name one of them
            if meter.address == address:
                return meter
        unbound = [meter for meter in candidates if meter.address is None or is_sought(meter.enrolment_id)]
        for meter in unbound:
            if name and name.casefold().startswith(meter.name.casefold()):
                return meter
        return unbound[0] if by_kind and services and unbound else None

    def worth_a_look(self, name: str, services: Collection[str], *, is_bonded: bool) -> Meter | None:
        """Return the enrolled meter that may show itself at a new address, or None: something of its name does, or the
        system has a key for it. That proves nothing; the meter is asked who it is before anything is taken from it.
        """
        bound = [meter for meter in self._of_kinds(services) if meter.address is not None]
        called = next((meter for meter in bound if is_called(meter, name)), None)
        return called or (bound[0] if bound and is_bonded else None)

    def _of_kinds(self, services: Collection[str]) -> list[Meter]:
        """Return the meters that measure by one of these services, or all when none is told; who was not seen longest
        comes first, as two may be in one case at one address.
        """
        kinds = {KIND_OF_SERVICE[service] for service in services if service in KIND_OF_SERVICE}
        found = [meter for meter in self.all() if not kinds or meter.kind in kinds]
        return found if kinds else sorted(found, key=lambda meter: meter.last_seen_at or "")

    def by_serial(self, kind: str, serial: str) -> Meter | None:
        """Return the enrolled meter that has this serial number, or None."""
        return next((meter for meter in self.all() if (meter.kind, meter.serial) == (kind, serial)), None)

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
