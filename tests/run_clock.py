"""The clock of a test run. `TEST_CLOCK=2026-12-31T23:58 make test` runs it as if it had begun at that moment of Moscow.

One offset for all: the run's processes, those of its workers, and every server, gateway and meter that they start.
Browsers and programs that are not ours keep the machine's clock.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import devices.clock
import telemed.clock

MOSCOW = ZoneInfo("Europe/Moscow")
BEGINS, OFFSET = "TEST_CLOCK", "TEST_CLOCK_OFFSET_S"
SETTING = "TELEMED_CLOCK_OFFSET_S"


def begin() -> None:
    """Set this process's clock. The first process of a run reads TEST_CLOCK, the others take its offset."""
    if os.environ.get(BEGINS) and not os.environ.get(OFFSET):
        wanted = datetime.fromisoformat(os.environ[BEGINS]).replace(tzinfo=MOSCOW)
        os.environ[OFFSET] = str(round((wanted - telemed.clock.machine_now()).total_seconds()))
    devices.clock.set_ahead(offset_s())
    telemed.clock.set_ahead(offset_s())


def offset_s() -> int:
    """Return how far this run is ahead of the machine's clock."""
    return int(os.environ.get(OFFSET) or 0)


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of a process of ours: the caller's, with these settings alone, on the run's clock."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TELEMED_")}
    return clean | (clock_setting() if settings.get("TELEMED_DEMO") == "1" else {}) | settings


def clock_setting() -> Mapping[str, str]:
    """Return the setting by which a demo's process lives on the run's clock."""
    return {SETTING: str(offset_s())} if offset_s() else {}
