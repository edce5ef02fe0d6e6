"""The Linux path: bleak's own BlueZ backend, our agent and the retry connector over a private D-Bus."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from devices import identity
from devices.agent import system_radio
from devices.bluez_agent import AGENT_PATH, open_agent
from devices.simulator.models import SHOWN_PASSKEY
from devices.simulator.peripherals import Peripheral, add_device
from devices.simulator.rig import GLUCOSE_ADDRESS, PRESSURE_ADDRESS, Rig, open_rig
from devices.transport import Forgotten, Radio, RadioError, Sighting
from tests.devices.fake_server import FakeServer, serving
from tests.devices.mini_bluez import ABORTED, HCI, STALE, MiniBlueZ, private_bus
from tests.devices.test_commands import Processes, until_done
from tests.devices.test_faults import enrol_again, until_state
from tests.devices.test_whole_path import GLUCOSE_METER, PRESSURE_METER, VISIT, WITHIN_S, Corner, utc_wall_clock

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")
PACE_S = 0.002  # on a burst of signals dbus-fast takes a full socket for a broken one


class LinuxCorner(Corner):
    """The corner of rig A with the system's radio."""

    def __init__(self, folder: Path, rig: Rig, server: FakeServer, bluez: MiniBlueZ) -> None:
        super().__init__(folder, rig, server, None)
        self.bluez = bluez

    def _open_radio(self) -> AbstractAsyncContextManager[Radio]:
        return system_radio()


def on_linux(
    folder: Path, patch: pytest.MonkeyPatch, story: Callable[[LinuxCorner], Awaitable[None]], within_s: float = 3 * WITHIN_S
) -> None:
    """Tell a story in a corner with both meters enrolled, a visit open, and BlueZ on a bus of its own."""

    async def run() -> None:
        async with (
            asyncio.timeout(within_s),
            private_bus() as bus,
            serving(FakeServer()) as server,
            open_rig(utc_wall_clock, seed=1) as rig,
        ):
            patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
            for meter in rig.meters.values():
                meter.pace_s = PACE_S
            central = add_device(rig.link, "bluez", "F0:F0:F0:F0:F0:F0")
            await central.power_on()
            bluez = MiniBlueZ(central)
            await bluez.start(bus)
            server.order("enrol_meter", enrolment_id=PRESSURE_METER, meter="blood_pressure", name="Pressure 1")
            server.order("enrol_meter", enrolment_id=GLUCOSE_METER, meter="glucose", name="Glucose 1")
            server.order("open_visit", visit_id=VISIT)
            try:
                await story(LinuxCorner(folder, rig, server, bluez))
            finally:
                await bluez.stop()

    asyncio.run(run())


def test_meters_are_found_paired_and_drained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway():
            await corner.until_done()
            for systolic in (131, 128, 127):
                corner.rig.pressure.model.take({"systolic": systolic}, None)
            await corner.rig.pressure.take({"systolic": 126}, None)
            await corner.until_records(4)
            for _ in range(20):
                corner.rig.glucose.model.take({"mmol_per_l": 5.5, "meal": 1}, None)
            await corner.rig.glucose.take({"mmol_per_l": 5.6, "meal": 2}, None)
            await corner.until_records(25)
            await corner.rig.pressure.take({"systolic": 125}, None)  # over the pairing that is there now
            await corner.until_records(26)

        records = corner.records()
        pressures = [record["decoded"]["systolic"] for record in records if record["kind"] == "blood_pressure"]
        assert pressures == [131, 128, 127, 126, 125]
        assert all(record["context_raw"] for record in records if record["kind"] == "glucose")
        assert {record["meter"]["serial"] for record in records} == {"SIM-0001", "SIM-0002"}
        assert corner.bluez.agent is None, "the agent is there only while a meter is enrolled"

    on_linux(tmp_path, monkeypatch, story)


