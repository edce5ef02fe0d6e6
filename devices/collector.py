"""One meter at a time: see it, connect, ask who it is, let it send, hang up. Keeps every packet, understands none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from uuid import uuid4

from devices import profiles, wire
from devices.errors import DecodeError
from devices.inbox import Inbox, first_of
from devices.journal import Connection, Journal, JournalFull
from devices.meters import BLOOD_PRESSURE, KIND_OF_SERVICE, EnrolledMeters, Meter, MeterIdentity
from devices.pairing import ENROLLED, FAILED, FOUND, LINK_LOST, LOOKING, OTHER_METER, Enrolments
from devices.profiles import date_time
from devices.profiles.blood_pressure import ENHANCED
from devices.profiles.quirks import full_name, quirk_of
from devices.records_memory import Known, Memory
from devices.session import Session
from devices.transport import Dropped, Link, Radio, RadioError, Sighting, Unpaired

log = logging.getLogger(__name__)

MANUFACTURER, MODEL, SERIAL, FIRMWARE, BATTERY = "2a29", "2a24", "2a25", "2a26", "2a19"
PRESSURE = "2a35"
# A&D and Roche put Date Time into their own service; others have the Current Time Service.
CLOCKS = {"2a08": date_time.encode_date_time, "2a2b": date_time.encode_current_time}

CLOCK_SET_ABOVE_S = 60
MOST_SIGHTINGS = 100


class OtherMeter(RadioError):
    """Leave it: the serial number is not that of the enrolled meter."""


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


def parse_clock(characteristic: str, raw: bytes) -> datetime | None:
    """Return the meter's wall clock, or None when it shows no whole date."""
    try:
        shown = profiles.decode(characteristic, raw)["datetime"]
    except DecodeError:
        return None
    return datetime.fromisoformat(shown) if shown else None


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

    async def run(self, radio: Radio) -> None:
        """Fetch from every enrolled meter in sight until the radio goes. Raises RadioMissing, JournalBroken."""
        self._seen.clear()
        async with radio.watching(tuple(KIND_OF_SERVICE), self._on_sighting):
            self.status = "ok"
            while await self._wait(radio):
                sighting = self._seen.pop(next(iter(self._seen)))
                meter = self._meter_of(sighting)
                if meter is not None and time.monotonic() >= self._resting.get(meter.enrolment_id, 0):
                    rest_s = await self._call_on(radio, meter, sighting)
                    self._resting[meter.enrolment_id] = time.monotonic() + rest_s
        self.status = "no_radio"

    def _on_sighting(self, sighting: Sighting) -> None:
        if len(self._seen) < MOST_SIGHTINGS:
            self._seen[sighting.address] = sighting
            self._has_seen.set()

    def _meter_of(self, sighting: Sighting) -> Meter | None:
        """Return the meter to call on, or None: a stranger's, or one that waits to be paired again."""

        def is_sought(enrolment_id: str) -> bool:
            return self.enrolments.open(enrolment_id) is not None

        meter = self.meters.recognise(
            sighting.address, sighting.name, sighting.services, self._by_kind, is_sought
        )  # fmt: skip
        if meter is None or is_sought(meter.enrolment_id):
            return meter
        return None if self.enrolments.is_bond_lost(meter.enrolment_id) else meter

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
            return self._after_failure(meter, error)
        except JournalFull:
            self.status = "disk_full"
            log.error("the disk is full; no reading is taken until there is room")
            return self._patience.rest_when_full_s
        finally:
            self._seen.pop(sighting.address, None)  # seen before the connection ended: it may be gone by now
        self.status = "ok"
        del self._failures[meter.enrolment_id]
        return self._patience.rest_after_fetch_s if kept else self._patience.rest_after_nothing_s

    def _after_failure(self, meter: Meter, error: RadioError) -> float:
        """Return the rest after a failed call. A meter that does not know us any more is not tried again and again."""
        failures = self._failures[meter.enrolment_id] = self._failures[meter.enrolment_id] + 1
        # A meter that hangs up at once may have been at the edge of the room; twice in a row it has forgotten us.
        is_forgotten = isinstance(error, Dropped) and failures > 1 and meter.is_known
        if isinstance(error, Unpaired) or is_forgotten:
            self.enrolments.note_bond_lost(meter.enrolment_id)
        rest_s = self._patience.rest_after_failure_s * (1 << min(failures - 1, 10))
        return min(rest_s, self._patience.rest_after_failures_s)

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
        async with radio.reach(sighting) as link:
            if is_enrolling:
                await link.pair()
            identity = await _read_identity(link, sighting.name)
            battery = await _read_quietly(link, BATTERY)
            if not self.meters.note_seen(
                meter, sighting.address, identity, battery[0] if battery else None, self._now()
            ):
                raise OtherMeter("another meter than the enrolled one answers at this address")
            offset_s = await self._read_clock(link, meter, is_enrolling)
            connection = Connection(
                str(uuid4()), meter.enrolment_id, wire.iso(self._now()), None, offset_s, **vars(identity)
            )
            self.journal.open_connection(connection)
            inbox = Inbox(self.journal, self.session, connection.connection_id, self._now, self._on_kept)
            try:
                async with asyncio.timeout(self._patience.whole_s):
                    if meter.kind == BLOOD_PRESSURE and _is_far_off(offset_s):
                        await self._set_clock(link, meter)
                    await self._drain(link, inbox, meter, identity)
            except TimeoutError as error:
                raise RadioError("the meter talks without end") from error
            finally:
                # Not when the journal failed: the next start ends open connections.
                if inbox.failure is None and not self.journal.is_broken:
                    self.journal.end_connection(connection.connection_id, wire.iso(self._now()))
                    self._on_kept()
            return inbox.kept

    async def _drain(self, link: Link, inbox: Inbox, meter: Meter, identity: MeterIdentity) -> None:
        if meter.kind != BLOOD_PRESSURE:
            await self._take_glucose(link, inbox, meter, identity)
            return
        if any(link.offers(characteristic) for characteristic in ENHANCED):
            log.info("meter %s has the enhanced blood pressure service too; it is not read", meter.enrolment_id)
        await self._take_pressures(link, inbox)

    async def _read_clock(self, link: Link, meter: Meter, is_enrolling: bool) -> int | None:
        """Return how far the meter's clock is behind ours, in seconds.

        A glucose meter's is set here and only at its enrolment: that moves the times of its old records along. A
        pressure meter's is set once the journal knows how far it was off, before the meter sends, since most hang up
        after that: the time stamps in its memory stay, and neither a lost link nor a kill may lose their error.
        """
        offset_s = await self._clock_offset(link)
        if offset_s is not None:
            self.meters.note_drift(meter.enrolment_id, offset_s)
        is_settable = is_enrolling and meter.kind != BLOOD_PRESSURE
        if is_settable and _is_far_off(offset_s) and await self._set_clock(link, meter):
            return await self._clock_offset(link)
        return offset_s

    async def _clock_offset(self, link: Link) -> int | None:
        for characteristic in CLOCKS:
            shown = parse_clock(characteristic, await _read_quietly(link, characteristic) or b"")
            if shown is not None:
                now = self._now().astimezone(self._zone)
                return round((now - shown.replace(tzinfo=self._zone)).total_seconds())
        return None

    async def _set_clock(self, link: Link, meter: Meter) -> bool:
        for characteristic, encode in CLOCKS.items():
            if link.offers(characteristic):
                try:
                    await link.write(characteristic, encode(self._now().astimezone(self._zone)))
                    return True
                except RadioError:
                    log.info("meter %s does not let its clock be set", meter.enrolment_id)
        return False

    async def _take_pressures(self, link: Link, inbox: Inbox) -> None:
        """Take indications until the meter hangs up or falls silent: the profile has no sign for "that was all"."""
        await link.subscribe(PRESSURE, inbox.keep(PRESSURE))
        while not link.lost.is_set():
            inbox.check()
            inbox.arrived.clear()
            within_s = self._patience.settle_s if inbox.kept else self._patience.first_packet_s
            if not await first_of(link.lost, inbox.arrived, within_s=within_s):
                break
        inbox.check()

    async def _take_glucose(self, link: Link, inbox: Inbox, meter: Meter, identity: MeterIdentity) -> None:
        """Ask for records that are not here yet.

        Where 0 is the newest record, "newer than the last" would fetch the oldest again: there all are asked for, and
        the reading key tells those that are known.
        """
        memory = Memory(link, inbox, self._patience.answer_s)
        await memory.listen()
        if quirk_of(full_name(identity.manufacturer, identity.model), identity.firmware).reversed_numbering:
            if await memory.fetch_all():
                self.journal.note_whole(inbox.connection_id)
            return
        counted = self.journal.setting(_counted(meter))
        known = Known(meter.high_water, int(counted) if counted else None)
        found, is_whole = await memory.fetch_new(known)
        if is_whole:
            self.journal.note_whole(inbox.connection_id)
        if found.mark != known.mark:
            self.meters.note_high_water(meter.enrolment_id, found.mark)
        if found.count is not None and found.count != known.count:
            self.journal.remember(_counted(meter), str(found.count))


def _is_far_off(offset_s: int | None) -> bool:
    return offset_s is not None and abs(offset_s) > CLOCK_SET_ABOVE_S


def _counted(meter: Meter) -> str:
    return f"records:{meter.enrolment_id}"


async def _read_identity(link: Link, advertised: str) -> MeterIdentity:
    """Return who the meter says it is; one that tells no model is known by the name it shows itself with."""
    values = [_text(await _read_quietly(link, name)) for name in (MANUFACTURER, MODEL, SERIAL, FIRMWARE)]
    manufacturer, model, serial, firmware = values
    return MeterIdentity(manufacturer, model or advertised or None, serial, firmware)


def _text(value: bytes | None) -> str | None:
    return value.decode("utf-8", "replace").strip("\0 ") or None if value else None


async def _read_quietly(link: Link, characteristic: str) -> bytes | None:
    """Return a value, or None when the meter will not give it; only a lost link matters."""
    try:
        return await link.read(characteristic)
    except RadioError:
        if link.lost.is_set():
            raise
        return None
