"""The time, as something that is passed in. All times are UTC and aware."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

Clock = Callable[[], datetime]


class _Ahead:
    """How far this process is ahead of the machine's clock: nothing, but in a demo or a test that asks for it."""

    by = timedelta(0)


def set_ahead(seconds: int) -> None:
    """Let this process live so far ahead of the machine's clock. For demos and tests, once, where a process begins."""
    _Ahead.by = timedelta(seconds=seconds)


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return machine_now() + _Ahead.by


def machine_now() -> datetime:
    """Return what the machine's clock says, for what another program will hold against that clock."""
    return datetime.now(UTC)


def full_years(born: date, today: date) -> int:
    """Return the age of who was born on a day; on 29 February one is a year older on 1 March of other years."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def iso(moment: datetime) -> str:
    """Return the wire form, UTC with milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """Return the UTC moment of a wire time. Raises ValueError, also for a time without zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time on the wire needs its zone")
    return moment.astimezone(UTC)
