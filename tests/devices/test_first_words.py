"""A paired cuff that sends as soon as the link is encrypted: nothing is lost, and nothing is taken on trust."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from devices.simulator.models import CLOCK_ERROR
from tests.devices.test_faults import until_state
from tests.devices.test_rig_b import LinuxCorner, on_linux, pytestmark
from tests.devices.test_whole_path import PRESSURE_METER, VISIT, WITHIN_S

__all__ = ["pytestmark"]


async def paired(corner: LinuxCorner) -> None:
    """Pair with the cuff and read it once; from then on it sends by itself."""
    await corner.until_done()
    await corner.rig.pressure.take({"systolic": 121}, None)
    await corner.until_records(1)
    await until_state(corner, "blood_pressure", "enrolled")
    async with asyncio.timeout(WITHIN_S):
        while corner.rig.pressure.connection is not None:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.3, 0.5])
def test_what_a_paired_cuff_sends_at_once_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delay_s: float
) -> None:
    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway():
            await paired(corner)
            cuff = corner.rig.pressure
            cuff.remembers_s, cuff.answer_s = delay_s, 0.3
            for number, systolic in enumerate((131, 132), 2):
                corner.server.order("take_series", visit_id=VISIT, meter="blood_pressure", ordinal=number)
                await corner.until_done()
                await cuff.take({"systolic": systolic}, None)
                await corner.until_records(number)

        records = corner.records()
        assert [record["decoded"]["systolic"] for record in records] == [121, 131, 132]
        assert [record["time_quality"] for record in records[1:]] == ["live", "live"]
        assert not corner.rig.pressure.model.memory

    on_linux(tmp_path, monkeypatch, story)


def test_a_cuff_that_hangs_up_before_its_clock_was_read_is_never_live_and_is_set_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway() as agent:
            await paired(corner)
            cuff = corner.rig.pressure
            cuff.remembers_s, cuff.answer_s, cuff.hang_up_after_s = 0.1, 0.5, -1
            corner.server.order("take_series", visit_id=VISIT, meter="blood_pressure", ordinal=2)
            await corner.until_done()
            await cuff.take({"systolic": 131}, None)
            await corner.until_records(2)
            assert not agent.journal.is_clock_told(PRESSURE_METER)

            cuff.remembers_s, cuff.hang_up_after_s = None, 0.4
            cuff.model.clock.go_wrong(CLOCK_ERROR)
            corner.server.order("take_series", visit_id=VISIT, meter="blood_pressure", ordinal=3)
            await corner.until_done()
            await cuff.take({"systolic": 132}, None)
            await corner.until_records(3)

        unread, read = corner.records()[1:]
        assert (unread["time_quality"], unread["reasons"]) == ("meter", ["clock_unproven"])
        assert (read["decoded"]["systolic"], read["time_quality"]) == (132, "live")
        assert abs(read["offset_s"] - 3 * 3600) < 60
        assert abs(cuff_error_s(corner)) < 60

    on_linux(tmp_path, monkeypatch, story)


def cuff_error_s(corner: LinuxCorner) -> float:
    return corner.rig.pressure.model.clock.error.total_seconds()


def test_what_another_meter_sends_over_a_pairing_goes_into_the_tray_under_no_enrolled_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway():
            await paired(corner)
            corner.rig.pressure.serial = "SIM-9999"
            corner.server.order("take_series", visit_id=VISIT, meter="blood_pressure", ordinal=2)
            await corner.until_done()
            await corner.rig.pressure.take({"systolic": 188}, None)
            await corner.until_records(2)
            await corner.server.until(
                lambda: {"other_meter"} & {meter["trouble"] for meter in corner.server.beats[-1]["meters"]} != set(),
                WITHIN_S,
            )

        last = list(corner.server.items.values())[-1]
        record = corner.records()[-1]
        assert last["visit_id"] is None
        assert record["meter"]["serial"] == "SIM-9999"
        assert record["meter"]["enrolment_id"] != PRESSURE_METER
        assert "other_meter" in record["reasons"]

    on_linux(tmp_path, monkeypatch, story)


def test_nothing_is_looked_at_before_clock_and_serial_number_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway() as agent:
            await paired(corner)
            cuff = corner.rig.pressure
            cuff.remembers_s, cuff.answer_s = 0.1, 0.6
            await cuff.take({"systolic": 131}, None)
            async with asyncio.timeout(WITHIN_S):
                while not agent.journal.new_packets():
                    await asyncio.sleep(0.01)
            assert agent.sealer.seal_new() == 0
            await corner.until_records(2)
            assert not agent.journal.new_packets()

    on_linux(tmp_path, monkeypatch, story)
