"""From a decoded packet to the record that is sealed: when it was measured, and everything known about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import cast

from devices import wire
from devices.journal import CLOCK_NOISE_S, Connection, Packet
from devices.meters import BLOOD_PRESSURE, GLUCOSE

MEASUREMENT_KINDS = {"2a35": BLOOD_PRESSURE, "2a18": GLUCOSE}
CONTEXT = "2a34"

LIVE_WITHIN = timedelta(seconds=60)  # a reading so soon after it was asked for is the one asked for
FRESH_WITHIN = timedelta(seconds=120)  # unless its own clock says that it is older than this
DRIFT_WORTH_A_MARK_S = 120
DRIFT_BEYOND_TRUST_S = 12 * 3600  # a clock set to another day or to noon for midnight
FIRST_CREDIBLE_YEAR = 2020
CLOCK_NOISE = timedelta(seconds=CLOCK_NOISE_S)


@dataclass(frozen=True)
class Placed:
    """When a reading was taken, how we know, and what to tell about it.

    `measured_at` is the earliest moment that the meter's own clock allows, less its error; None when that error is not
    known.
    """

    effective_at: datetime | None
    quality: str
    reasons: tuple[str, ...] = ()
    measured_at: datetime | None = None


@dataclass(frozen=True)
class Clock:
    """What a meter's clock showed at an earlier connection: how far it was behind, when, and until when at most."""

    offset_s: int
    seen_at: datetime
    until: datetime

    def moment(self, stamped_at: datetime) -> datetime:
        """Return when this clock showed that time."""
        return stamped_at + timedelta(seconds=self.offset_s)


def stamping_offset(
    meter_time: datetime | None, offset_s: int | None, clocks_before: Sequence[Clock], zone: tzinfo
) -> int | None:
    """Return how far the clock was behind that put this time on a pressure reading; `clocks_before` newest first.

    A clock that was set stamps nothing from before: such a packet was left over when the link broke after the setting,
    and is placed as if the link had held.
    """
    if meter_time is None or offset_s is None:
        return offset_s
    stamped_at = meter_time.replace(tzinfo=zone).astimezone(UTC)
    for clock in clocks_before:
        if stamped_at + timedelta(seconds=offset_s) >= clock.seen_at - CLOCK_NOISE:
            break
        offset_s = clock.offset_s
    return offset_s


def place_in_time(
    kind: str,
    meter_time: datetime | None,
    offset_s: int | None,
    received_at: datetime,
    asked_at: datetime | None,
    zone: tzinfo,
    clocks_before: Sequence[Clock] = (),
) -> Placed:
    """Return the moment of a reading; never a guessed one.

    `meter_time` has no zone, it is read as the branch's wall clock. `offset_s` is our clock minus the meter's, read at
    the connection; it removes the meter's own error, whatever its cause. `clocks_before` may have stamped it too.
    """
    is_asked = asked_at is not None and timedelta(0) <= received_at - asked_at <= LIVE_WITHIN
    if meter_time is None:
        if is_asked and kind == BLOOD_PRESSURE:
            return Placed(received_at, "live")
        return Placed(None, "unknown", ("time_unknown",))
    stamped_at = meter_time.replace(tzinfo=zone).astimezone(UTC)
    measured_at = stamped_at + timedelta(seconds=offset_s or 0)
    reasons = ("clock_drift",) if offset_s is not None and abs(offset_s) > DRIFT_WORTH_A_MARK_S else ()
    older = [moment for clock in clocks_before if (moment := clock.moment(stamped_at)) <= clock.until]
    proven_at = min([measured_at, *older]) if offset_s is not None else None
    if is_asked and abs(received_at - measured_at) <= FRESH_WITHIN:
        return Placed(received_at, "live", reasons, proven_at)
    is_incredible = measured_at > received_at + FRESH_WITHIN or measured_at.year < FIRST_CREDIBLE_YEAR
    if is_incredible or abs(offset_s or 0) > DRIFT_BEYOND_TRUST_S:
        return Placed(None, "unknown", (*reasons, "time_unknown"))
    return Placed(measured_at, "meter" if offset_s is None else "corrected", reasons, proven_at)


def place_unproven(
    kind: str, meter_time: datetime | None, offset_s: int | None, received_at: datetime, zone: tzinfo
) -> Placed:
    """Return the moment of a reading whose meter hung up before its clock was read: by the error that the clock had
    last, which proves nothing, so it never counts as measured just now.
    """
    placed = place_in_time(kind, meter_time, offset_s, received_at, None, zone)
    quality = placed.quality if placed.effective_at is None else "meter"
    return Placed(placed.effective_at, quality, (*placed.reasons, "clock_unproven"))


def meter_time(kind: str, decoded: Mapping[str, object]) -> datetime | None:
    """Return the time the meter put on the reading, without zone, or None; also None when the meter itself says that its
    clock was at fault: such a stamp may be any day's.
    """
    if "time_fault" in cast(Sequence[str], decoded.get("status_flags") or ()):
        return None
    return told_time(kind, decoded)


def told_time(kind: str, decoded: Mapping[str, object]) -> datetime | None:
    """Return the time in the packet as it stands there, whatever it is worth."""
    text = decoded.get("timestamp" if kind == BLOOD_PRESSURE else "measured_at")
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def build_record(
    packet: Packet,
    connection: Connection,
    kind: str,
    decoded: Mapping[str, object],
    context: bytes | None,
    placed: Placed,
    ordinal: int,
    source: str,
    verdict: str,
    reasons: tuple[str, ...],
    told: datetime | None,
) -> dict[str, object]:
    """Return the record (version 1) that is sealed to the server. `told` is the packet's time, None when it tells nothing:
    such a measurement is named with visit and place.
    """
    return {
        "v": 1,
        "kind": kind,
        "characteristic": packet.characteristic,
        "raw": packet.raw.hex(),
        "context_raw": context.hex() if context is not None else None,
        "decoded": decoded,
        "meter": {
            "enrolment_id": connection.enrolment_id,
            "manufacturer": connection.manufacturer,
            "model": connection.model,
            "serial": connection.serial,
            "firmware": connection.firmware,
        },
        "source": source,
        "connection_id": connection.connection_id,
        "ordinal": ordinal,
        "received_at": packet.received_at,
        "effective_at": wire.iso(placed.effective_at) if placed.effective_at else None,
        "time_quality": placed.quality,
        "meter_time": told.isoformat() if told else None,
        "offset_s": connection.offset_s,
        "verdict": verdict,
        "reasons": [*reasons, *placed.reasons],
    }
