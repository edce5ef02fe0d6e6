"""Three days without a server: nothing is lost, the order is kept, and the way out is one run of batches."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.devices.real_server import Branch, drain, number_of

VISITS, READINGS = 40, 10


async def send_all(branch: Branch) -> tuple[int, set[str]]:
    """Send what waits; return how many items there were and what the server said of them."""
    async with asyncio.timeout(120), branch.agent() as agent:
        waiting = agent.outbox.waiting()
        await drain(agent)
        said = agent.journal.rows("select distinct status from item")
        return waiting, {status for (status,) in said}


def test_readings_of_three_days_without_a_server_are_all_accepted_in_order(tmp_path: Path) -> None:
    branch = Branch(tmp_path / "data")
    try:
        branch.fill(VISITS, READINGS)
        branch.start_server()
        waiting, said = asyncio.run(send_all(branch))
    finally:
        branch.stop()

    assert waiting == VISITS * (READINGS + 2) + 2, "with the marks of all visits and the one open before"
    assert said == {"accepted"}
    assert [number_of(record["raw"]) for record in branch.stored()] == list(range(VISITS * READINGS))
