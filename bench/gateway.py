"""The gateway: how long a radio callback takes, how soon a reading is stored, how fast three days drain."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import Figure, quantile
from devices import wire
from devices.agent import Agent
from devices.clock import utc_now
from devices.journal import Connection, Journal
from devices.uplink import open_client
from tests.devices.real_server import Branch, drain, pressure

CALLBACKS = 1000
SINGLES = 60
VISITS, READINGS = 500, 10  # 5,000 readings of three days


def figures() -> list[Figure]:
    """Return `raw_journal_ms`, `indication_to_stored_ms` and `drain_5000_s`."""
    with tempfile.TemporaryDirectory() as name:
        found = [_callback(Path(name))]
        branch = Branch(Path(name) / "data")
        try:
            branch.start_server()
            found.append(asyncio.run(_stored(branch)))
            branch.kill("server")
            branch.fill(VISITS, READINGS)
            branch.start_server()
            return [*found, asyncio.run(_drain(branch))]
        finally:
            branch.stop()


def _callback(folder: Path) -> Figure:
    journal = Journal(folder / "callback.db")
    journal.open_connection(Connection("c", "meter", "2026-11-23T10:00:00.000Z"))
    raw = pressure(1, datetime(2026, 11, 23, tzinfo=UTC)).packet()

    def keep(number: int) -> None:
        journal.keep_packet("c", number, "2a35", raw, "2026-11-23T10:00:00.000Z", None)

    waits = _timed(keep, CALLBACKS)
    journal.close()
    bare = quantile(_bare_syncs(folder, len(raw)), 0.99)
    p99 = quantile(waits, 0.99)
    goal = "p99 under 20; the yardstick is the p99 of a bare append and fsync"
    return Figure(
        "raw_journal_p99_ms", p99, "ms", bare, p99 / bare, goal, statistics.median(waits), quantile(waits, 0.95)
    )


def _bare_syncs(folder: Path, size: int) -> list[float]:
    handle = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def append(number: int) -> None:
        os.write(handle, bytes(size))
        os.fsync(handle)

    waits = _timed(append, CALLBACKS)
    os.close(handle)
    return waits


def _timed(work: Callable[[int], None], times: int) -> list[float]:
    waits = []
    for number in range(1, times + 1):
        begun = time.perf_counter()
        work(number)
        waits.append(1000 * (time.perf_counter() - begun))
    return waits


async def _stored(branch: Branch) -> Figure:
    """From the callback of an indication to the server's word that the reading is stored."""
    async with branch.agent() as agent:
        await drain(agent)
        working = [asyncio.create_task(agent.seal()), asyncio.create_task(agent.send())]
        now = wire.iso(utc_now())
        agent.journal.open_connection(Connection(str(branch.visit_id), branch.enrolment_id, now, None, 0))
        waits = [await _one(agent, branch, number) for number in range(1, SINGLES + 1)]
        for task in working:
            task.cancel()
    bare = statistics.median(await _healths(branch))
    p50, p95 = statistics.median(waits), quantile(waits, 0.95)
    goal = "p95 under 500; the yardstick is one unsigned GET of /healthz"
    return Figure("indication_to_stored_ms", p95, "ms", bare, p95 / bare, goal, p50, p95)


async def _one(agent: Agent, branch: Branch, number: int) -> float:
    now = utc_now()
    raw = pressure(9000 + number, now.replace(tzinfo=None, microsecond=0)).packet()
    begun = time.perf_counter()
    agent.journal.keep_packet(str(branch.visit_id), number, "2a35", raw, wire.iso(now), str(branch.visit_id))
    agent.has_packets.set()
    while agent.journal.new_packets() or agent.outbox.waiting():
        await asyncio.sleep(0.001)
    return 1000 * (time.perf_counter() - begun)


async def _healths(branch: Branch) -> list[float]:
    waits = []
    async with open_client(branch.url) as client:
        for _ in range(SINGLES):
            begun = time.perf_counter()
            await client.get(branch.url + "/healthz")
            waits.append(1000 * (time.perf_counter() - begun))
    return waits


async def _drain(branch: Branch) -> Figure:
    async with branch.agent() as agent:
        begun = time.perf_counter()
        await drain(agent)
        spent = time.perf_counter() - begun
        statuses = agent.journal.rows("select status, count(*) from item group by status")
    assert [status for status, _ in statuses] == ["accepted"], statuses
    return Figure("drain_5000_s", spent, "s", 60.0, spent / 60, "under 60; 500 visits of 72 h, one real server")
