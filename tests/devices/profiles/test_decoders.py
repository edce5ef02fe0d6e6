"""Decoders read what meters send, keep the meter's digits, and answer nonsense with a typed error only."""

from __future__ import annotations

import json
import random
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.decode import to_json
from devices.errors import DecodeError
from devices.profiles import DECODERS, decode, record_access
from tests.devices.profiles import encode

AT = datetime(2026, 3, 1, 8, 30)  # noqa: DTZ001 - a meter has no zone
PACKETS = json.loads((Path(__file__).parents[2] / "recordings" / "packets.json").read_text())


@pytest.mark.parametrize("packet", PACKETS, ids=[packet["name"] for packet in PACKETS])
def test_a_recorded_packet_is_read_as_its_source_says(packet: dict) -> None:
    answer = decode(packet["characteristic"], bytes.fromhex(packet["hex"]), packet.get("model"))

    assert {key: json.loads(to_json(answer[key])) for key in packet["expected"]} == packet["expected"]


@pytest.mark.parametrize("packet", PACKETS, ids=[packet["name"] for packet in PACKETS])
def test_a_packet_cut_anywhere_is_truncated(packet: dict) -> None:
    raw = bytes.fromhex(packet["hex"])

    for length in range(len(raw)):
        with pytest.raises(DecodeError) as caught:
            decode(packet["characteristic"], raw[:length], packet.get("model"))
        assert caught.value.code in ("truncated", "trailing")


@given(
    st.integers(-2047, 2045).filter(lambda m: m & 0xFFF not in (0x7FF, 0x800, 0x7FE, 0x802, 0x801)),
    st.integers(-8, 7),
)
def test_an_sfloat_keeps_the_meters_digits(mantissa: int, exponent: int) -> None:
    value = decode("sfloat", encode.sfloat(mantissa, exponent))["value"]

    assert value == Decimal(mantissa).scaleb(exponent)
    assert "E" not in to_json(value)


@pytest.mark.parametrize(
    ("raw", "name"),
    [("ff07", "NaN"), ("0008", "NRes"), ("fe07", "+INFINITY"), ("0208", "-INFINITY"), ("0108", "reserved")],
)
def test_a_special_sfloat_is_a_name_never_a_number(raw: str, name: str) -> None:
    assert decode("sfloat", bytes.fromhex(raw))["value"] == name


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 200), st.integers(30, 220), st.integers(0, 63), st.booleans())
def test_a_blood_pressure_comes_back_as_it_was_sent(
    systolic: int, diastolic: int, pulse: int, status: int, has_time: bool
) -> None:
    raw = encode.pressure(
        encode.sfloat(systolic), encode.sfloat(diastolic), encode.sfloat(0x7FF), at=AT if has_time else None,
        pulse=encode.sfloat(pulse), user=255, status=status,
    )  # fmt: skip

    answer = decode("2A35", raw)

    assert (answer["systolic"], answer["diastolic"], answer["pulse_rate"]) == (systolic, diastolic, pulse)
    assert answer["mean_arterial_pressure"] == "NaN"
    assert answer["user_id"] is None
    assert answer["timestamp"] == ("2026-03-01T08:30:00" if has_time else None)
    assert answer["status"]["irregular_pulse"] == bool(status & 4)
    assert answer["usable"]


def test_kilopascals_stay_the_fact_and_mmhg_is_derived() -> None:
    answer = decode("2a35", encode.pressure(encode.sfloat(160, -1), encode.sfloat(107, -1), encode.sfloat(0), kpa=True))

    assert (answer["unit"], str(answer["systolic"]), str(answer["systolic_mmhg"])) == ("kPa", "16.0", "120.01")


def test_a_failed_measurement_is_not_usable_and_has_no_mmhg() -> None:
    answer = decode("2a35", encode.pressure(*[encode.sfloat(0x7FF)] * 3))

    assert answer["systolic"] == "NaN"
    assert answer["systolic_mmhg"] is None
    assert not answer["usable"]


