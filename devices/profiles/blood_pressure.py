"""Blood Pressure Service 0x1810 (BLS 1.1.1): 2A35 measurement, 2A36 cuff pressure, 2A49 feature."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from devices.profiles import date_time, medfloat
from devices.profiles.payload import Payload
from devices.profiles.quirks import STANDARD, Quirk

MMHG_PER_KPA = Decimal("7.50062")
KPA, TIME_STAMP, PULSE, USER_ID, STATUS = 0x01, 0x02, 0x04, 0x08, 0x10  # bits 5 to 7 are reserved and ignored
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


def decode_measurement(payload: Payload, quirk: Quirk) -> dict[str, Any]:
    """Read 2A35."""
    flags = payload.u8()
    systolic, diastolic, mean = (medfloat.read(payload) for _ in range(3))
    return {
        "unit": _unit(flags),
        "systolic": systolic,
        "diastolic": diastolic,
        "mean_arterial_pressure": mean,
        "systolic_mmhg": to_mmhg(systolic, flags),
        "diastolic_mmhg": to_mmhg(diastolic, flags),
        **_tail(payload, flags, quirk),
        "usable": isinstance(systolic, Decimal) and isinstance(diastolic, Decimal),
    }


def decode_cuff_pressure(payload: Payload, quirk: Quirk) -> dict[str, Any]:
    """Read 2A36: the same layout, the second and third pressure unused. For display, never a result."""
    flags = payload.u8()
    pressure = medfloat.read(payload)
    payload.take(4)
    return {
        "unit": _unit(flags),
        "cuff_pressure": pressure,
        "cuff_pressure_mmhg": to_mmhg(pressure, flags),
        **_tail(payload, flags, quirk),
        "usable": isinstance(pressure, Decimal),
    }


def _unit(flags: int) -> str:
    return "kPa" if flags & KPA else "mmHg"


def to_mmhg(pressure: medfloat.Value, flags: int) -> Decimal | None:
    """Return a pressure in mmHg to 0.01, or None for a special value."""
    if not isinstance(pressure, Decimal):
        return None
    converted = pressure * MMHG_PER_KPA if flags & KPA else pressure
    return converted.quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def _layout(payload: Payload, flags: int, quirk: Quirk) -> Quirk:
    if not quirk.told_by_length:
        return quirk
    sizes = {TIME_STAMP: 7, PULSE: 2, USER_ID: 1, STATUS: 2}
    is_standard = payload.left == sum(size for flag, size in sizes.items() if flags & flag)
    return STANDARD if is_standard else quirk


def _tail(payload: Payload, flags: int, quirk: Quirk) -> dict[str, Any]:
    quirk = _layout(payload, flags, quirk)
    parts = date_time.read_parts(payload) if flags & TIME_STAMP else None
    pulse = medfloat.read(payload, big_endian=quirk.big_endian_tail) if flags & PULSE else None
    user = payload.u8() if flags & USER_ID or quirk.user_id_always else None
    status = _status(payload, quirk) if flags & STATUS else None
    if not quirk.trailing_allowed:
        payload.end()
    return {
        "timestamp": date_time.iso(date_time.moment(parts)) if parts else None,
        "timestamp_fields": parts,
        "pulse_rate": pulse,
        "user_id": None if user == UNKNOWN_USER else user,
        "status_raw": status,
        "status": None if status is None else status_words(status),
    }


def _status(payload: Payload, quirk: Quirk) -> int:
    return int.from_bytes(payload.take(2), "big" if quirk.big_endian_tail else "little")


def status_words(status: int) -> dict[str, bool | str]:
    """Return what the measurement status says."""
    return {
        "body_movement": bool(status & 0x01),
        "cuff_too_loose": bool(status & 0x02),
        "irregular_pulse": bool(status & 0x04),
        "pulse_rate_range": PULSE_RANGES[status >> 3 & 0x03],
        "improper_position": bool(status & 0x20),
    }


def decode_feature(payload: Payload, _quirk: Quirk) -> dict[str, Any]:
    """Read 2A49."""
    raw = payload.u16()
    payload.end()
    return {"raw": raw, "features": [name for bit, name in enumerate(FEATURES) if raw >> bit & 1]}
