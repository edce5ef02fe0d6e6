"""The worker between journal and outbox: decode, judge, place in time and visit, seal, append. No clock, no radio."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

from devices import profiles, wire
from devices.errors import DecodeError
from devices.journal import (
    DUPLICATE,
    NEW,
    SEALED,
    UNDECODABLE,
    UNUSED,
    Connection,
    Journal,
    JournalError,
    Packet,
    Sighting,
)
from devices.meters import BLOOD_PRESSURE, GLUCOSE
from devices.naming import NO_STAMP, TRUSTED, UNTRUSTED, Naming, name_by_bytes, stamp_trust
from devices.numbering import numbers_move
from devices.outbox import Outbox
from devices.plausibility import MEALS_UP_TO, NOT_A_RESULT, Verdict, judge
from devices.records import (
    CONTEXT,
    MEASUREMENT_KINDS,
    Clock,
    Placed,
    build_record,
    meter_time,
    place_in_time,
    place_unproven,
    stamping_offset,
    told_time,
)
from devices.session import Expected, Session

log = logging.getLogger(__name__)

UNKNOWN_STRIP = {"meal": MEALS_UP_TO + 1}  # what a lost context may have said
OTHER_METER = "other_meter"  # another one answered over the pairing of the enrolled one
CLOCKS_KEPT = timedelta(days=7)  # an unfetched result of a week ago is placed by the clock it was stamped by


@dataclass(frozen=True)
class Sealer:
    """Turns new packets into sealed items. `ingest_key` is asked each time, since an order may change it."""

    journal: Journal
    outbox: Outbox
    session: Session
    ingest_key: Callable[[], wire.PublicKey]
    source: str
    zone: tzinfo

    def seal_new(self) -> int:
        """Seal what can be sealed now and return how many packets were settled. Raises JournalError."""
        packets = self.journal.new_packets()
        return sum(self._settle(packet, packets) for packet in packets)

    def _settle(self, packet: Packet, packets: list[Packet]) -> bool:
        try:
            state = self._seal(packet, packets)
        except DecodeError as error:
            log.warning("packet %d cannot be read: %s", packet.no, error.code)
            state = UNDECODABLE
        except JournalError:
            raise
        except Exception as error:  # one packet that nobody foresaw must not hold up all after it
            log.error("packet %d failed: %s", packet.no, type(error).__name__)
            state = UNDECODABLE
        if state in (UNDECODABLE, UNUSED):
            self.journal.settle_packet(packet.no, state)
        return state != NEW

    def _seal(self, packet: Packet, packets: list[Packet]) -> str:
        connection = self.journal.connection(packet.connection_id)
        if connection.waits:
            return NEW  # whose it is, and by which clock, is not known yet
        kind = MEASUREMENT_KINDS.get(packet.characteristic)
        if kind is None:
            return self._settle_context(packet, connection)
        decoded = profiles.decode(packet.characteristic, packet.raw, _name_of(connection))
        context = None
        if kind == GLUCOSE:
            context = _context_of(decoded["sequence_number"], packet, packets, _name_of(connection))
            if context is None and decoded.get("context_follows") and connection.ended_at is None:
                return NEW  # it may still come; the end of the connection wakes us again
        return self._append(packet, connection, kind, decoded, context)

    def _settle_context(self, packet: Packet, connection: Connection) -> str:
        """A context is settled with its measurement; alone it is of use until the connection ends."""
        return NEW if packet.characteristic == CONTEXT and connection.ended_at is None else UNUSED

    def _append(
        self, packet: Packet, connection: Connection, kind: str, decoded: dict[str, object], context: Packet | None
    ) -> str:
        visit = self.session.visit(packet.visit_id) if packet.visit_id and not connection.is_others else None
        expected = self.session.expected(visit.visit_id, kind) if visit else Expected(0, None)
        stamp = meter_time(kind, decoded)
        naming = Naming(self.journal, self.outbox, self.session)
        connection, placed, trust = self._place(naming, packet, connection, kind, stamp, expected)
        visit_id = visit.visit_id if visit and self.session.holds(visit, placed) else None
        # Outside a visit there is no series; the packet's own number tells equal packets without time stamp apart.
        ordinal = expected.ordinal if visit_id else packet.no
        told = told_time(kind, decoded)
        if kind == GLUCOSE:  # the number tells its records apart, and a time the records of two fillings of its memory
            trust = TRUSTED if told else NO_STAMP
        key = naming.name_of(packet, connection, visit_id, kind, expected, ordinal, trust)
        if key is None:
            return NEW
        if trust == UNTRUSTED and key != name_by_bytes(packet, connection):
            told = None
        verdict = _verdict(kind, decoded, context, _name_of(connection))
        raw_context = context.raw if context else None
        record = build_record(
            packet,
            connection,
            kind,
            decoded,
            raw_context,
            placed,
            ordinal,
            self.source,
            verdict.verdict,
            (*verdict.reasons, *((OTHER_METER,) if connection.is_others else ())),
            told,
        )
        alias = _alias(packet, connection, kind)
        with self.journal.transaction():
            is_new = not self._is_known_by(alias, connection) and self.outbox.append_reading(
                key, visit_id, packet.received_at, self.ingest_key(), wire.to_bytes(record), alias
            )
            self.journal.settle_packet(packet.no, SEALED if is_new else DUPLICATE)
            if context is not None:
                self.journal.settle_packet(context.no, SEALED if is_new else DUPLICATE)
            if trust != TRUSTED:
                seen = Sighting(packet.connection_id, packet.received_at, visit_id, ordinal, key, is_new)
                self.journal.note_sighting(name_by_bytes(packet, connection), packet, seen)
            if is_new and visit_id:
                self.session.note_taken(visit_id, kind, ordinal)
        log.info("packet %d: %s, %s", packet.no, "sealed" if is_new else "known already", placed.quality)
        return SEALED

    def _place(
        self, naming: Naming, packet: Packet, connection: Connection, kind: str, stamp: datetime | None,
        expected: Expected,
    ) -> tuple[Connection, Placed, str]:  # fmt: skip
        """Return when a reading was taken, the connection with the clock's error that counts for it, and how far its
        stamp tells it from an equal one.
        """
        received_at = wire.parse_iso(packet.received_at)
        if not connection.is_clock_told:
            connection = replace(connection, offset_s=self.journal.offset_left(connection))
            placed = place_unproven(kind, stamp, connection.offset_s, received_at, self.zone)
            return connection, placed, stamp_trust(stamp, connection.offset_s, received_at, self.zone)
        clocks = self._clocks_before(connection)
        if kind == BLOOD_PRESSURE:  # setting a glucose meter's clock moves the times of its records along
            connection = replace(connection, offset_s=stamping_offset(stamp, connection.offset_s, clocks, self.zone))
        trust = stamp_trust(stamp, connection.offset_s, received_at, self.zone)
        if trust == UNTRUSTED and naming.came_before(packet, connection):
            clocks = []  # what an older clock stamped so has come already; whether this is it again, its name decides
        placed = place_in_time(
            kind, stamp, connection.offset_s, received_at, expected.asked_at, self.zone, clocks
        )  # fmt: skip
        return connection, placed, trust

    def _is_known_by(self, alias: str, connection: Connection) -> bool:
        """Say whether a record is here under another number, of a meter that numbers its records anew each time."""
        return bool(alias) and numbers_move(self.journal, connection.enrolment_id) and self.outbox.has_seen(alias)

    def _clocks_before(self, connection: Connection) -> list[Clock]:
        since = wire.iso(wire.parse_iso(connection.opened_at) - CLOCKS_KEPT)
        found = self.journal.clocks_before(connection, since)
        return [Clock(offset, wire.parse_iso(seen), wire.parse_iso(until)) for offset, seen, until in found]


def _alias(packet: Packet, connection: Connection, kind: str) -> str:
    """Return the name of a glucose record without its number, by which it is known when the numbers move."""
    if kind != GLUCOSE:
        return ""
    raw = packet.raw[:1] + packet.raw[3:]
    return wire.reading_key(connection.enrolment_id, f"{packet.characteristic}:unnumbered", raw, None, 0, True)


def _verdict(kind: str, decoded: Mapping[str, object], context: Packet | None, model: str) -> Verdict:
    """Judge a measurement by all that came with it; 0.6 mmol/L of ketones is no emergency."""
    if context is None and decoded.get("context_follows"):
        # Only the lost context could tell what the strip measured, whoever made the meter.
        verdict = judge(kind, decoded, UNKNOWN_STRIP)
        return Verdict(NOT_A_RESULT, verdict.reasons)
    return judge(kind, decoded, profiles.decode(CONTEXT, context.raw, model) if context else None)


def _name_of(connection: Connection) -> str:
    """Return maker and model, by which quirks are found: some makers name themselves only."""
    return " ".join(part for part in (connection.manufacturer, connection.model) if part)


def _context_of(number: object, packet: Packet, packets: list[Packet], model: str | None) -> Packet | None:
    """Return the context that came with a glucose measurement: same connection, same sequence number. Of several the
    one that says most against glucose counts, in whatever order they came.
    """
    found: list[tuple[int, Packet]] = []
    for other in packets:
        if other.characteristic != CONTEXT or other.connection_id != packet.connection_id:
            continue
        try:
            told = profiles.decode(CONTEXT, other.raw, model)
        except DecodeError:
            continue  # settled as undecodable at its own turn
        if told["sequence_number"] == number:
            found.append((told["meal"] or 0, other))
    return max(found, key=lambda one: one[0], default=(0, None))[1]
