"""The gateway's and the meters' time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class _Ahead:
    """How far this process is ahead of the machine's clock: nothing, but in a demo or a test that asks for it."""

    by = timedelta(0)


def set_ahead(seconds: int) -> None:
    """Let this process live so far ahead of the machine's clock. For demos and tests, once, where a process begins."""
    _Ahead.by = timedelta(seconds=seconds)


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC) + _Ahead.by


def wall_clock() -> datetime:
    """Return what a clock on the wall shows: no zone, as a meter has none."""
    return utc_now().astimezone().replace(tzinfo=None)
