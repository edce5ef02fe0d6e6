"""The Date Time field (7 bytes) and the characteristics 2A08 and 2A2B. Zero means unknown and stays unknown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from devices.profiles.payload import Payload

PARTS = ("year", "month", "day", "hour", "minute", "second")
LIMITS = {"year": (1582, 9999), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 59)}


def read_parts(payload: Payload) -> dict[str, int | None]:
    """Take a Date Time off a payload. A part that is zero or impossible is unknown: None, never corrected."""
    values = [payload.u16(), *payload.take(5)]
    return {
        name: value if LIMITS[name][0] <= value <= LIMITS[name][1] else None
        for name, value in zip(PARTS, values, strict=True)
    }


def moment(parts: dict[str, int | None]) -> datetime | None:
    """Return the moment of the parts without zone (the meter has none), or None when a part is unknown."""
    known = [parts[name] for name in PARTS]
    if any(value is None for value in known):
        return None
    try:
        return datetime(*[value for value in known if value is not None])  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:  # 31 February
        return None


def iso(at: datetime | None) -> str | None:
    """Return ISO 8601 without zone."""
    return at.isoformat(timespec="seconds") if at else None


def decode_date_time(payload: Payload) -> dict[str, Any]:
    """Read 2A08."""
    parts = read_parts(payload)
    payload.end()
    return {"datetime": iso(moment(parts)), "fields": parts}


def decode_current_time(payload: Payload) -> dict[str, Any]:
    """Read 2A2B: Date Time, day of week, fractions of a second, reason of adjustment."""
    parts = read_parts(payload)
    payload.take(3)
    payload.end()
    return {"datetime": iso(moment(parts)), "fields": parts}


def encode(at: datetime) -> bytes:
    """Return the 7 bytes with which a meter's clock is set."""
    return at.year.to_bytes(2, "little") + bytes([at.month, at.day, at.hour, at.minute, at.second])
