"""The Date Time field (7 bytes) and the characteristics 2A08 and 2A2B. Zero means unknown and stays unknown."""

from __future__ import annotations

from datetime import datetime, timedelta
from struct import Struct
from typing import Any

from devices.profiles.medfloat import Table
from devices.profiles.payload import unpack

FIELD = "H5B"
DATE_TIME = Struct("<" + FIELD)
CURRENT_TIME = Struct("<" + FIELD + "3B")  # and day of week, 1/256 s, reason of adjustment
# The characteristic begins with the Gregorian calendar.
LIMITS = {"year": (1582, 9999), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 59)}
TWO_DIGITS = [f"{number:02}" for number in range(60)]
MINUTES_A_DAY = 24 * 60
Parts = dict[str, int | None]
Fields = tuple[int, ...]


def _day(fields: Fields) -> str | None:
    """Return a date as ISO 8601 has it, or None for one that cannot be, such as 31 February."""
    year, month, day = fields
    try:
        return datetime(year, month, day).date().isoformat() if year >= LIMITS["year"][0] else None  # noqa: DTZ001
    except ValueError:
        return None


DAYS = Table(_day, most=4096)


def iso(fields: Fields) -> str | None:
    """Return the moment of six fields as ISO 8601 without zone, as the meter has none; None when a part is unknown.

    Put together by hand, since `datetime` takes three times as long and this stands in the path of every reading.
    """
    year, month, day, hour, minute, second = fields
    date = DAYS[year, month, day]
    if date is None or hour > 23 or minute > 59 or second > 59:
        return None
    return f"{date}T{TWO_DIGITS[hour]}:{TWO_DIGITS[minute]}:{TWO_DIGITS[second]}"


def iso_later(fields: Fields, minutes: int) -> str | None:
    """Return the moment so many minutes (also before) the six fields; None beyond the calendar."""
    year, month, day, hour, minute, second = fields
    of_day = hour * 60 + minute + minutes
    if 0 <= of_day < MINUTES_A_DAY:
        return iso((year, month, day, of_day // 60, of_day % 60, second))
    try:
        return (datetime(*fields) + timedelta(minutes=minutes)).isoformat()  # type: ignore[arg-type]  # noqa: DTZ001
    except (ValueError, OverflowError):
        return None


def read(fields: Fields) -> tuple[str | None, Parts]:
    """Return the moment of six fields as `iso` does, and its parts by name.

    A part that is zero or impossible is unknown: None, never corrected.
    """
    year, month, day, hour, minute, second = fields
    parts: Parts = {"year": year, "month": month, "day": day, "hour": hour, "minute": minute, "second": second}
    stamp = iso(fields)
    if stamp is None:
        parts = {name: value if _is_possible(name, value) else None for name, value in parts.items()}
    return stamp, parts


def _is_possible(name: str, value: int | None) -> bool:
    low, high = LIMITS[name]
    return value is not None and low <= value <= high


def decode_date_time(raw: bytes) -> dict[str, Any]:
    """Read 2A08."""
    stamp, parts = read(unpack(DATE_TIME, raw))
    return {"datetime": stamp, "fields": parts}


def decode_current_time(raw: bytes) -> dict[str, Any]:
    """Read 2A2B."""
    stamp, parts = read(unpack(CURRENT_TIME, raw)[:6])
    return {"datetime": stamp, "fields": parts}


def encode_date_time(at: datetime) -> bytes:
    """Return the value of 2A08 with which a meter's clock is set."""
    return at.year.to_bytes(2, "little") + bytes([at.month, at.day, at.hour, at.minute, at.second])


def encode_current_time(at: datetime) -> bytes:
    """Return the value of 2A2B with which a meter's clock is set: Monday is 1, no reason of adjustment."""
    return encode_date_time(at) + bytes([at.isoweekday(), at.microsecond * 256 // 1_000_000, 0])
