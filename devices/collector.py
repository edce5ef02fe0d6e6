"""One meter at a time: see it, connect, ask who it is, let it send, hang up. Keeps every packet, understands none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from uuid import uuid4

from devices import profiles, wire
from devices.errors import DecodeError
from devices.journal import Connection, Journal, JournalError, JournalFull
from devices.meters import BLOOD_PRESSURE, KIND_OF_SERVICE, EnrolledMeters, Meter, MeterIdentity
from devices.profiles import date_time, record_access
from devices.profiles.quirks import quirk_of
from devices.session import Session
from devices.transport import Link, Radio, RadioError, Sighting

log = logging.getLogger(__name__)

MANUFACTURER, MODEL, SERIAL, FIRMWARE, BATTERY = "2a29", "2a24", "2a25", "2a26", "2a19"
PRESSURE, GLUCOSE_RECORD, GLUCOSE_CONTEXT, ACCESS = "2a35", "2a18", "2a34", "2a52"
DATE_TIME = "2a08"

CLOCK_SET_ABOVE_S = 60


@dataclass(frozen=True)
class Patience:
    """How long to wait for what; simulated meters are quicker than real ones."""

    settle_s: float = 2.0  # a pressure meter that is silent so long has sent everything
    first_packet_s: float = 15.0
    answer_s: float = 30.0  # between two signs of life of a record transfer
    rest_after_fetch_s: float = 5.0  # real meters show themselves for a while after they have sent all
    rest_after_nothing_s: float = 5.0
    rest_after_failure_s: float = 0.5
    rest_when_full_s: float = 10.0


SIMULATED_PATIENCE = Patience(rest_after_fetch_s=0.0, rest_after_nothing_s=0.5)


def parse_date_time(raw: bytes) -> datetime | None:
    """Return the meter's wall clock, or None when it shows no whole date."""
    try:
        shown = profiles.decode(DATE_TIME, raw)["datetime"]
    except DecodeError:
        return None
    return datetime.fromisoformat(shown) if shown else None


@dataclass
class Inbox:
    """Takes the packets of one connection; the bytes are on the disk when a callback returns."""

    journal: Journal
    session: Session
    connection_id: str
    now: Callable[[], datetime]
    on_kept: Callable[[], None]
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    kept: int = 0
    numbers: list[int] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    failure: JournalError | None = None

    def keep(self, characteristic: str) -> Callable[[bytes], None]:
        """Return the callback for one characteristic."""

        def on_value(raw: bytes) -> None:
            now = self.now()
            visit_id = self.session.stamp_at(now)
            try:
                self.journal.keep_packet(
                    self.connection_id, self.kept + 1, characteristic, raw, wire.iso(now), visit_id
                )
            except JournalError as error:
                self.failure = error
                self.arrived.set()
                raise
            self.kept += 1
            if characteristic == GLUCOSE_RECORD and len(raw) >= 3:
                self.numbers.append(int.from_bytes(raw[1:3], "little"))  # stands behind the flags, always
            self.arrived.set()
            self.on_kept()

        return on_value

    def take_answer(self, raw: bytes) -> None:
        """Take an answer of the record access control point; it is no reading and is not kept."""
        self.answers.append(raw)
        self.arrived.set()


