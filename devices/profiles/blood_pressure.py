"""Blood Pressure Service 0x1810 (BLS 1.1.1): 2A35 measurement, 2A36 cuff pressure, 2A49 feature."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from struct import Struct
from typing import Any

from devices.profiles import date_time, medfloat
from devices.profiles.medfloat import VALUES
from devices.profiles.payload import Fields, filled, unpack
from devices.profiles.quirks import STANDARD, Quirk

MMHG_PER_KPA = Decimal("7.50062")
CENTI = Decimal("0.01")
KPA, TIME_STAMP, PULSE, USER_ID, STATUS = 0x01, 0x02, 0x04, 0x08, 0x10
FLAGS = 0x1F  # bits 5 to 7 are reserved and ignored; Beurer sets bit 6
OPTIONAL = TIME_STAMP | PULSE | USER_ID | STATUS
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
NEVER = (None, None)
CUFF_FIELDS = ("timestamp", "timestamp_fields", "pulse_rate", "user_id", "status_raw", "status")


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


def _in_mmhg(raw: int) -> tuple[medfloat.Value, Decimal | None]:
    value = VALUES[raw]
    return value, None if isinstance(value, str) else value.quantize(CENTI, ROUND_HALF_EVEN)


def _in_kpa(raw: int) -> tuple[medfloat.Value, Decimal | None]:
    value = VALUES[raw]
    return value, None if isinstance(value, str) else (value * MMHG_PER_KPA).quantize(CENTI, ROUND_HALF_EVEN)


# By the unit's bit: a pressure as the meter says it, and in mmHg to 0.01; None there for a special value.
PRESSURES = (medfloat.Table(_in_mmhg), medfloat.Table(_in_kpa))
UNITS = ("mmHg", "kPa")


def decode_measurement(raw: bytes, quirk: Quirk) -> dict[str, Any]:
    """Read 2A35."""
    flags = raw[0] & FLAGS if raw else 0
    layout = LAYOUTS[flags]
    if flags & OPTIONAL == OPTIONAL and quirk is STANDARD and len(raw) == layout.size:
        _flags, one, two, three, day, clock, second, pulse, user, status = layout.unpack(raw)
    else:
        flags, (_flags, one, two, three, day, clock, second, pulse, user, status) = _fields(raw, flags, quirk)
    systolic, systolic_mmhg = PRESSURES[flags & KPA][one]
    diastolic, diastolic_mmhg = PRESSURES[flags & KPA][two]
    stamp, parts = NEVER if day is None else date_time.read(day, clock, second)
    return {
        "unit": UNITS[flags & KPA],
        "systolic": systolic,
        "diastolic": diastolic,
        "mean_arterial_pressure": VALUES[three],
        "systolic_mmhg": systolic_mmhg,
        "diastolic_mmhg": diastolic_mmhg,
        "timestamp": stamp,
        "timestamp_fields": parts,
        "pulse_rate": None if pulse is None else VALUES[pulse],
        "user_id": None if user == UNKNOWN_USER else user,
        "status_raw": status,
        "status": None if status is None else STATUSES[status & STATUS_BITS].copy(),
        "usable": systolic_mmhg is not None and diastolic_mmhg is not None,
    }


def decode_cuff_pressure(raw: bytes, quirk: Quirk) -> dict[str, Any]:
    """Read 2A36: the same layout, the second and third pressure unused. For display, never a result."""
    whole = decode_measurement(raw, quirk)
    shared = {name: whole[name] for name in CUFF_FIELDS}
    pressure, mmhg = whole["systolic"], whole["systolic_mmhg"]
    return {
        "unit": whole["unit"],
        "cuff_pressure": pressure,
        "cuff_pressure_mmhg": mmhg,
        **shared,
        "usable": mmhg is not None,
    }


def _fields(raw: bytes, flags: int, quirk: Quirk) -> tuple[int, Fields]:
    """Return the flags that hold and all ten fields, None for one that is not there. Raises DecodeError."""
    layout = LAYOUTS[flags]
    if quirk.user_id_always and not (quirk.told_by_length and len(raw) == layout.size):
        flags |= USER_ID
        fields = _filled(unpack(LAYOUTS[flags], raw, quirk.trailing_allowed), flags)
        return flags, _swap(fields) if quirk.big_endian_tail else fields
    return flags, _filled(unpack(layout, raw, quirk.trailing_allowed), flags)


def _filled(fields: Fields, flags: int) -> Fields:
    return filled(fields, flags, 4, ((TIME_STAMP, 3), (PULSE, 1), (USER_ID, 1), (STATUS, 1)))


def _swap(fields: Fields) -> Fields:
    """Return the fields with pulse and status, sent big endian, put right."""
    *before, pulse, user, status = fields
    swapped = (None if one is None else medfloat.swapped(one) for one in (pulse, status))
    return (*before, next(swapped), user, next(swapped))


def decode_feature(raw: bytes, _quirk: Quirk) -> dict[str, Any]:
    """Read 2A49."""
    (features,) = unpack(FEATURE, raw)
    return {"raw": features, "features": [name for bit, name in enumerate(FEATURES) if features >> bit & 1]}