def test_bluetooth_that_is_switched_off_is_not_bluetooth_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(corner: LinuxCorner) -> None:
        def says(status: str) -> Callable[[], bool]:
            return lambda: bool(corner.server.beats) and corner.server.beats[-1]["status"] == status

        corner.bluez.switch(is_on=False)
        async with corner.gateway():
            await corner.server.until(says("radio_off"), WITHIN_S)
            corner.bluez.switch(is_on=True)
            await corner.server.until(says("ok"), WITHIN_S)
            await corner.rig.pressure.take({"systolic": 126}, None)
            await corner.until_records(1)

    on_linux(tmp_path, monkeypatch, story)


def test_our_agent_types_the_passkey_and_a_wrong_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.glucose.take({"mmol_per_l": 7.7}, "passkey")
            enrol_again(corner, "glucose")
            await until_state(corner, "glucose", "passkey_needed")
            assert corner.bluez.agent is not None
            corner.server.order("passkey", enrolment_id=GLUCOSE_METER, passkey="000001")
            await until_state(corner, "glucose", "failed", "passkey_wrong")
            assert not corner.records()
            assert corner.bluez.agent is None

            enrol_again(corner, "glucose")
            await until_state(corner, "glucose", "passkey_needed")
            corner.server.order("passkey", enrolment_id=GLUCOSE_METER, passkey=f"{SHOWN_PASSKEY:06}")
            await corner.until_records(1)
            await until_state(corner, "glucose", "enrolled")

    on_linux(tmp_path, monkeypatch, story)


def test_a_pairing_the_meter_has_lost_is_asked_about_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.pressure.take(None, None)
            await corner.until_records(1)
            await until_state(corner, "blood_pressure", "enrolled")
            await corner.rig.pressure.take(None, "lost_bond")
            await until_state(corner, "blood_pressure", "failed", "bond_lost")
            connects, beats = corner.bluez.connects, len(corner.server.beats)
            await corner.server.until(lambda: len(corner.server.beats) > beats + 5, WITHIN_S)
            assert corner.bluez.connects == connects, "a lost pairing is no reason to try in a loop"
            assert len(corner.records()) == 1

            enrol_again(corner, "blood_pressure")
            await corner.until_records(2)

    on_linux(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("failures", [[ABORTED] * 2, ["br-connection-canceled", "Software caused abort"], [STALE]])
def test_failed_connects_are_tried_again_by_the_retry_connector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway():
            await corner.until_done()
            corner.bluez.failures = list(failures)
            await corner.rig.pressure.take(None, None)
            await corner.until_records(1)

        assert not corner.bluez.failures
        assert corner.bluez.connects > len(failures)

    on_linux(tmp_path, monkeypatch, story)


def test_a_meter_the_system_has_forgotten_is_let_go_at_once_and_the_other_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway():
            await corner.until_done()
            corner.bluez.forgotten = {PRESSURE_ADDRESS}
            await corner.rig.pressure.take(None, None)
            await _until(lambda: corner.bluez.connects > 0)
            await corner.rig.glucose.take(None, None)
            async with asyncio.timeout(5):
                await corner.until_records(1)
            assert "the system has forgotten the meter" in caplog.text

            corner.bluez.forgotten = set()
            await corner.until_records(2)

    on_linux(tmp_path, monkeypatch, story)


def test_a_meter_that_cannot_be_read_is_told_until_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(corner: LinuxCorner) -> None:
        def told() -> object:
            meters = corner.server.beats[-1]["meters"] if corner.server.beats else []
            return next((meter["trouble"] for meter in meters if meter["enrolment_id"] == PRESSURE_METER), None)

        async with corner.gateway() as agent:
            await corner.until_done()
            corner.bluez.forgotten = {PRESSURE_ADDRESS}
            await corner.rig.pressure.take(None, None)
            await corner.server.until(lambda: told() == "cannot_be_read", WITHIN_S)
            assert agent.status() == "meters_unread"
            assert corner.server.beats[-1]["status"] == "ok", "an older server would not know the word"

            corner.bluez.forgotten = set()
            await corner.until_records(1)
            await corner.server.until(lambda: told() is None, WITHIN_S)
            assert agent.status() == "ok"

    on_linux(tmp_path, monkeypatch, story)


@pytest.mark.parametrize(("failure", "most"), [(STALE, 1), ("br-connection-unknown", 3)])
def test_a_call_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str, most: int) -> None:
    """The retry connector would try nine times, and for all that time no other meter would be heard."""

    async def story(corner: LinuxCorner) -> None:
        seen: asyncio.Queue[Sighting] = asyncio.Queue()
        radio = Radio()
        async with radio.watching(("1810",), seen.put_nowait):
            await corner.rig.pressure.take(None, None)
            sighting = await seen.get()
            corner.bluez.failures = [failure] * 20
            with pytest.raises(Forgotten if failure == STALE else RadioError):
                async with radio.reach(sighting):
                    pass

        assert 20 - len(corner.bluez.failures) <= most

    on_linux(tmp_path, monkeypatch, story)


