"""One meter at a time: see it, connect, ask who it is, let it send, hang up. Keeps every packet, understands none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from uuid import UUID, uuid4, uuid5

from devices import asking, wire
from devices.asking import CLOCKS, ClockTold, parse_clock
from devices.inbox import Inbox, first_of
from devices.journal import Connection, Journal, JournalFull
from devices.meters import (
    BLOOD_PRESSURE,
    GLUCOSE,
    KIND_OF_SERVICE,
    SERVICE_OF_KIND,
    EnrolledMeters,
    Meter,
    MeterIdentity,
    named,
)
from devices.numbering import Numbering
from devices.pairing import ENROLLED, FAILED, FOUND, LINK_LOST, LOOKING, OTHER_METER, Enrolments
from devices.profiles.blood_pressure import ENHANCED
from devices.records_memory import Memory
from devices.session import Session
from devices.transport import Dropped, Link, Radio, RadioError, RadioMissing, Sighting, Unpaired
from devices.troubles import CANNOT_BE_READ, RECORDS_MISSING, Troubles
from devices.troubles import OTHER_METER as OTHER_ANSWERS

__all__ = ["CLOCKS", "SIMULATED_PATIENCE", "Collector", "Patience", "parse_clock"]

log = logging.getLogger(__name__)

PRESSURE = "2a35"
MOST_SIGHTINGS = 100
MOST_STRANGERS = 1000
DULL_FOR_S = 1.0  # what shows itself without naming a service is looked up so seldom
STRANGER_FOR_S = 600.0  # what turned out to be nobody's of ours is not called on again before
FAILURES_TOLD = 3  # in a row; any meter is missed now and then
STRANGERS = UUID("6f1c1f5e-7d1b-4a53-9d8e-0d6c2a2f4b11")  # names what another meter sent by its serial number


class OtherMeter(RadioError):
    """Leave it: what answers is not the enrolled meter, or does not prove that it is."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for what; simulated meters are quicker than real ones."""

    settle_s: float = 2.0  # a pressure meter that is silent so long has sent everything
    first_packet_s: float = 15.0
    answer_s: float = 30.0  # between two signs of life of a record transfer
    rest_after_fetch_s: float = 5.0  # real meters show themselves for a while after they have sent all
    rest_after_nothing_s: float = 5.0
    rest_after_failure_s: float = 0.5  # doubled with each further failure, up to:
    rest_after_failures_s: float = 30.0
    rest_when_full_s: float = 10.0
    whole_s: float = 300.0  # a meter that talks without end is hung up on


SIMULATED_PATIENCE = Patience(rest_after_fetch_s=0.0, rest_after_nothing_s=0.5)


