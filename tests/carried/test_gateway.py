"""The journal that an older gateway left behind is opened by today's gateway and drained into today's server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from devices import identity, uplink
from devices.agent import Agent, system_radio
from devices.journal import Journal
from telemed.bootstrap import Application
from telemed.branches.models import Gateway
from telemed.readings.models import Transmission
from tests.carried.folders import Carried, run_jobs

pytestmark = pytest.mark.db
WITHIN_S = 30
KEPT = "select seq, kind, event_id, visit_id, reading_key, hash from item order by seq"


@asynccontextmanager
async def gateway(carried: Carried, url: str) -> Any:
    """Yield today's gateway on the older folder, nothing of it running yet."""
    folder = carried.settings.data_dir / "gateway"
    who, journal = identity.load(folder), Journal(folder / "journal.db")
    now: Callable[[], datetime] = carried.now
    try:
        async with uplink.open_client(url) as client:
            server = uplink.Uplink(client, who, url)
            yield Agent(who, journal, server, system_radio, True, UTC, now=now)
    finally:
        journal.close()


async def drain(carried: Carried, url: str) -> dict[str, Any]:
    """Seal what waits, report, send all; return what the journal held before and says after."""
    async with gateway(carried, url) as agent, asyncio.timeout(WITHIN_S):
        agent.sealer.seal_new()
        seen: dict[str, Any] = {"unsent": agent.outbox.waiting(), "items": agent.journal.rows(KEPT)}
        await agent.beat_once()
        sending = asyncio.create_task(agent.send())
        while agent.outbox.waiting():
            await asyncio.sleep(0.02)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        seen["statuses"] = {row[0] for row in agent.journal.rows("select distinct status from item where sent = 1")}
        return seen


def test_every_unsent_item_reaches_todays_server_once(carried: Carried, address: str, application: Application) -> None:
    seen = asyncio.run(drain(carried, address))
    run_jobs(application)

    assert seen["unsent"] > 0
    assert seen["statuses"] <= {"accepted", "quarantined", "duplicate"}
    with application.services.db.read() as tx:
        stored = [(row.seq, str(row.event_id)) for row in tx.scalars(select(Transmission).order_by(Transmission.seq))]
        assert stored == [(row[0], row[2]) for row in seen["items"]]
        assert tx.scalars(select(Gateway)).one().queue == seen["unsent"]