def test_a_link_lost_in_the_middle_loses_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(corner: LinuxCorner) -> None:
        async with corner.gateway():
            await corner.until_done()
            for systolic in (121, 122):
                corner.rig.pressure.model.take({"systolic": systolic}, None)
            await corner.rig.pressure.take({"systolic": 123}, "vanish")
            await corner.until_records(3)
            for _ in range(3):
                corner.rig.glucose.model.take(None, None)
            await corner.rig.glucose.take(None, "vanish")
            await corner.until_records(7)
            await corner.until_sent()

        assert [record["decoded"].get("systolic") for record in corner.records()][:3] == [121, 122, 123]
        assert len(corner.records()) == 7

    on_linux(tmp_path, monkeypatch, story)


def is_on_disk(folder: Path, packet: bytes) -> bool:
    """Tell whether the journal holds a packet. It lets nobody else open it, so its files are searched."""
    files = [folder / "gateway" / name for name in ("journal.db-wal", "journal.db")]
    return any(packet in file.read_bytes() for file in files if file.exists())


@dataclass
class KilledCorner:
    """A corner whose gateway is a process of its own, killed in the middle of what a meter sends. The meters wait while
    `may_send` is unset.
    """

    corner: LinuxCorner
    folder: Path
    may_send: asyncio.Event

    async def drain(self, meter: Peripheral, last: dict[str, float], kills: Sequence[int], until: int) -> None:
        """Let the meter take a last measurement and send, kill the gateway after so many more confirmed packets each
        time, and wait for so many records in all.
        """
        processes = Processes(self.folder)
        settings = {"TELEMED_RADIO": "system", "DBUS_SYSTEM_BUS_ADDRESS": os.environ["DBUS_SYSTEM_BUS_ADDRESS"]}
        try:
            gateway = await processes.start("run", **settings)
            await until_done(self.corner.server)
            await meter.take(last, None)
            for confirmed in kills:
                await self._until_kept(meter, confirmed)
                # Until BlueZ knows of the death it confirms for nobody, and no gateway can know of what it confirms.
                self.may_send.clear()
                gateway.send_signal(signal.SIGKILL)
                await gateway.wait()
                await _until(lambda: meter.connection is None)
                self.may_send.set()
                gateway = await processes.start("run", **settings)
            await self.corner.until_records(until)
        finally:
            for process in processes.running:
                if process.returncode is None:
                    await processes.kill(process)

    async def _until_kept(self, meter: Peripheral, confirmed: int) -> None:
        """Wait until so many more packets went out, and the newest of a meter that deletes what was confirmed reached the
        disk: until the kill nothing else runs.
        """
        target, deletes = meter.sent + confirmed, meter is self.corner.rig.pressure
        await _until(lambda: meter.sent >= target and (not deletes or is_on_disk(self.folder, meter.newest)))


async def _until(is_true: Callable[[], bool]) -> None:
    while not is_true():
        await asyncio.sleep(0.001)


