"""The simulated meters behave as the profiles say, refuse what they cannot show, and send packets that decode."""

from __future__ import annotations

import asyncio
import random
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from devices import profiles
from devices.plausibility import judge
from devices.simulator.control import serve_control
from devices.simulator.models import (
    ACCESS,
    MEASUREMENT,
    GlucoseModel,
    MeterClock,
    PressureModel,
    ValuesRefused,
)
from devices.simulator.rig import open_rig

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).replace(tzinfo=None)


def pressure_meter() -> PressureModel:
    return PressureModel(MeterClock(lambda: NOON), random.Random(1))


def glucose_meter(records: int = 0) -> GlucoseModel:
    meter = GlucoseModel(MeterClock(lambda: NOON), random.Random(1))
    for _ in range(records):
        meter.take(None, None)
    return meter


def last_packet(meter: PressureModel | GlucoseModel) -> dict[str, Any]:
    if isinstance(meter, PressureModel):
        return profiles.decode("2a35", meter.memory[-1].packet())
    return profiles.decode("2a18", meter.memory[-1].measurement(meter.number_of(meter.memory[-1])))


def test_what_the_pressure_meter_shows_is_what_its_packet_says() -> None:
    meter = pressure_meter()
    shown = meter.take({"systolic": 151, "diastolic": 93, "pulse": 77}, "irregular")
    said = last_packet(meter)

    assert (said["systolic"], said["diastolic"], said["pulse_rate"]) == (151, 93, 77)
    assert shown == {"systolic": 151, "diastolic": 93, "pulse": 77}
    assert said["status"]["irregular_pulse"] is True
    assert said["timestamp"] == "2026-11-23T12:00:00"


def test_what_the_glucose_meter_shows_is_what_its_packet_says() -> None:
    meter = glucose_meter()
    meter.take({"mmol_per_l": 6.7, "meal": 2}, None)
    said = last_packet(meter)

    assert float(said["mmol_per_l"]) == 6.7
    assert said["context_follows"] is True
    context = meter.memory[-1].context(meter.memory[-1].number)
    assert context is not None
    assert profiles.decode("2a34", context)["sequence_number"] == said["sequence_number"]


@pytest.mark.parametrize(
    ("meter", "fault"), [(pressure_meter(), "hi"), (glucose_meter(), "hi"), (glucose_meter(), "control_solution")]
)
def test_faults_without_a_number_are_no_results(meter: PressureModel | GlucoseModel, fault: str) -> None:
    meter.take(None, fault)

    assert judge(meter.kind, last_packet(meter)).verdict == "not_a_result"


@pytest.mark.parametrize("meter", [pressure_meter(), glucose_meter()], ids=["pressure", "glucose"])
def test_a_clock_that_goes_wrong_shows_on_the_result_too(meter: PressureModel | GlucoseModel) -> None:
    meter.take(None, None)
    for second in (0, 1):
        meter.take(None, "wrong_clock")

        assert meter.clock.now() == NOON - timedelta(hours=3)
        assert meter.memory[-1].taken_at == NOON - timedelta(hours=3, seconds=-second)


def test_no_two_results_carry_the_same_second() -> None:
    meter = pressure_meter()
    for _ in range(3):
        meter.take(None, None)

    assert [taken.taken_at - NOON for taken in meter.memory] == [timedelta(seconds=number) for number in range(3)]


@pytest.mark.parametrize(
    ("request_bytes", "sent", "code"),
    [
        (b"\x01\x01", 5, 1),  # all
        (b"\x01\x03\x01\x04\x00", 2, 1),  # from number 4 on
        (b"\x01\x03\x01\x06\x00", 0, 6),  # nothing that new
        (b"\x01\x02\x01\x02\x00", 2, 1),  # up to number 2
        (b"\x01\x04\x01\x02\x00\x03\x00", 2, 1),  # 2 to 3
        (b"\x01\x05", 1, 1),  # the first
        (b"\x01\x06", 1, 1),  # the last
        (b"\x01\x09", 0, 4),  # no such operator
        (b"\x01\x03", 0, 5),  # operand missing
        (b"\x01\x03\x02\x00\x00", 0, 9),  # by time: not known here
        (b"\x09\x01", 0, 2),  # no such op code
        (b"", 0, 2),
    ],
)
def test_the_record_access_control_point_answers_by_the_book(request_bytes: bytes, sent: int, code: int) -> None:
    answers = list(glucose_meter(5).answer(request_bytes))

    assert [name for name, _ in answers] == [MEASUREMENT] * sent + [ACCESS]
    assert answers[-1][1] == bytes([6, 0, request_bytes[0] if request_bytes else 0, code])


def test_the_number_of_records_is_told() -> None:
    assert list(glucose_meter(5).answer(b"\x04\x01")) == [(ACCESS, struct.pack("<BBH", 5, 0, 5))]


@pytest.mark.parametrize("values", [{"systolic": 0}, {"systolic": 999}, {"weight": 80}])
def test_values_a_pressure_meter_cannot_show_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValuesRefused):
        pressure_meter().take(values, None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"meter":"blood_pressure"}', 200),
        (b'{"meter":"glucose","values":{"mmol_per_l":5.5},"fault":null}', 200),
        (b'{"meter":"glucose","values":{"mmol_per_l":"5"}}', 422),
        (b'{"meter":"glucose","values":{"mmol_per_l":true}}', 422),
        (b'{"meter":"glucose","fault":"irregular"}', 422),
        (b'{"meter":"blood_pressure","fault":"control_solution"}', 422),
        (b'{"meter":"thermometer"}', 422),
        (b"[]", 422),
        (b"{", 400),
    ],
)
def test_the_buttons_answer_every_press(body: bytes, status: int) -> None:
    async def run() -> tuple[int, dict[str, Any]]:
        async with (
            open_rig(seed=1) as rig,
            serve_control(rig) as address,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            response = await client.post(address + "/measure", content=body)
            state = (await client.get(address + "/status")).json()
            return response.status_code, state["meters"]

    answered, meters = asyncio.run(run())

    assert answered == status
    assert sum(meter["stored"] for meter in meters.values()) == (status == 200)
