"""Its serial number or its pairing says which meter it is: a name or a new address leads to a look, never to a reading."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from devices.__main__ import scan
from devices.meters import EnrolledMeters
from devices.run_file import run_file
from devices.settings import read_settings
from devices.simulator.models import MeterClock, PressureModel
from devices.simulator.peripherals import PressureMeter, add_device
from devices.simulator.rig import PRESSURE_ADDRESS, open_rig, serve_hci
from tests.devices.test_faults import until_state
from tests.devices.test_rig_b import LinuxCorner, on_linux, pytestmark
from tests.devices.test_whole_path import PRESSURE_METER, Corner, in_corner, utc_wall_clock

__all__ = ["pytestmark"]
TRUE_ADDRESS = "C0:01:C0:01:C0:01"


async def until_left(meter: PressureMeter) -> None:
    async with asyncio.timeout(20):
        while meter.connection is not None:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("tells_serial", [True, False])
def test_a_meter_that_gets_its_true_address_by_pairing_is_read_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tells_serial: bool
) -> None:
    async def story(corner: LinuxCorner) -> None:
        cuff = corner.rig.pressure
        cuff.serial = cuff.serial if tells_serial else ""
        corner.bluez.identities = {PRESSURE_ADDRESS: TRUE_ADDRESS}
        async with corner.gateway():
            await corner.until_done()
            await cuff.take({"systolic": 121}, None)
            await corner.until_records(1)
            await until_state(corner, "blood_pressure", "enrolled")
            await until_left(cuff)
        async with corner.gateway() as agent:
            await cuff.take({"systolic": 122}, None)
            await corner.until_records(2)
            await until_left(cuff)
            assert agent.meters.all()[0].address == TRUE_ADDRESS

        assert {record["meter"]["enrolment_id"] for record in corner.records()} == {PRESSURE_METER}

    on_linux(tmp_path, monkeypatch, story)


def test_a_meter_known_by_the_address_it_showed_before_its_pairing_is_found_again_by_its_serial_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So older gateways have it on their disks."""

    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway() as agent:
            await corner.until_done()
            await corner.rig.pressure.take({"systolic": 121}, None)
            await corner.until_records(1)
            await until_left(corner.rig.pressure)
            agent.journal.db.execute("update meter set address = 'DE:AD:00:00:00:01' where serial = 'SIM-0001'")
            for shown in ("SIM-BP", None):  # by its name, and by the system's key for it alone
                corner.rig.pressure.show_as(shown, names_service=False)
                await corner.rig.pressure.take(None, None)
                await corner.until_records(2 if shown else 3)
                await until_left(corner.rig.pressure)
            assert agent.meters.all()[0].address == PRESSURE_ADDRESS

    on_linux(tmp_path, monkeypatch, story)


def neighbour(corner: Corner, serial: str) -> PressureMeter:
    """Return another meter of the same name in the same room."""
    model = PressureModel(MeterClock(utc_wall_clock), corner.rig.pressure.model._chance)
    return PressureMeter(add_device(corner.rig.link, "other", "F3:F3:F3:F3:F3:F3"), model, "SIM-BP", serial)


@pytest.mark.parametrize("serial", ["SIM-7777", ""])
def test_a_neighbours_meter_of_the_same_name_is_looked_at_once_and_never_read(tmp_path: Path, serial: str) -> None:
    async def story(corner: Corner) -> None:
        other = neighbour(corner, serial)
        await other.device.power_on()
        try:
            async with corner.gateway() as agent:
                await corner.until_done()
                await corner.rig.pressure.take({"systolic": 121}, None)
                await corner.until_records(1)
                await until_left(corner.rig.pressure)
                await other.take({"systolic": 199}, None)
                async with asyncio.timeout(20):
                    while not other.calls:
                        await asyncio.sleep(0.02)
                await corner.rig.pressure.take({"systolic": 122}, None)
                await corner.until_records(2)
                beats = len(corner.server.beats)
                await corner.server.until(lambda: len(corner.server.beats) > beats + 8)

                assert (other.calls, len(other.model.memory)) == (1, 1)
                assert agent.meters.all()[0].address == PRESSURE_ADDRESS
                assert corner.server.beats[-1]["meters"][0]["trouble"] is None
        finally:
            await other.stop()

        assert [record["decoded"]["systolic"] for record in corner.records()] == [121, 122]

    in_corner(tmp_path, story)


@pytest.mark.parametrize("kind", ["blood_pressure", "glucose"])
def test_a_meter_that_shows_its_name_alone_is_enrolled_and_one_that_shows_nothing_is_read_on(
    tmp_path: Path, kind: str
) -> None:
    async def story(corner: Corner) -> None:
        meter = corner.rig.meters[kind]
        for order in corner.server.orders[:2]:
            order["name"] = {"blood_pressure": "SIM-BP", "glucose": "SIM-GL"}[order["meter"]]
        meter.show_as(meter.name, names_service=False)
        async with corner.gateway():
            await corner.until_done()
            await meter.take(None, None)
            await corner.until_records(1)
            for number, name in enumerate((meter.name[:4], None), 2):
                meter.show_as(name, names_service=False)
                await meter.take(None, None)
                await corner.until_records(number)

    in_corner(tmp_path, story)


def test_two_meters_that_change_their_places_are_known_by_their_serial_numbers(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        other = neighbour(corner, "SIM-7777")
        await other.device.power_on()
        try:
            async with corner.gateway() as agent:
                await corner.until_done()
                await corner.rig.pressure.take({"systolic": 121}, None)
                await corner.until_records(1)
                await until_left(corner.rig.pressure)
                meters = EnrolledMeters(agent.journal)
                meters.enrol("second", "blood_pressure", "SIM-BP", agent._now())
                agent.journal.db.execute("update meter set serial = 'SIM-7777', address = 'DE:AD:00:00:00:02',"
                                         " last_seen_at = enrolled_at where enrolment_id = 'second'")  # fmt: skip
                await other.take({"systolic": 122}, None)
                async with asyncio.timeout(20):
                    while other.model.memory:
                        await asyncio.sleep(0.02)
                await until_left(other)
                found = {meter.serial: meter.address for meter in meters.all() if meter.kind == "blood_pressure"}
                assert found == {"SIM-0001": PRESSURE_ADDRESS, "SIM-7777": "F3:F3:F3:F3:F3:F3"}
        finally:
            await other.stop()

    in_corner(tmp_path, story)


@pytest.mark.parametrize(("everything", "listed"), [(False, False), (True, True)])
def test_scan_can_list_what_does_not_say_that_it_is_a_meter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], everything: bool, listed: bool
) -> None:
    demo = {"TELEMED_RADIO": "simulated", "TELEMED_DEMO": "1", "TELEMED_DATA_DIR": str(tmp_path)}
    settings = read_settings(demo, tmp_path)

    async def run() -> None:
        async with open_rig(seed=1) as rig, serve_hci(rig) as hci:
            rig.pressure.show_as("SIM-BP", names_service=False)
            settings.meters_dir.mkdir()
            with run_file(settings.meters_dir, hci=hci, control="http://127.0.0.1:9"):
                await rig.pressure.take(None, None)
                await scan(settings, 0.5, everything=everything)

    asyncio.run(run())

    words = capsys.readouterr().out
    assert ("unknown         SIM-BP" in words) is listed
    assert ("`scan --all` lists whatever shows itself" in words) is not listed
