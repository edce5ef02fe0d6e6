"""Meter to server in one process: real bleak on the virtual radio, the real journal, a server that verifies all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from devices import uplink, wire
from devices.agent import Agent, Waits
from devices.clock import utc_now
from devices.collector import Patience
from devices.journal import Journal
from devices.simulator.radio import open_radio
from devices.simulator.rig import Rig, open_rig, serve_hci
from devices.transport import Radio
from tests.devices.fake_server import FakeServer, serving

VISIT = "33333333-3333-4333-8333-333333333333"
SECOND_VISIT = "33333333-3333-4333-8333-333333333334"
PRESSURE_METER = "44444444-4444-4444-8444-444444444441"
GLUCOSE_METER = "44444444-4444-4444-8444-444444444442"
WITHIN_S = 40.0
QUICK = Patience(rest_after_fetch_s=0.0, rest_after_nothing_s=0.2, rest_after_failure_s=0.2, rest_when_full_s=0.2)


class Corner:
    """A health corner: meters, a server, and a gateway that can be stopped and started."""

    def __init__(self, folder: Path, rig: Rig, server: FakeServer, over_tcp: str | None) -> None:
        self.folder = folder
        self.rig = rig
        self.server = server
        self._hci = over_tcp

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Agent]:
        """Run the gateway as long as the block."""
        journal = Journal(self.folder / "journal.db")
        stop = asyncio.Event()
        try:
            async with uplink.open_client(self.server.url) as client:
                identity = self.server.identity()
                agent = Agent(
                    identity,
                    journal,
                    uplink.Uplink(client, identity, self.server.url),
                    self._open_radio,
                    True,
                    UTC,
                    waits=Waits(0.05, 0.2, 0.2),
                    radio_patience=QUICK,
                )
                running = asyncio.create_task(agent.run(stop))
                try:
                    yield agent
                finally:
                    stop.set()
                    await running
        finally:
            journal.close()

    def _open_radio(self) -> AbstractAsyncContextManager[Radio]:
        return open_radio(self._hci) if self._hci else self._local()

    @asynccontextmanager
    async def _local(self) -> AsyncIterator[Radio]:
        yield await self.rig.radio()

    def records(self) -> list[dict[str, Any]]:
        return list(self.server.records.values())

    async def until_records(self, number: int) -> None:
        await self.server.until(lambda: len(self.server.records) >= number, WITHIN_S)

    async def until_sent(self) -> None:
        """Wait until a heartbeat that starts from now on reports an empty queue."""
        beats = len(self.server.beats) + 1  # the one under way may be older
        await self.server.until(
            lambda: len(self.server.beats) > beats and self.server.beats[-1]["queue"] == 0, WITHIN_S
        )

    async def until_done(self) -> None:
        """Wait until the gateway has reported that the last order is executed."""
        last = len(self.server.orders)
        await self.server.until(
            lambda: bool(self.server.beats) and self.server.beats[-1]["last_order"] >= last, WITHIN_S
        )


def utc_wall_clock() -> datetime:
    return utc_now().replace(tzinfo=None)


def in_corner(folder: Path, story: Callable[[Corner], Awaitable[None]], over_tcp: bool = False) -> None:
    """Tell a story in a fresh corner with both meters enrolled and a visit open."""

    async def run() -> None:
        async with (
            asyncio.timeout(3 * WITHIN_S),
            serving(FakeServer()) as server,
            open_rig(utc_wall_clock, seed=1) as rig,
            serve_hci(rig) as hci,
        ):
            server.order("enrol_meter", enrolment_id=PRESSURE_METER, meter="blood_pressure", name="Pressure 1")
            server.order("enrol_meter", enrolment_id=GLUCOSE_METER, meter="glucose", name="Glucose 1")
            server.order("open_visit", visit_id=VISIT)
            await story(Corner(folder, rig, server, hci if over_tcp else None))

    asyncio.run(run())


@pytest.mark.parametrize("over_tcp", [False, True])
def test_three_pressures_and_a_glucose_arrive_in_order_and_in_the_visit(tmp_path: Path, over_tcp: bool) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            for ordinal, systolic in enumerate((131, 128, 127), 1):
                corner.server.order("take_series", visit_id=VISIT, meter="blood_pressure", ordinal=ordinal)
                await corner.until_done()
                await corner.rig.pressure.take({"systolic": systolic, "diastolic": 81, "pulse": 66}, None)
                await corner.until_records(ordinal)
            await corner.rig.glucose.take({"mmol_per_l": 5.5, "meal": 1}, None)
            await corner.until_records(4)
            corner.server.order("close_visit", visit_id=VISIT)
            await corner.server.until(lambda: corner.server.watermark == 6)

        records = corner.records()
        items = list(corner.server.items.values())
        assert [item["kind"] for item in items] == ["visit_opened", *["reading"] * 4, "visit_closed"]
        assert {item["visit_id"] for item in items} == {VISIT}
        assert [record["decoded"]["systolic"] for record in records[:3]] == [131, 128, 127]
        assert [record["ordinal"] for record in records] == [1, 2, 3, 1]
        assert {record["time_quality"] for record in records[:3]} == {"live"}
        assert {record["source"] for record in records} == {"simulated"}
        assert records[3]["context_raw"] is not None
        assert records[0]["meter"]["serial"] == "SIM-0001"
        assert records[0]["meter"]["enrolment_id"] == PRESSURE_METER

    in_corner(tmp_path, story, over_tcp)


def test_a_broken_link_neither_loses_nor_doubles_a_reading(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway() as agent:
            await corner.until_done()
            await corner.rig.pressure.take(None, "vanish")
            await corner.until_records(1)
            await corner.rig.glucose.take(None, "vanish")
            await corner.until_records(2)
            # Both meters send their packet again; the third and fourth packets must change nothing.
            async with asyncio.timeout(WITHIN_S):
                while corner.rig.pressure.sent + corner.rig.glucose.sent < 4 or corner.rig.pressure.has_unread():
                    await asyncio.sleep(0.05)
            await corner.rig.pressure.take(None, None)
            await corner.until_records(3)

            assert len(corner.records()) == 3
            assert agent.journal.count("select count(*) from packet where state = 'duplicate'") == 2
            assert agent.journal.count("select count(*) from packet where length(raw) > 0") == 0

    in_corner(tmp_path, story)


def test_old_memory_of_a_shared_meter_is_never_put_into_the_visit(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.pressure.take(None, "old_memory")
            await corner.until_records(4)
            await corner.rig.glucose.take(None, "old_memory")
            await corner.until_records(8)

        visits = [item["visit_id"] for item in corner.server.items.values() if item["kind"] == "reading"]
        assert visits == [None, None, None, VISIT] * 2

    in_corner(tmp_path, story)


def test_a_wrong_clock_is_measured_and_taken_out(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.pressure.take(None, "wrong_clock")
            await corner.until_records(1)

        record = corner.records()[0]
        effective_at, received_at = wire.parse_iso(record["effective_at"]), wire.parse_iso(record["received_at"])
        assert abs((received_at - effective_at).total_seconds()) < 60
        assert abs(record["offset_s"] - 3 * 3600) < 60
        assert record["time_quality"] == "corrected"
        assert "clock_drift" in record["reasons"]
        assert abs(corner.rig.pressure.model.clock.error.total_seconds()) < 60, "the gateway sets a pressure meter"

    in_corner(tmp_path, story)


def test_a_cuff_whose_clock_falls_back_at_each_switch_on_is_read_in_each_visit(tmp_path: Path) -> None:
    """It stamps each measurement with 1 January 2021, 00:00:00, whatever it was set to: the bytes are the same."""
    visits = [VISIT, str(uuid4()), str(uuid4())]

    async def story(corner: Corner) -> None:
        clock = corner.rig.pressure.model.clock
        clock.now = clock.stamp = lambda: datetime(2021, 1, 1)  # type: ignore[method-assign]  # noqa: DTZ001
        async with corner.gateway() as agent:
            open_links = "select count(*) from connection where ended_at is null"
            for number, visit in enumerate(visits):
                await corner.server.until(lambda: agent.journal.count(open_links) == 0, WITHIN_S)  # it was switched off
                corner.server.order("open_visit", visit_id=visit)
                corner.server.order("take_series", visit_id=visit, meter="blood_pressure", ordinal=1)
                await corner.until_done()
                await corner.rig.pressure.take({"systolic": 128, "diastolic": 82, "pulse": 70}, None)
                await corner.until_records(number + 1)
                corner.server.order("close_visit", visit_id=visit)
                await corner.until_done()

        assert len({record["raw"] for record in corner.records()}) == 1
        assert [record["time_quality"] for record in corner.records()] == ["live"] * 3
        readings = [item for item in corner.server.items.values() if item["kind"] == wire.READING]
        assert [item["visit_id"] for item in readings] == visits

    in_corner(tmp_path, story)


def test_what_is_left_over_when_the_link_breaks_after_the_clock_was_set_is_placed_the_same(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            corner.rig.pressure.model.take({"systolic": 121}, "wrong_clock")
            await corner.rig.pressure.take({"systolic": 122}, "vanish")
            await corner.until_records(2)

        assert len({record["connection_id"] for record in corner.records()}) == 2
        for record in corner.records():
            effective_at, received_at = wire.parse_iso(record["effective_at"]), wire.parse_iso(record["received_at"])
            assert abs((received_at - effective_at).total_seconds()) < 60
            assert abs(record["offset_s"] - 3 * 3600) < 60

    in_corner(tmp_path, story)


def test_readings_outside_a_visit_are_sent_without_one(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        corner.server.order("close_visit", visit_id=VISIT)
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.pressure.take(None, None)
            await corner.until_records(1)

        assert corner.server.items[3]["visit_id"] is None

    in_corner(tmp_path, story)


def test_a_restarted_gateway_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.pressure.take(None, None)
            await corner.until_records(1)
        await corner.rig.pressure.take(None, None)
        async with corner.gateway():
            await corner.until_records(2)

        assert [item["visit_id"] for item in corner.server.items.values()] == [VISIT] * 3
        assert [record["ordinal"] for record in corner.records()] == [1, 2]

    in_corner(tmp_path, story, over_tcp=True)


def test_a_restored_server_gets_everything_again_above_what_it_kept(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway() as agent:
            await corner.until_done()
            for number in range(1, 4):
                await corner.rig.pressure.take(None, None)
                await corner.until_records(number)
            before = dict(corner.server.items)
            corner.server.epoch = "55555555-5555-4555-8555-555555555555"
            for seq in (3, 4):
                del corner.server.items[seq], corner.server.records[seq]
            await corner.server.until(lambda: corner.server.watermark == 4)

            assert corner.server.items == before
            assert agent.outbox.epoch() == corner.server.epoch

    in_corner(tmp_path, story)


def unsigned_refusal(response: web.Response) -> web.Response:
    return unsigned(response) if response.status == 409 else response


@pytest.mark.parametrize("forge", [None, unsigned_refusal])
def test_a_gap_at_the_server_is_filled(tmp_path: Path, forge: Callable[[web.Response], web.Response] | None) -> None:
    async def story(corner: Corner) -> None:
        corner.server.forge = forge
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.pressure.take(None, None)
            await corner.until_records(1)
            corner.server.items.clear()
            corner.server.records.clear()
            await corner.rig.pressure.take(None, None)
            await corner.server.until(lambda: corner.server.watermark == 3)

        assert len(corner.records()) == 2

    in_corner(tmp_path, story)


def test_a_server_that_takes_one_item_at_a_time_gets_all(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        corner.server.most_a_batch = 1
        async with corner.gateway() as agent:
            await corner.until_done()
            await corner.rig.pressure.take(None, "old_memory")
            await corner.until_records(4)
            await corner.until_sent()

            assert agent.outbox.waiting() == 0

    in_corner(tmp_path, story)


def test_a_full_disk_is_reported_and_leaves_the_readings_in_the_meter(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway() as agent:
            await corner.until_done()
            pages = agent.journal.db.pragma("page_count")
            agent.journal.db.pragma("max_page_count", pages)
            for _ in range(60):
                await corner.rig.pressure.take(None, None)
            await corner.server.until(lambda: corner.server.beats[-1]["status"] == "disk_full", WITHIN_S)
            agent.journal.db.pragma("max_page_count", pages + 1000)
            await corner.until_records(60)

        stamps = [record["meter_time"] for record in corner.records()]
        assert len(set(stamps)) == 60
        assert stamps == sorted(stamps)

    in_corner(tmp_path, story)


def portal(response: web.Response) -> web.Response:
    return web.Response(text="<html>Welcome to the hotel</html>", content_type="text/html")


def unsigned(response: web.Response) -> web.Response:
    del response.headers[wire.SERVER_SIGNATURE_HEADER]
    return response


def other_signature(response: web.Response) -> web.Response:
    response.headers[wire.SERVER_SIGNATURE_HEADER] = wire.b64(bytes(64))
    return response


@pytest.mark.parametrize("forge", [portal, unsigned, other_signature])
def test_answers_that_are_not_the_servers_change_nothing(
    tmp_path: Path, forge: Callable[[web.Response], web.Response]
) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway() as agent:
            await corner.until_done()
            await corner.until_sent()
            corner.server.forge = forge
            corner.server.order("close_visit", visit_id=VISIT)
            await corner.rig.pressure.take(None, None)
            await corner.until_records(1)  # the server has it, but what the gateway hears is not from it
            beats = len(corner.server.beats)
            await corner.server.until(lambda: len(corner.server.beats) > beats + 1)

            assert agent.outbox.waiting() == 1
            assert agent.session.open_visit_id == VISIT
            corner.server.forge = None
            await corner.server.until(lambda: corner.server.watermark == 3)
            await corner.until_sent()
            assert len(corner.records()) == 1

    in_corner(tmp_path, story)


def test_a_copy_of_this_gateway_is_reported(tmp_path: Path) -> None:
    def conflict(item: dict[str, Any]) -> dict[str, Any]:
        return {"seq": item["seq"], "event_id": item["event_id"], "status": "conflict", "code": "other_bytes"}

    async def story(corner: Corner) -> None:
        take = corner.server._take
        corner.server._take = lambda entry: {**take(entry), **conflict(entry)}  # type: ignore[method-assign]
        async with corner.gateway():
            await corner.server.until(
                lambda: bool(corner.server.beats) and corner.server.beats[-1]["status"] == "chain_broken", WITHIN_S
            )

    in_corner(tmp_path, story)
