"""Blood Pressure Service 0x1810 (BLS 1.1.1): 2A35 measurement, 2A36 cuff pressure, 2A49 feature."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from struct import Struct
from typing import Any

from devices.profiles import date_time, medfloat
from devices.profiles.payload import unpack
from devices.profiles.quirks import Quirk

MMHG_PER_KPA = Decimal("7.50062")
CENTI = Decimal("0.01")
KPA, TIME_STAMP, PULSE, USER_ID, STATUS = 0x01, 0x02, 0x04, 0x08, 0x10
FLAGS = 0x1F  # bits 5 to 7 are reserved and ignored; Beurer sets bit 6
BIG_ENDIAN_TAIL = 0x100  # no flag of the packet: a quirk
UNKNOWN_USER = 0xFF
PULSE_RANGES = ("in_range", "above_upper_limit", "below_lower_limit", "reserved")
FEATURES = (
    "body_movement_detection",
    "cuff_fit_detection",
    "irregular_pulse_detection",
    "pulse_rate_range_detection",
    "measurement_position_detection",
    "multiple_bond",
    "e2e_crc",
    "user_data_service",
    "user_facing_time",
)
FEATURE = Struct("<H")
# The enhanced service (BLS 1.1): 2B34 measurement, 2B35 cuff pressure, 2B36 record. No consumer meter is known to have
# it; the collector says so when one does, and leaves it alone.
ENHANCED = ("2b34", "2b35", "2b36")
Status = dict[str, bool | str]
Tail = tuple[str | None, date_time.Parts | None, medfloat.Value | None, int | None, int | None]


def _layout(flags: int) -> Struct:
    optional = ((TIME_STAMP, date_time.FIELD), (PULSE, "H"), (USER_ID, "B"), (STATUS, "H"))
    return Struct("<B3H" + "".join(field for flag, field in optional if flags & flag))


def _status_of(status: int) -> Status:
    return {
        "body_movement": bool(status & 0x01),
        "cuff_too_loose": bool(status & 0x02),
        "irregular_pulse": bool(status & 0x04),
        "pulse_rate_range": PULSE_RANGES[status >> 3 & 0x03],
        "improper_position": bool(status & 0x20),
    }


LAYOUTS = [_layout(flags) for flags in range(FLAGS + 1)]
STATUS_BITS = 0x3F
STATUSES = [_status_of(status) for status in range(STATUS_BITS + 1)]


@lru_cache(maxsize=medfloat.PATTERNS)
def pressure_of(raw: int, in_kpa: int) -> tuple[medfloat.Value, Decimal | None]:
    """Return a pressure as the meter says it, and in mmHg to 0.01; None there for a special value."""
    value = medfloat.value_of(raw)
    if isinstance(value, str):
        return value, None
    return value, (value * MMHG_PER_KPA if in_kpa else value).quantize(CENTI, ROUND_HALF_EVEN)


def decode_measurement(raw: bytes, quirk: Quirk) -> dict[str, Any]:
    """Read 2A35."""
    flags, fields = _fields(raw, quirk)
    in_kpa = flags & KPA
    systolic, systolic_mmhg = pressure_of(fields[1], in_kpa)
    diastolic, diastolic_mmhg = pressure_of(fields[2], in_kpa)
    stamp, parts, pulse, user, status = _tail(fields, flags)
    return {
        "unit": "kPa" if in_kpa else "mmHg",
        "systolic": systolic,
        "diastolic": diastolic,
        "mean_arterial_pressure": medfloat.value_of(fields[3]),
        "systolic_mmhg": systolic_mmhg,
        "diastolic_mmhg": diastolic_mmhg,
        "timestamp": stamp,
        "timestamp_fields": parts,
        "pulse_rate": pulse,
        "user_id": user,
        "status_raw": status,
        "status": status_words(status),
        "usable": systolic_mmhg is not None and diastolic_mmhg is not None,
    }


def decode_cuff_pressure(raw: bytes, quirk: Quirk) -> dict[str, Any]:
    """Read 2A36: the same layout, the second and third pressure unused. For display, never a result."""
    flags, fields = _fields(raw, quirk)
    pressure, mmhg = pressure_of(fields[1], flags & KPA)
    stamp, parts, pulse, user, status = _tail(fields, flags)
    return {
        "unit": "kPa" if flags & KPA else "mmHg",
        "cuff_pressure": pressure,
        "cuff_pressure_mmhg": mmhg,
        "timestamp": stamp,
        "timestamp_fields": parts,
        "pulse_rate": pulse,
        "user_id": user,
        "status_raw": status,
        "status": status_words(status),
        "usable": mmhg is not None,
    }


def _fields(raw: bytes, quirk: Quirk) -> tuple[int, tuple[int, ...]]:
    """Return the flags that hold, and the plain fields. Raises DecodeError."""
    flags = raw[0] & FLAGS if raw else 0
    if quirk.user_id_always and not (quirk.told_by_length and len(raw) == LAYOUTS[flags].size):
        flags |= USER_ID | BIG_ENDIAN_TAIL * quirk.big_endian_tail
    layout = LAYOUTS[flags & FLAGS]
    return flags, layout.unpack(raw) if len(raw) == layout.size else unpack(layout, raw, quirk.trailing_allowed)


def _tail(fields: tuple[int, ...], flags: int) -> Tail:
    """Return time stamp, its parts, pulse, user and status: what stands behind the three pressures."""
    if flags & BIG_ENDIAN_TAIL:
        fields = _swap(fields, flags)
    at, stamp, parts, pulse, user = 4, None, None, None, None
    if flags & TIME_STAMP:
        stamp, parts = date_time.read(fields[4:10])
        at = 10
    if flags & PULSE:
        pulse = medfloat.value_of(fields[at])
        at += 1
    if flags & USER_ID:
        user = fields[at] if fields[at] != UNKNOWN_USER else None
    return stamp, parts, pulse, user, fields[-1] if flags & STATUS else None


def _swap(fields: tuple[int, ...], flags: int) -> tuple[int, ...]:
    """Return the fields with pulse and status, sent big endian, put right."""
    swapped = list(fields)
    for flag, at in ((PULSE, 10 if flags & TIME_STAMP else 4), (STATUS, -1)):
        if flags & flag:
            swapped[at] = medfloat.swapped(fields[at])
    return tuple(swapped)


def status_words(status: int | None) -> Status | None:
    """Return what the measurement status says."""
    return None if status is None else STATUSES[status & STATUS_BITS].copy()


def decode_feature(raw: bytes, _quirk: Quirk) -> dict[str, Any]:
    """Read 2A49."""
    (features,) = unpack(FEATURE, raw)
    return {"raw": features, "features": [name for bit, name in enumerate(FEATURES) if features >> bit & 1]}
