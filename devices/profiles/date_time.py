"""The Date Time field (7 bytes) and the characteristics 2A08 and 2A2B. Zero means unknown and stays unknown."""

from __future__ import annotations

from datetime import datetime, timedelta
from struct import Struct
from typing import Any

from devices.profiles.medfloat import Table
from devices.profiles.payload import unpack

FIELD = "IHB"  # the year, month and day as one number, hour and minute as another, and the second: so tables find them
DATE_TIME = Struct("<" + FIELD)
CURRENT_TIME = Struct("<" + FIELD + "3B")  # and day of week, 1/256 s, reason of adjustment
# The characteristic begins with the Gregorian calendar.
LIMITS = {"year": (1582, 9999), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 59)}
MINUTES_A_DAY = 24 * 60
TIMES = [f"T{minute // 60:02}:{minute % 60:02}:" for minute in range(MINUTES_A_DAY)]  # by the minute of the day
SECONDS = [f"{second:02}" for second in range(60)]
Parts = dict[str, int | None]


def _day(raw: int) -> tuple[str | None, int, int, int]:
    """Return a date as ISO 8601 has it, or None for one that cannot be, such as 31 February; and its parts."""
    year, month, day = raw & 0xFFFF, raw >> 16 & 0xFF, raw >> 24
    try:
        text = datetime(year, month, day).date().isoformat() if year >= LIMITS["year"][0] else None  # noqa: DTZ001
    except ValueError:
        text = None
    return text, year, month, day


def _clock(raw: int) -> tuple[int | None, int, int]:
    """Return the minute of the day, or None for one that cannot be; and its parts."""
    hour, minute = raw & 0xFF, raw >> 8
    return hour * 60 + minute if hour < 24 and minute < 60 else None, hour, minute


DAYS, CLOCKS = Table(_day, most=4096), Table(_clock)


def iso(day: int, clock: int, second: int, later: int = 0) -> str | None:
    """Return the moment of a field's three numbers as ISO 8601 without zone, as the meter has none, moved by `later`
    minutes; None when a part is unknown or the calendar ends.

    Put together by hand, since `datetime` takes three times as long and this stands in the path of every reading.
    """
    date, minute = DAYS[day][0], CLOCKS[clock][0]
    if date is None or minute is None or second > 59:
        return None
    minute += later
    if 0 <= minute < MINUTES_A_DAY:
        return date + TIMES[minute] + SECONDS[second]
    try:
        return (datetime.fromisoformat(date) + timedelta(minutes=minute, seconds=second)).isoformat()
    except OverflowError:
        return None


def read(day: int, clock: int, second: int) -> tuple[str | None, Parts]:
    """Return the moment as `iso` does, and its parts by name.

    A part that is zero or impossible is unknown: None, never corrected.
    """
    date, year, month, day_of_month = DAYS[day]
    minute_of_day, hour, minute = CLOCKS[clock]
    parts: Parts = {
        "year": year, "month": month, "day": day_of_month, "hour": hour, "minute": minute, "second": second,
    }  # fmt: skip
    if date is None or minute_of_day is None or second > 59:
        return None, {name: value if _is_possible(name, value) else None for name, value in parts.items()}
    return date + TIMES[minute_of_day] + SECONDS[second], parts


def _is_possible(name: str, value: int | None) -> bool:
    low, high = LIMITS[name]
    return value is not None and low <= value <= high


def decode_date_time(raw: bytes) -> dict[str, Any]:
    """Read 2A08."""
    stamp, parts = read(*unpack(DATE_TIME, raw))
    return {"datetime": stamp, "fields": parts}


def decode_current_time(raw: bytes) -> dict[str, Any]:
    """Read 2A2B."""
    stamp, parts = read(*unpack(CURRENT_TIME, raw)[:3])
    return {"datetime": stamp, "fields": parts}


def encode_date_time(at: datetime) -> bytes:
    """Return the value of 2A08 with which a meter's clock is set."""
    return at.year.to_bytes(2, "little") + bytes([at.month, at.day, at.hour, at.minute, at.second])


def encode_current_time(at: datetime) -> bytes:
    """Return the value of 2A2B with which a meter's clock is set: Monday is 1, no reason of adjustment."""
    return encode_date_time(at) + bytes([at.isoweekday(), at.microsecond * 256 // 1_000_000, 0])