def test_an_unknown_part_of_the_date_stays_unknown() -> None:
    raw = encode.pressure(encode.sfloat(120), encode.sfloat(80), encode.sfloat(93), at=AT)
    raw = raw[:7] + b"\0\0" + raw[9:]

    answer = decode("2a35", raw)

    assert answer["timestamp"] is None
    assert answer["timestamp_fields"] == {
        "year": None, "month": 3, "day": 1, "hour": 8, "minute": 30, "second": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "mol", "mmol", "mg"),
    [((55, -4), True, "5.500", "99.1"), ((99, -5), False, "5.495", "99.0"), ((189, -4), True, "18.900", "340.5")],
)
def test_glucose_keeps_its_unit_and_both_conversions(value: tuple[int, int], mol: bool, mmol: str, mg: str) -> None:
    answer = decode("2a18", encode.glucose(7, AT, offset=-60, value=encode.sfloat(*value), mol=mol))

    assert (str(answer["mmol_per_l"]), str(answer["mg_per_dl"])) == (mmol, mg)
    assert answer["measured_at"] == "2026-03-01T07:30:00"


@pytest.mark.parametrize("offset", [0x7FFF, -0x8000])
def test_an_overrun_of_the_time_offset_is_no_number_of_minutes(offset: int) -> None:
    answer = decode("2a18", encode.glucose(7, AT, offset=offset, value=encode.sfloat(55, -4)))

    assert answer["time_offset_min"] is None
    assert answer["measured_at"] is None


@pytest.mark.parametrize(("kind", "location"), [(10, 1), (1, 4)])
def test_control_solution_is_told_by_type_or_location(kind: int, location: int) -> None:
    answer = decode("2a18", encode.glucose(7, AT, value=encode.sfloat(55, -4), kind=kind, location=location))

    assert answer["control_solution"]


def test_reserved_flag_bits_are_ignored_and_bytes_after_the_last_field_are_not() -> None:
    raw = encode.pressure(encode.sfloat(120), encode.sfloat(80), encode.sfloat(93))

    assert decode("2a35", bytes([raw[0] | 0xE0]) + raw[1:])["systolic"] == 120
    with pytest.raises(DecodeError, match="trailing"):
        decode("2a35", raw + b"\0")


def test_record_access_asks_inclusively_and_for_all_after_a_wrap() -> None:
    assert record_access.report_from(7).hex() == "0103010700"
    assert record_access.report_from(0xFFFF) == record_access.report_all()
    assert decode("2a52", record_access.report_from(7))["sequence_numbers"] == [7]
    assert decode("2a52", bytes.fromhex("06000106"))["response_name"] == "no_records_found"


MODELS = (None, "BM85", "BM59", "CareSens Dual", "TaiDoc 4279")


def survive(payloads: int, seed: int) -> set[str]:
    """Return the codes with which so many random payloads of 0 to 32 bytes are refused; any other error is raised."""
    draw, codes = random.Random(seed), set()
    for number in range(payloads):
        raw, name = draw.randbytes(draw.randrange(33)), draw.choice(list(DECODERS))
        try:
            answer = decode(name, raw, draw.choice(MODELS))
        except DecodeError as error:
            codes.add(error.code)
        else:
            if number % 10 == 0:
                json.loads(to_json(answer))
    return codes


def test_random_payloads_give_an_answer_or_a_typed_error_only() -> None:
    assert survive(200_000, 2026) == {"truncated", "trailing", "reserved"}


@pytest.mark.soak
def test_a_million_random_payloads_give_an_answer_or_a_typed_error_only() -> None:
    assert survive(1_000_000, 2027) == {"truncated", "trailing", "reserved"}


def right_length(draw: random.Random, name: str) -> bytes:
    """Return a payload whose length fits its flags, so that the depths of the decoder are reached."""
    while True:
        raw = draw.randbytes(draw.randrange(33))
        try:
            decode(name, raw)
        except DecodeError as error:
            if error.code == "trailing":
                surplus = int(error.detail.split()[0])
                return raw[: len(raw) - surplus]
            continue
        return raw


@pytest.mark.parametrize("name", DECODERS)
def test_random_payloads_of_the_right_length_are_answered_in_json(name: str) -> None:
    draw = random.Random(name)
    for _ in range(300):
        answer = decode(name, right_length(draw, name))

        assert set(json.loads(to_json(answer))) == set(answer)