def killed(folder: Path, patch: pytest.MonkeyPatch, story: Callable[[KilledCorner], Awaitable[None]]) -> None:
    async def with_processes(corner: LinuxCorner) -> None:
        (folder / "gateway").mkdir()
        identity.save(folder / "gateway", corner.server.identity())
        for order, name in zip(corner.server.orders, ("SIM-BP", "SIM-GL"), strict=False):
            order["name"] = name
        may_send = asyncio.Event()
        may_send.set()

        async def pause() -> None:
            await asyncio.sleep(0.1)  # as slow as a real one, so that the kill falls between two packets
            await may_send.wait()

        for meter in corner.rig.meters.values():
            patch.setattr(meter, "pause", pause)
        await story(KilledCorner(corner, folder, may_send))

    on_linux(folder, patch, with_processes, KILLS_WITHIN_S)


KILLS_WITHIN_S = 600.0  # of the long form: each start of a process takes seconds on a busy machine
KILLS = [pytest.param((3, 4), id="two"), pytest.param((3, 2, 5) * 10, marks=pytest.mark.soak, id="thirty")]


@pytest.mark.parametrize("kills", KILLS)
def test_a_gateway_killed_after_a_confirmation_has_the_bytes_or_the_meter_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: tuple[int, ...]
) -> None:
    """The system confirms before our callback runs, and the meter then deletes; what the callback took is on the disk
    when the kill comes.
    """
    readings = sum(kills) + 5

    async def story(killed: KilledCorner) -> None:
        meter = killed.corner.rig.pressure
        for number in range(readings - 1):
            meter.model.take({"systolic": 101 + number}, None)
        await killed.drain(meter, {"systolic": 100 + readings}, kills, readings)

        values = [record["decoded"]["systolic"] for record in killed.corner.records()]
        assert sorted(values) == list(range(101, 101 + readings))
        assert len(meter.model.memory) == 0

    killed(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("kills", KILLS)
def test_a_gateway_killed_in_a_report_asks_again_for_what_it_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: tuple[int, ...]
) -> None:
    readings = sum(kills) + 5

    async def story(killed: KilledCorner) -> None:
        meter = killed.corner.rig.glucose
        for number in range(readings - 1):
            meter.model.take({"mmol_per_l": 4 + number / 100}, None)
        await killed.drain(meter, {"mmol_per_l": 5.5}, kills, readings)

        numbers = [record["decoded"]["sequence_number"] for record in killed.corner.records()]
        assert len(numbers) == len(set(numbers)) == readings

    killed(tmp_path, monkeypatch, story)


def test_the_agent_answers_for_the_meter_being_enrolled_and_for_no_other() -> None:
    async def run() -> None:
        async with asyncio.timeout(20), private_bus() as address, open_rig(seed=1) as rig:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = address
            central = add_device(rig.link, "bluez", "F0:F0:F0:F0:F0:F0")
            bluez = MiniBlueZ(central)
            await bluez.start(address)

            async def typed() -> int:
                return SHOWN_PASSKEY

            async def ask(member: str, of: str, *more: int) -> Message:
                path = f"{HCI}/dev_{of.replace(':', '_')}"
                owner, agent_path = bluez.agent or ("", AGENT_PATH)
                signature = "o" + "u" * len(more)
                reply = await other.call(
                    Message(owner, agent_path, "org.bluez.Agent1", member, signature=signature, body=[path, *more])
                )
                assert reply is not None
                return reply

            other = await MessageBus(bus_address=address).connect()
            async with open_agent(GLUCOSE_ADDRESS, typed):
                assert (await ask("RequestPasskey", GLUCOSE_ADDRESS)).body == [SHOWN_PASSKEY]
                refused = await ask("RequestPasskey", PRESSURE_ADDRESS)
                assert (refused.message_type, refused.error_name) == (MessageType.ERROR, "org.bluez.Error.Rejected")
                assert (await ask("RequestAuthorization", PRESSURE_ADDRESS)).message_type is MessageType.ERROR
                assert (await ask("RequestConfirmation", GLUCOSE_ADDRESS, 1)).message_type is MessageType.ERROR
            assert bluez.agent is None
            other.disconnect()
            await bluez.stop()

    before = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
    try:
        asyncio.run(run())
    finally:
        if before is None:
            os.environ.pop("DBUS_SYSTEM_BUS_ADDRESS", None)
        else:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = before
