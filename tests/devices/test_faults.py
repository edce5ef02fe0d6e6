"""Every fault of the simulated meters, through the whole gateway: what the server is told, and what nobody is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from devices.simulator.models import FAULTS, faults_of
from devices.simulator.rig import open_rig
from tests.devices.test_whole_path import (
    GLUCOSE_METER,
    PRESSURE_METER,
    VISIT,
    WITHIN_S,
    Corner,
    in_corner,
)

METERS = {"blood_pressure": PRESSURE_METER, "glucose": GLUCOSE_METER}
CONTRACT = Path(__file__).parents[1] / "contract" / "simulated-faults.json"


@pytest.mark.parametrize(
    ("kind", "fault", "verdict", "reason"),
    [
        ("blood_pressure", "hi", "not_a_result", "pressure_hi"),
        ("blood_pressure", "irregular", "usable", None),
        ("blood_pressure", "movement", "questionable", "body_movement"),
        ("blood_pressure", "loose_cuff", "questionable", "cuff_too_loose"),
        ("glucose", "hi", "not_a_result", "glucose_hi"),
        ("glucose", "lo", "not_a_result", "glucose_lo"),
        ("glucose", "control_solution", "not_a_result", "control_solution"),
        ("glucose", "ketone", "not_a_result", "ketone"),
    ],
)
def test_a_fault_reaches_the_server_with_its_verdict(
    tmp_path: Path, kind: str, fault: str, verdict: str, reason: str | None
) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.meters[kind].take(None, fault)
            await corner.until_records(1)

        record = corner.records()[0]
        assert record["verdict"] == verdict
        assert reason is None or reason in record["reasons"]
        assert fault != "irregular" or record["decoded"]["status"]["irregular_pulse"] is True

    in_corner(tmp_path, story)


def test_a_meter_that_numbers_backwards_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway() as agent:
            await corner.until_done()
            await corner.rig.glucose.take({"mmol_per_l": 5.1}, "reversed_numbering")
            await corner.until_records(1)
            for number, value in ((2, 5.2), (3, 5.3)):
                await corner.rig.glucose.take({"mmol_per_l": value}, None)
                await corner.until_records(number)

            assert [record["decoded"]["mmol_per_l"] for record in corner.records()] == [5.1, 5.2, 5.3]
            assert {record["decoded"]["sequence_number"] for record in corner.records()} == {0}
            assert agent.meters.all()[1].high_water is None

    in_corner(tmp_path, story)


def report(corner: Corner, kind: str) -> dict[str, Any]:
    """Return what the last heartbeat said of a meter."""
    meters = corner.server.beats[-1]["meters"] if corner.server.beats else []
    return next((meter for meter in meters if meter["enrolment_id"] == METERS[kind]), {})


async def until_state(corner: Corner, kind: str, state: str, code: str | None = None) -> None:
    def is_so() -> bool:
        said = report(corner, kind)
        return (said.get("enrolment"), said.get("enrolment_code")) == (state, code)

    await corner.server.until(is_so, WITHIN_S)


def enrol_again(corner: Corner, kind: str) -> None:
    name = {"blood_pressure": "Pressure 1", "glucose": "Glucose 1"}[kind]
    corner.server.order("enrol_meter", enrolment_id=METERS[kind], meter=kind, name=name)


@pytest.mark.parametrize("kind", METERS)
def test_a_lost_pairing_asks_once_and_never_tries_in_a_loop(tmp_path: Path, kind: str) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.meters[kind].take(None, None)
            await corner.until_records(1)
            await until_state(corner, kind, "enrolled")
            calls = corner.rig.meters[kind].calls
            await corner.rig.meters[kind].take(None, "lost_bond")
            await until_state(corner, kind, "failed", "bond_lost")
            assert corner.server.beats[-1]["status"] == "pair_again"
            tried = corner.rig.meters[kind].calls
            beats = len(corner.server.beats)
            await corner.server.until(lambda: len(corner.server.beats) > beats + 8, WITHIN_S)
            assert corner.rig.meters[kind].calls == tried == calls + 1
        async with corner.gateway():  # nor after a restart
            beats = len(corner.server.beats)
            await corner.server.until(lambda: len(corner.server.beats) > beats + 3, WITHIN_S)
            assert corner.server.beats[-1]["status"] == "pair_again"
            assert corner.rig.meters[kind].calls == tried

            enrol_again(corner, kind)
            await corner.until_records(2)
            await until_state(corner, kind, "enrolled")
            assert corner.server.beats[-1]["status"] == "ok"

    in_corner(tmp_path, story)


@pytest.mark.parametrize("kind", METERS)
def test_the_passkey_is_asked_for_at_the_branch_and_the_reading_arrives(tmp_path: Path, kind: str) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            corner.server.order("close_visit", visit_id=VISIT)
            await corner.rig.meters[kind].take(None, "passkey")
            enrol_again(corner, kind)
            await until_state(corner, kind, "passkey_needed")
            assert not corner.records()
            corner.server.order("passkey", enrolment_id=METERS[kind], passkey="123456")
            await corner.until_records(1)
            await until_state(corner, kind, "enrolled")

    in_corner(tmp_path, story)


def test_a_wrong_passkey_is_told_and_the_right_one_taken_at_the_next_try(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.glucose.take(None, "passkey")
            enrol_again(corner, "glucose")
            await until_state(corner, "glucose", "passkey_needed")
            corner.server.order("passkey", enrolment_id=GLUCOSE_METER, passkey="654321")
            await until_state(corner, "glucose", "failed", "passkey_wrong")
            assert not corner.records()
            enrol_again(corner, "glucose")
            await until_state(corner, "glucose", "passkey_needed")
            corner.server.order("passkey", enrolment_id=GLUCOSE_METER, passkey="123456")
            await corner.until_records(1)

    in_corner(tmp_path, story)


def test_a_passkey_on_the_back_of_a_meter_comes_with_the_order(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.glucose.take(None, "passkey")
            corner.server.order(
                "enrol_meter", enrolment_id=GLUCOSE_METER, meter="glucose", name="Glucose 1", passkey="123456"
            )
            await corner.until_records(1)

        assert "passkey_needed" not in {
            report_["enrolment"] for beat in corner.server.beats for report_ in beat["meters"]
        }

    in_corner(tmp_path, story)


def test_a_glucose_clock_is_set_at_enrolment_and_left_alone_afterwards(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.glucose.take(None, "wrong_clock")  # within the minute of its enrolment
            await corner.until_records(1)
            assert abs(corner.rig.glucose.model.clock.error.total_seconds()) < 60
            await until_state(corner, "glucose", "enrolled")
            await corner.rig.glucose.take(None, "wrong_clock")
            await corner.until_records(2)

        assert abs(corner.rig.glucose.model.clock.error.total_seconds()) > 3600

    in_corner(tmp_path, story)


def test_the_table_of_faults_is_the_contract() -> None:
    """The server's pages show the same names; devices and server share no code."""
    table = [{"name": name, "meters": list(kinds)} for name, (kinds, _) in FAULTS.items()]

    assert json.loads(CONTRACT.read_text()) == table


@pytest.mark.parametrize("kind", METERS)
def test_every_fault_can_be_pressed(kind: str) -> None:
    async def press() -> None:
        async with open_rig(seed=1) as rig:
            for fault in faults_of(kind):
                await rig.meters[kind].take(None, fault)

    asyncio.run(press())