class Collector:
    """Watches for enrolled meters and fetches what they have. `status` is "ok" or what stands in the way."""

    def __init__(
        self,
        journal: Journal,
        meters: EnrolledMeters,
        session: Session,
        on_kept: Callable[[], None],
        now: Callable[[], datetime],
        zone: tzinfo,
        by_kind: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self.journal = journal
        self.meters = meters
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

    async def run(self, radio: Radio) -> None:
        """Fetch from every enrolled meter in sight until the radio goes. Raises RadioMissing, JournalBroken."""
        self._seen.clear()
        async with radio.watching(tuple(KIND_OF_SERVICE), self._on_sighting):
            self.status = "ok"
            while await self._wait(radio):
                sighting = self._seen.pop(next(iter(self._seen)))
                meter = self.meters.recognise(sighting.address, sighting.name, sighting.services, self._by_kind)
                if meter is not None and time.monotonic() >= self._resting.get(sighting.address, 0):
                    rest_s = await self._call_on(radio, meter, sighting)
                    self._resting[sighting.address] = time.monotonic() + rest_s
        self.status = "no_radio"

    def _on_sighting(self, sighting: Sighting) -> None:
        self._seen[sighting.address] = sighting
        self._has_seen.set()

    async def _wait(self, radio: Radio) -> bool:
        """Return True with a sighting at hand, False when the radio is gone."""
        while not self._seen and not radio.lost.is_set():
            self._has_seen.clear()
            await first_of(radio.lost, self._has_seen, within_s=60)
        return not radio.lost.is_set()

    async def _call_on(self, radio: Radio, meter: Meter, sighting: Sighting) -> float:
        """Fetch from one meter and return how long to leave it alone."""
        try:
            kept = await self.fetch(radio, meter, sighting)
        except RadioError as error:
            log.info("meter %s: %s", meter.enrolment_id, error)
            return self._patience.rest_after_failure_s
        except JournalFull:
            self.status = "disk_full"
            log.error("the disk is full; no reading is taken until there is room")
            return self._patience.rest_when_full_s
        finally:
            self._seen.pop(sighting.address, None)  # seen before the connection ended: it may be gone by now
        self.status = "ok"
        return self._patience.rest_after_fetch_s if kept else self._patience.rest_after_nothing_s

    async def fetch(self, radio: Radio, meter: Meter, sighting: Sighting) -> int:
        """Connect, take everything, hang up; return the number of packets kept. Raises RadioError, JournalError."""
        async with radio.reach(sighting) as link:
            identity = await _read_identity(link)
            battery = await _read_quietly(link, BATTERY)
            if not self.meters.note_seen(
                meter, sighting.address, identity, battery[0] if battery else None, self._now()
            ):
                raise RadioError("another meter than the enrolled one answers at this address")
            offset_s = await self._read_clock(link, meter)
            connection = Connection(
                str(uuid4()), meter.enrolment_id, wire.iso(self._now()), None, offset_s, **vars(identity)
            )
            self.journal.open_connection(connection)
            inbox = Inbox(self.journal, self.session, connection.connection_id, self._now, self._on_kept)
            try:
                if meter.kind == BLOOD_PRESSURE:
                    await self._take_pressures(link, inbox)
                else:
                    await self._take_glucose(link, inbox, meter, identity)
            finally:
                # Not when the journal failed: the next start ends open connections.
                if inbox.failure is None and not self.journal.is_broken:
                    self.journal.end_connection(connection.connection_id, wire.iso(self._now()))
                    self._on_kept()
            return inbox.kept

    async def _read_clock(self, link: Link, meter: Meter) -> int | None:
        """Return how far the meter's clock is behind ours, in seconds; set a pressure meter's that is far off.

        A glucose meter's clock is left alone: setting it would rewrite the times of its old records.
        """
        shown = parse_date_time(await _read_quietly(link, DATE_TIME) or b"")
        if shown is None:
            return None
        now = self._now().astimezone(self._zone)
        offset_s = round((now - shown.replace(tzinfo=self._zone)).total_seconds())
        self.meters.note_drift(meter.enrolment_id, offset_s)
        if meter.kind == BLOOD_PRESSURE and abs(offset_s) > CLOCK_SET_ABOVE_S:
            try:
                await link.write(DATE_TIME, date_time.encode_date_time(now))
            except RadioError:
                log.info("meter %s does not let its clock be set", meter.enrolment_id)
        return offset_s

    async def _take_pressures(self, link: Link, inbox: Inbox) -> None:
        """Take indications until the meter hangs up or falls silent: the profile has no sign for "that was all"."""
        await link.subscribe(PRESSURE, inbox.keep(PRESSURE))
        while not link.lost.is_set():
            _raise_failure(inbox)
            inbox.arrived.clear()
            within_s = self._patience.settle_s if inbox.kept else self._patience.first_packet_s
            if not await first_of(link.lost, inbox.arrived, within_s=within_s):
                break
        _raise_failure(inbox)

    async def _take_glucose(self, link: Link, inbox: Inbox, meter: Meter, identity: MeterIdentity) -> None:
        """Ask for records that are not here yet. All three are subscribed first, or the meter refuses the request.

        Where 0 is the newest record, "newer than the last" would fetch the oldest again: there all are asked for, and
        the reading key tells those that are known.
        """
        await link.subscribe(GLUCOSE_RECORD, inbox.keep(GLUCOSE_RECORD))
        if link.offers(GLUCOSE_CONTEXT):
            await link.subscribe(GLUCOSE_CONTEXT, inbox.keep(GLUCOSE_CONTEXT))
        await link.subscribe(ACCESS, inbox.take_answer)
        is_reversed = quirk_of(f"{identity.manufacturer or ''} {identity.model or ''}").reversed_numbering
        mark = None if is_reversed else meter.high_water
        if mark is None:
            code = await self._ask(link, inbox, record_access.report_all())
        else:
            code = await self._ask(link, inbox, record_access.report_from(mark + 1))
            if code == record_access.NO_RECORDS and await self._was_cleared(link, inbox, mark):
                code = await self._ask(link, inbox, record_access.report_all())
        if code == record_access.SUCCESS and inbox.numbers and not is_reversed:
            # Only now, with every record on the disk and the meter's word that these were all.
            self.meters.note_high_water(meter.enrolment_id, max(inbox.numbers))

    async def _was_cleared(self, link: Link, inbox: Inbox, mark: int) -> bool:
        """Say whether the meter counts from the start again: "newer than the last" would never find anything."""
        code = await self._ask(link, inbox, record_access.report_last())
        is_behind = code == record_access.SUCCESS and bool(inbox.numbers) and inbox.numbers[-1] < mark
        inbox.numbers.clear()
        return is_behind

    async def _ask(self, link: Link, inbox: Inbox, request: bytes) -> int:
        """Run one record procedure and return its response code. Raises RadioError when it does not end well."""
        inbox.answers.clear()
        await link.write(ACCESS, request)
        while not inbox.answers:
            _raise_failure(inbox)
            if link.lost.is_set():
                raise RadioError("link lost during a record transfer")
            inbox.arrived.clear()
            if not await first_of(link.lost, inbox.arrived, within_s=self._patience.answer_s):
                await link.write(ACCESS, record_access.abort())
                raise RadioError("the meter fell silent during a record transfer")
        try:
            answer = profiles.decode(ACCESS, inbox.answers[0])
        except DecodeError as error:
            raise RadioError("the meter's answer cannot be read") from error
        if answer["op_code"] != record_access.RESPONSE or answer["request_op_code"] != request[0]:
            raise RadioError("the meter answered something else")
        return int(answer["response_code"])


def _raise_failure(inbox: Inbox) -> None:
    if inbox.failure is not None:
        raise inbox.failure


async def _read_identity(link: Link) -> MeterIdentity:
    values = [await _read_quietly(link, name) for name in (MANUFACTURER, MODEL, SERIAL, FIRMWARE)]
    return MeterIdentity(*(_text(value) for value in values))


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


async def first_of(*events: asyncio.Event, within_s: float) -> bool:
    """Wait until one of the events is set; False when none was in time."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in waiting:
            task.cancel()