class Collector:
    """Watches for enrolled meters and fetches what they have. `status` is "ok" or what stands in the way."""

    def __init__(
        self,
        journal: Journal,
        meters: EnrolledMeters,
        enrolments: Enrolments,
        session: Session,
        on_kept: Callable[[], None],
        now: Callable[[], datetime],
        zone: tzinfo,
        by_kind: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self.journal = journal
        self.meters = meters
        self.enrolments = enrolments
        self.session = session
        self.status = "no_radio"
        self._on_kept = on_kept
        self._now = now
        self._zone = zone
        self._by_kind = by_kind
        self._patience = patience or Patience()
        self._seen: dict[str, Sighting] = {}
        self._has_seen = asyncio.Event()
        self._resting: dict[str, float] = {}
        self._failures: Counter[str] = Counter()
        self._dull: dict[str, float] = {}
        self._strangers: dict[str, float] = {}
        self._calling = ""
        self.troubles = Troubles(journal)

    async def run(self, radio: Radio) -> None:
        """Fetch from every enrolled meter in sight until the radio goes. Raises RadioMissing, JournalBroken."""
        self._seen.clear()
        radio.others_wait = self._others_wait
        async with radio.watching(tuple(KIND_OF_SERVICE), self._on_sighting):
            self.status = "ok"
            while await self._wait(radio):
                sighting = self._seen.pop(next(iter(self._seen)))
                meter = self._meter_of(sighting)
                if meter is not None and not self._is_resting(meter, sighting):
                    self._calling = key = _key(meter, sighting)
                    rest_s = await self._call_on(radio, meter, sighting)
                    self._resting[key] = self._resting[meter.enrolment_id] = time.monotonic() + rest_s
        self.status = "no_radio"

    def _on_sighting(self, sighting: Sighting) -> None:
        if len(self._seen) < MOST_SIGHTINGS and (sighting.services or self._is_of_interest(sighting)):
            self._seen[sighting.address] = sighting
            self._has_seen.set()

    def _is_of_interest(self, sighting: Sighting) -> bool:
        """Say whether something that names no service may be a meter of ours. A room is full of such things."""
        now_s = time.monotonic()
        if now_s < self._dull.get(sighting.address, 0):
            return False
        if self._meter_of(sighting) is not None:
            return True
        if len(self._dull) >= MOST_STRANGERS:
            self._dull.clear()
        self._dull[sighting.address] = now_s + DULL_FOR_S
        return False

    def _meter_of(self, sighting: Sighting) -> Meter | None:
        """Return the meter to call on, or None: a stranger's, or one that waits to be paired again."""

        def is_sought(enrolment_id: str) -> bool:
            return self.enrolments.open(enrolment_id) is not None

        meter = self.meters.recognise(
            sighting.address, sighting.name, sighting.services, self._by_kind, is_sought
        )  # fmt: skip
        if meter is None and time.monotonic() >= self._strangers.get(sighting.address, 0):
            meter = self.meters.worth_a_look(sighting.name, sighting.services, is_bonded=sighting.is_bonded)
        if meter is None or is_sought(meter.enrolment_id):
            return meter
        return None if self.enrolments.is_bond_lost(meter.enrolment_id) else meter

    def _is_resting(self, meter: Meter, sighting: Sighting) -> bool:
        return time.monotonic() < self._resting.get(_key(meter, sighting), 0)

    def _others_wait(self) -> bool:
        """Say whether a meter showed itself that could be called on instead."""
        found = [(meter, sighting) for sighting in self._seen.values() if (meter := self._meter_of(sighting))]
        return any(_key(*one) != self._calling and not self._is_resting(*one) for one in found)

    async def _wait(self, radio: Radio) -> bool:
        """Return True with a sighting at hand, False when the radio is gone."""
        while not self._seen and not radio.lost.is_set():
            self._has_seen.clear()
            await first_of(radio.lost, self._has_seen, within_s=60)
        return not radio.lost.is_set()

    async def _call_on(self, radio: Radio, meter: Meter, sighting: Sighting) -> float:
        """Fetch from one meter and return how long to leave it alone."""
        enrolment = self.enrolments.open(meter.enrolment_id)
        try:
            if enrolment is not None and not enrolment.is_fresh:
                enrolment.is_fresh = True
                await radio.forget(sighting)  # a key that one side has lost could never be replaced
                return 0.0  # it shows itself again in a moment
            kept = await (self._enrol if enrolment else self.fetch)(radio, meter, sighting)
        except RadioError as error:
            log.info("meter %s: %s", meter.enrolment_id, error)
            return self._after_failure(meter, sighting, error)
        except JournalFull:
            self.status = "disk_full"
            log.error("the disk is full; no reading is taken until there is room")
            return self._patience.rest_when_full_s
        finally:
            self._seen.pop(sighting.address, None)  # seen before the connection ended: it may be gone by now
        self.status = "ok"
        for key in {_key(meter, sighting), meter.enrolment_id}:
            del self._failures[key]
        return self._patience.rest_after_fetch_s if kept else self._patience.rest_after_nothing_s

    def _after_failure(self, meter: Meter, sighting: Sighting, error: RadioError) -> float:
        """Return the rest after a failed call. A meter that does not know us any more is not tried again and again."""
        key = _key(meter, sighting)
        if isinstance(error, OtherMeter) and self.enrolments.open(meter.enrolment_id) is None:
            self._leave_alone(sighting)
        failures = self._failures[key] = self._failures[key] + 1
        if not _is_look(meter, sighting):  # else it may be anybody's, and says nothing of this meter
            self._tell(meter, error, failures)
        rest_s = self._patience.rest_after_failure_s * (1 << min(failures - 1, 10))
        return min(rest_s, self._patience.rest_after_failures_s)

    def _tell(self, meter: Meter, error: RadioError, failures: int) -> None:
        """Tell the branch what only a person can mend."""
        # A meter that hangs up at once may have been at the edge of the room; twice in a row it has forgotten us.
        is_forgotten = isinstance(error, Dropped) and failures > 1 and meter.is_known
        if isinstance(error, Unpaired) or is_forgotten:
            self.enrolments.note_bond_lost(meter.enrolment_id)
        elif isinstance(error, OtherMeter):
            self.troubles.note(meter.enrolment_id, OTHER_ANSWERS, self._now())
        elif failures >= FAILURES_TOLD and not isinstance(error, RadioMissing):
            self.troubles.note(meter.enrolment_id, CANNOT_BE_READ, self._now())

    def _leave_alone(self, sighting: Sighting) -> None:
        if len(self._strangers) >= MOST_STRANGERS:
            self._strangers.clear()
        self._strangers[sighting.address] = time.monotonic() + STRANGER_FOR_S

    async def _enrol(self, radio: Radio, meter: Meter, sighting: Sighting) -> int:
        """Pair with a meter anew and fetch from it; return the number of packets kept. Raises RadioError."""
        enrolment_id = meter.enrolment_id
        enrolment = self.enrolments.open(enrolment_id)
        if enrolment is None:
            return 0
        self.enrolments.note(enrolment_id, FOUND)
        try:
            async with radio.answering(sighting, lambda: self.enrolments.ask_passkey(enrolment_id)):
                kept = await self.fetch(radio, meter, sighting, is_enrolling=True)
        except Unpaired:
            self.enrolments.note(enrolment_id, FAILED, self.enrolments.why_refused(enrolment_id))
            raise
        except OtherMeter:
            self.enrolments.note(enrolment_id, FAILED, OTHER_METER)
            raise
        except RadioError:
            if enrolment.is_asked:  # the operator has read a passkey that will never be used
                self.enrolments.note(enrolment_id, FAILED, LINK_LOST)
            else:
                self.enrolments.note(enrolment_id, LOOKING)
            raise
        self.enrolments.note(enrolment_id, ENROLLED)
        return kept

    async def fetch(self, radio: Radio, meter: Meter, sighting: Sighting, is_enrolling: bool = False) -> int:
        """Connect, take everything, hang up; return the number of packets kept. Raises RadioError, JournalError."""
        try:
            async with radio.reach(replace(sighting, measures_by=SERVICE_OF_KIND[meter.kind])) as link:
                if is_enrolling:
                    await link.pair()
                    sighting = replace(sighting, address=link.address)  # a pairing tells its true address
                if not is_enrolling and self._may_be_heard_first(meter, sighting):
                    return await self._hear_first(link, meter, sighting)
                return await self._ask_first(link, meter, sighting, is_enrolling)
        except OtherMeter:
            raise
        except RadioError as error:
            if not error.heard or not _is_proven(meter, sighting):
                raise
            log.info("meter %s sent and went away: %s", meter.enrolment_id, error)
            return await self._keep_heard(meter, sighting, error.heard)

    async def _keep_heard(self, meter: Meter, sighting: Sighting, heard: Sequence[bytes]) -> int:
        """Keep what a paired meter sent in the moment of its coming, before it could be asked anything."""
        known = MeterIdentity(meter.manufacturer, meter.model, meter.serial, meter.firmware)
        connection = Connection(
            str(uuid4()), meter.enrolment_id, wire.iso(self._now()), **vars(known), is_held=True, is_clock_told=False
        )
        async with self._taking(connection) as inbox:
            for raw in heard:
                inbox.keep(PRESSURE)(raw)
        self.meters.note_seen(meter, sighting.address, known, meter.battery_pct, self._now())
        return inbox.kept

    def _may_be_heard_first(self, meter: Meter, sighting: Sighting) -> bool:
        """Say whether what arrives may be taken before the meter has said who it is: the link is encrypted with the key
        that was agreed on with this meter, at its true address. One that hung up last time before its clock was read is
        asked first: its times would never be known.
        """
        return _is_proven(meter, sighting) and self.journal.is_clock_told(meter.enrolment_id)

    async def _ask_first(self, link: Link, meter: Meter, sighting: Sighting, is_enrolling: bool) -> int:
        """Take what a meter has once it has said who it is and what its clock shows."""
        serial, is_answered = await asking.read_serial(link)
        meter = self._who(meter, sighting, serial, is_enrolling, is_answered)
        identity = await self._note_seen(link, meter, sighting, serial)
        clock = await self._read_clock(link, meter, is_enrolling)
        connection = Connection(
            str(uuid4()), meter.enrolment_id, wire.iso(self._now()), None, clock.offset_s, **vars(identity),
            is_held=meter.kind == GLUCOSE, is_clock_told=clock.is_answered,
        )  # fmt: skip
        async with self._taking(connection) as inbox:
            await self._mend_clock(link, meter, connection, clock)
            await self._listen(link, inbox, meter)
            await self._drain(link, inbox, meter, identity)
        self._note_read(meter)
        return inbox.kept

    async def _hear_first(self, link: Link, meter: Meter, sighting: Sighting) -> int:
        """Take what a paired meter sends while it is asked who it is and what its clock shows. Many send as soon as the
        link is encrypted, and the system confirms for us whether we listen or not: what is not listened to is lost.

        Nothing of it is looked at before the answers are there or the link has ended.
        """
        known = MeterIdentity(meter.manufacturer, meter.model, meter.serial, meter.firmware)
        connection = Connection(
            str(uuid4()), meter.enrolment_id, wire.iso(self._now()), **vars(known), is_held=True, is_clock_told=False
        )
        async with self._taking(connection) as inbox:
            await self._listen(link, inbox, meter)
            try:
                await self._ask_meanwhile(link, meter, connection, sighting)
                await self._drain(link, inbox, meter, known)
            except OtherMeter:
                raise
            except RadioError:
                inbox.check()
                if not (inbox.kept and link.lost.is_set()):
                    raise
                log.info("meter %s hung up before it had told all", meter.enrolment_id)
                self.meters.note_seen(meter, sighting.address, known, meter.battery_pct, self._now())
        self._note_read(meter)
        return inbox.kept

    async def _ask_meanwhile(self, link: Link, meter: Meter, connection: Connection, sighting: Sighting) -> None:
        """Ask for clock and serial number at once, then let what has arrived be looked at. Raises OtherMeter."""
        clock = await asking.read_clock(link, self._now, self._zone)
        serial, _ = await asking.read_serial(link)
        told = replace(
            connection, offset_s=clock.offset_s, is_clock_told=clock.is_answered, is_held=meter.kind == GLUCOSE
        )
        if serial and named(meter.serial) and serial != meter.serial:
            stranger = str(uuid5(STRANGERS, f"{meter.enrolment_id}:{serial}"))
            self.journal.note_told(
                replace(told, enrolment_id=stranger, serial=serial, manufacturer=None, model=None, is_others=True)
            )
            raise OtherMeter("another meter than the enrolled one answers over its pairing")
        self.journal.note_told(replace(told, serial=serial or meter.serial))
        self._on_kept()
        if clock.offset_s is not None:
            self.meters.note_drift(meter.enrolment_id, clock.offset_s)
        await self._mend_clock(link, meter, connection, clock)
        await self._note_seen(link, meter, sighting, serial)

    def _who(
        self, meter: Meter, sighting: Sighting, serial: str | None, is_enrolling: bool, is_answered: bool
    ) -> Meter:
        """Return the enrolled meter that answers. Raises OtherMeter for any other, RadioError when it cannot be told.

        The serial number says it, or the pairing. A meter that has neither is known by its address, where it was found
        when it was enrolled.
        """
        known = named(meter.serial)
        if serial and serial == known:
            return meter
        if not is_enrolling and serial and (owner := self.meters.by_serial(meter.kind, serial)):
            return owner
        if serial and known:
            raise OtherMeter("another meter than the enrolled one answers at this address")
        if is_enrolling or not meter.is_known or _is_proven(meter, sighting):
            return meter
        if sighting.address != meter.address:
            raise OtherMeter("its name is known, and nothing proves that it is the enrolled meter")
        if known:
            raise (OtherMeter if is_answered else RadioError)("the meter did not say its serial number")
        return meter

    async def _note_seen(self, link: Link, meter: Meter, sighting: Sighting, serial: str | None) -> MeterIdentity:
        """Write down who answered; what the meter does not tell this time stays as it was. Raises OtherMeter."""
        told = await asking.read_identity(link, sighting.name, serial)
        identity = MeterIdentity(
            told.manufacturer or meter.manufacturer, told.model or meter.model, serial or named(meter.serial),
            told.firmware or meter.firmware,
        )  # fmt: skip
        battery = await asking.read_battery(link)
        known = replace(meter, serial=named(meter.serial))
        if not self.meters.note_seen(known, sighting.address, identity, battery, self._now()):
            raise OtherMeter("another meter than the enrolled one answers at this address")
        return identity

    def _note_read(self, meter: Meter) -> None:
        self.troubles.clear(meter.enrolment_id, CANNOT_BE_READ, OTHER_ANSWERS)

    @asynccontextmanager
    async def _taking(self, connection: Connection) -> AsyncIterator[Inbox]:
        """Yield where the packets of this connection go; it is over with the block. Raises RadioError."""
        self.journal.open_connection(connection)
        inbox = Inbox(self.journal, self.session, connection.connection_id, self._now, self._on_kept)
        try:
            async with asyncio.timeout(self._patience.whole_s):
                yield inbox
        except TimeoutError as error:
            raise RadioError("the meter talks without end") from error
        finally:
            # Not when the journal failed: the next start ends open connections.
            if inbox.failure is None and not self.journal.is_broken:
                self.journal.end_connection(connection.connection_id, wire.iso(self._now()))
                self._on_kept()

    async def _listen(self, link: Link, inbox: Inbox, meter: Meter) -> None:
        """Be told of all that the meter sends from now on."""
        if meter.kind == BLOOD_PRESSURE:
            await link.subscribe(PRESSURE, inbox.keep(PRESSURE))
        else:
            await Memory(link, inbox, self._patience.answer_s).listen()

    async def _drain(self, link: Link, inbox: Inbox, meter: Meter, identity: MeterIdentity) -> None:
        if meter.kind != BLOOD_PRESSURE:
            await self._fetch_records(link, inbox, meter, identity)
            return
        if any(link.offers(characteristic) for characteristic in ENHANCED):
            log.info("meter %s has the enhanced blood pressure service too; it is not read", meter.enrolment_id)
        await self._take_pressures(link, inbox)

    async def _read_clock(self, link: Link, meter: Meter, is_enrolling: bool) -> ClockTold:
        """Return how far the meter's clock is behind ours.

        A glucose meter's is set here and only at its enrolment: that moves the times of its old records along. A
        pressure meter's is set once the journal knows how far it was off, before the meter sends, since most hang up
        after that: the time stamps in its memory stay, and neither a lost link nor a kill may lose their error.
        """
        clock = await asking.read_clock(link, self._now, self._zone)
        if clock.offset_s is not None:
            self.meters.note_drift(meter.enrolment_id, clock.offset_s)
        if is_enrolling and meter.kind != BLOOD_PRESSURE and clock.is_far_off and await self._set_clock(link):
            return await asking.read_clock(link, self._now, self._zone)
        return clock

    async def _mend_clock(self, link: Link, meter: Meter, connection: Connection, clock: ClockTold) -> None:
        """Set a pressure meter's clock that is wrong, and note that what it stamps from now on is right."""
        if meter.kind == BLOOD_PRESSURE and clock.is_far_off and await self._set_clock(link):
            self.journal.note_clock_set(connection.connection_id)

    async def _set_clock(self, link: Link) -> bool:
        return await asking.set_clock(link, self._now().astimezone(self._zone))

    async def _take_pressures(self, link: Link, inbox: Inbox) -> None:
        """Take indications until the meter hangs up or falls silent: the profile has no sign for "that was all"."""
        while not link.lost.is_set():
            inbox.check()
            inbox.arrived.clear()
            within_s = self._patience.settle_s if inbox.kept else self._patience.first_packet_s
            if not await first_of(link.lost, inbox.arrived, within_s=within_s):
                break
        inbox.check()

    async def _take_glucose(self, link: Link, inbox: Inbox, meter: Meter, identity: MeterIdentity) -> None:
        """Listen, and ask for records that are not here yet."""
        await self._listen(link, inbox, meter)
        await self._fetch_records(link, inbox, meter, identity)

    async def _fetch_records(self, link: Link, inbox: Inbox, meter: Meter, identity: MeterIdentity) -> None:
        """Ask for records that are not here yet; tell the branch of a meter that never gives all it counts."""
        numbering = Numbering(self.journal, self.meters, meter, identity)
        found = await numbering.fetch(Memory(link, inbox, self._patience.answer_s))
        if found.is_whole:
            self.journal.note_whole(inbox.connection_id)
        if found.is_told:
            self.troubles.note(meter.enrolment_id, RECORDS_MISSING, self._now())


def _is_proven(meter: Meter, sighting: Sighting) -> bool:
    """Say whether the link is encrypted with the key that was agreed on with this meter."""
    return sighting.is_bonded and meter.is_known and sighting.address == meter.address


def _is_look(meter: Meter, sighting: Sighting) -> bool:
    """Say whether it is only a guess that this is the meter."""
    return meter.is_known and sighting.address != meter.address


def _key(meter: Meter, sighting: Sighting) -> str:
    """Return by what rests and failures are counted."""
    return sighting.address if _is_look(meter, sighting) else meter.enrolment_id
