"""Thousands of readings over a virtual radio to a real server, while links break and processes are killed."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.clock import utc_now
from devices.simulator.rig import Rig, open_rig, serve_hci
from tests.devices.real_server import Branch, number_of, pressure

LIMIT_S = 1800
STEP_S = 0.02
TROUBLES = ("cut", "gateway", "server")


class Trouble:
    """Breaks something each time some more packets have gone over the radio, until all have."""

    def __init__(self, branch: Branch, rig: Rig, seed: int, every: int) -> None:
        self.branch, self.rig, self.every = branch, rig, every
        self.chance = random.Random(seed)
        self.done = dict.fromkeys(TROUBLES, 0)

    async def go_on(self) -> None:
        meter = self.rig.pressure
        while meter.has_unread():
            mark = meter.sent + self.chance.randint(1, 2 * self.every)
            await until(lambda mark=mark: meter.sent >= mark or not meter.has_unread())  # type: ignore[misc]
            await self._break(TROUBLES[sum(self.done.values()) % len(TROUBLES)])

    async def _break(self, what: str) -> None:
        self.done[what] += 1
        if what == "cut":
            await self.rig.pressure.hang_up()
        elif what == "gateway":
            self.branch.kill("gateway")
            self.branch.start_gateway()
        else:
            self.branch.kill("server")
            await asyncio.to_thread(self.branch.start_server)


async def until(is_true: Callable[[], bool]) -> None:
    while not is_true():
        await asyncio.sleep(STEP_S)


def on_server(branch: Branch) -> int:
    """Return how many readings the server's file holds."""
    path = branch.settings.server_dir / "telemed.db"
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(database.execute("select count(*) from reading").fetchone()[0])
    finally:
        database.close()


async def survive(branch: Branch, readings: int, every: int, seed: int) -> dict[str, int]:
    """Let a meter with so many readings meet the branch; return how often what was broken."""
    async with (
        asyncio.timeout(LIMIT_S),
        open_rig(lambda: utc_now().replace(tzinfo=None), seed=1) as rig,
        serve_hci(rig) as hci,
    ):
        (branch.folder / "meters").mkdir()
        (branch.folder / "meters" / "run.json").write_text(json.dumps({"hci": hci, "control": ""}))
        at = rig.pressure.model.clock.now()
        rig.pressure.model.memory += [pressure(number, at) for number in range(readings)]
        await rig.pressure.advertise()
        branch.start_gateway()
        await asyncio.to_thread(branch.start_server)
        trouble = Trouble(branch, rig, seed, every)
        await trouble.go_on()
        await until(lambda: on_server(branch) >= readings)
        return trouble.done


def check(folder: Path, readings: int, every: int, seed: int) -> None:
    branch = Branch(folder / "data")
    try:
        broken = asyncio.run(survive(branch, readings, every, seed))
    finally:
        branch.stop()

    assert [number_of(record["raw"]) for record in branch.stored()] == list(range(readings))
    assert min(broken.values()) > 0, broken


def test_no_reading_is_lost_doubled_or_moved_by_cuts_and_kills(tmp_path: Path) -> None:
    check(tmp_path, readings=2000, every=150, seed=3)


@pytest.mark.soak
def test_ten_thousand_readings_survive_cuts_and_kills(tmp_path: Path) -> None:
    check(tmp_path, readings=10_000, every=200, seed=4)
