"""What a measurement is called, so that one that comes again counts once and an equal one that was asked for counts anew.

Two measurements may have the same bytes: a cuff whose clock falls back at each switch-on stamps them alike. Then the
stamp proves nothing, and only this tells them apart: whether somebody asked, and whether the meter sends its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from devices import wire
from devices.journal import Connection, Journal, Packet, Sighting
from devices.meters import GLUCOSE
from devices.outbox import Outbox
from devices.profiles.quirks import full_name, quirk_of
from devices.records import DRIFT_BEYOND_TRUST_S, FIRST_CREDIBLE_YEAR, FRESH_WITHIN, LIVE_WITHIN
from devices.session import Expected, Session

SENT_AGAIN_WITHIN = timedelta(minutes=10)  # a meter whose link broke comes back at once, or at its next measurement
TRUSTED, UNTRUSTED, NO_STAMP = "trusted", "untrusted", "no_stamp"


def stamp_trust(stamp: datetime | None, offset_s: int | None, received_at: datetime, zone: tzinfo) -> str:
    """Return whether a meter's time tells two equal measurements apart. A clock that fell back to the date of its making
    stamps each one alike: that it was read is no help, since it says the same at each switch-on.
    """
    if stamp is None:
        return NO_STAMP
    measured_at = stamp.replace(tzinfo=zone).astimezone(UTC) + timedelta(seconds=offset_s or 0)
    is_far_off = abs(offset_s or 0) > DRIFT_BEYOND_TRUST_S
    is_incredible = stamp.year < FIRST_CREDIBLE_YEAR or measured_at > received_at + FRESH_WITHIN
    return UNTRUSTED if is_far_off or is_incredible else TRUSTED


def name_by_bytes(packet: Packet, connection: Connection) -> str:
    """Return the name of a pressure by its bytes alone."""
    return wire.reading_key(connection.enrolment_id, packet.characteristic, packet.raw, None, 0, True)


@dataclass(frozen=True)
class Naming:
    """Names measurements by what the journal knows of those that came before."""

    journal: Journal
    outbox: Outbox
    session: Session

    def came_before(self, packet: Packet, connection: Connection) -> bool:
        """Say whether the same bytes came over another connection before."""
        name = name_by_bytes(packet, connection)
        known = [one for one in self.journal.sightings(name) if one.connection_id != connection.connection_id]
        return bool(known) or self.outbox.came_over_another(name, connection.connection_id)

    def name_of(
        self, packet: Packet, connection: Connection, visit_id: str | None, kind: str, expected: Expected,
        ordinal: int, trust: str,
    ) -> str | None:  # fmt: skip
        """Return the measurement's name; one that stands in the sequence already keeps the name it has there. None:
        ask again when the connection is over, as what else it brings decides.
        """
        raw = packet.raw
        if kind == GLUCOSE:
            is_reversed = quirk_of(full_name(connection.manufacturer, connection.model)).reversed_numbering
            # A meter that calls its newest record 0 numbers all others anew each time: the number is no part of the name.
            raw = raw[:1] + raw[3:] if is_reversed else raw
        names = _Names(connection.enrolment_id, packet.characteristic, raw, visit_id)
        if trust == TRUSTED:
            self._note_sent_again(names.by_bytes, packet, connection)
            return names.by_bytes
        known = self.journal.sightings(names.by_bytes)
        if trust == NO_STAMP and kind == GLUCOSE and raw == packet.raw:  # its number is in the bytes
            return known[0].reading_key if known else names.numbered(ordinal)
        if trust == NO_STAMP:
            return self._without_stamp(names, packet, connection, kind, expected, ordinal, known)
        if not known and not self.outbox.has_seen(names.by_bytes):
            return names.by_bytes
        earlier = [one for one in known if one.connection_id != connection.connection_id and one.is_new]
        here = [one for one in known if one.connection_id == connection.connection_id]
        may_be_new = visit_id is not None and _is_asked_since(packet, expected, visit_id, earlier)
        if may_be_new and connection.ended_at is None:
            return None
        if self._sends_again(packet, connection, earlier, here, is_asked=may_be_new):
            is_new = may_be_new and len(here) >= max(1, len(earlier))
        else:
            is_new = may_be_new and not here
        return names.numbered(ordinal) if is_new else names.by_bytes

    def _without_stamp(
        self, names: _Names, packet: Packet, connection: Connection, kind: str, expected: Expected, ordinal: int,
        known: Sequence[Sighting],
    ) -> str | None:  # fmt: skip
        # The same bytes over another connection, with nothing asked for since, are the same reading sent again after a
        # lost link. Within one connection they are two results of the meter's memory.
        for key in map(names.numbered, self._numbers_since_asked(packet, connection, names.visit_id, kind)):
            if self.outbox.came_over_another(key, connection.connection_id):
                self._sends_again(packet, connection, known, (), is_asked=False)
                return key
        earlier = [one for one in known if one.connection_id != connection.connection_id and one.is_new]
        if names.visit_id is None or not earlier:
            return names.numbered(ordinal)
        is_asked = _is_asked_since(packet, expected, names.visit_id, earlier)
        if is_asked and connection.ended_at is None and earlier[-1].visit_id != names.visit_id:
            return None
        here = [one for one in known if one.connection_id == connection.connection_id]
        if self._sends_again(packet, connection, earlier, here, is_asked=is_asked) and len(here) < len(earlier):
            return earlier[min(len(here), len(earlier) - 1)].reading_key
        return names.numbered(ordinal) if is_asked or here else earlier[-1].reading_key

    def _numbers_since_asked(
        self, packet: Packet, connection: Connection, visit_id: str | None, kind: str
    ) -> Sequence[int]:
        """Return the numbers under which a packet without time stamp may stand in the sequence already."""
        if visit_id:
            return self.session.given_since_asked(visit_id, kind)
        since = wire.parse_iso(packet.received_at) - SENT_AGAIN_WITHIN
        return self.journal.sealed_lately(connection, wire.iso(since))

    def _sends_again(
        self, packet: Packet, connection: Connection, earlier: Sequence[Sighting], here: Sequence[Sighting], *,
        is_asked: bool,
    ) -> bool:  # fmt: skip
        """Say whether the meter is known to send again what it sent before. Once known, it stays so: it sent a known
        packet among others, or long after, with nobody asking.
        """
        name = f"sends_again:{connection.enrolment_id}"
        if self.journal.setting(name):
            return True
        brought = self.journal.brought(connection.connection_id, packet.characteristic)
        equal = self.journal.brought(connection.connection_id, packet.characteristic, packet.raw) + len(here)
        is_late = bool(earlier) and _since(earlier[-1].received_at, packet) > SENT_AGAIN_WITHIN
        if not (earlier and brought > equal) and not (is_late and not is_asked):
            return False
        self.journal.remember(name, "1")
        return True

    def _note_sent_again(self, name: str, packet: Packet, connection: Connection) -> None:
        """A stamp that can be trusted proves it: these bytes came before. Soon after, only the link may have broken."""
        came_at = self.outbox.came_at(name)
        if came_at is not None and _since(came_at, packet) > SENT_AGAIN_WITHIN:
            self.journal.remember(f"sends_again:{connection.enrolment_id}", "1")


@dataclass(frozen=True)
class _Names:
    """The names that one packet may have."""

    enrolment_id: str
    characteristic: str
    raw: bytes
    visit_id: str | None

    @property
    def by_bytes(self) -> str:
        return wire.reading_key(self.enrolment_id, self.characteristic, self.raw, None, 0, True)

    def numbered(self, number: int) -> str:
        return wire.reading_key(self.enrolment_id, self.characteristic, self.raw, self.visit_id, number, False)


def _is_asked_since(packet: Packet, expected: Expected, visit_id: str, earlier: Sequence[Sighting]) -> bool:
    """Say whether a step asked for a measurement after the last equal one came, and this one came soon after that."""
    if expected.asked_at is None:
        return False
    waited = wire.parse_iso(packet.received_at) - expected.asked_at
    if not timedelta(0) <= waited <= LIVE_WITHIN:
        return False
    last = earlier[-1] if earlier else None
    if last is None or expected.asked_at > wire.parse_iso(last.received_at):
        return True
    if last.visit_id == visit_id:
        return expected.asked_ordinal > last.ordinal
    return last.visit_id is not None  # of a visit before: this one's step was asked for later, whatever the clock says


def _since(moment: str, packet: Packet) -> timedelta:
    return wire.parse_iso(packet.received_at) - wire.parse_iso(moment)
