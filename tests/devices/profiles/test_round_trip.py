"""What an independent encoder writes comes back as it was meant, in exactly the fields of the decode contract."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.decode import to_json
from devices.errors import DecodeError
from devices.profiles import decode, glucose, record_access
from tests.devices.profiles import encode

SPECIAL = {0x7FF, 0x800, 0x7FE, 0x802, 0x801}
AT = datetime(2026, 3, 1, 8, 30)  # noqa: DTZ001 - a meter has no zone
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=0)
)
NUMBERS = st.tuples(st.integers(0, 2045), st.integers(-8, 7))
BYTE = st.integers(0, 255)

PRESSURE_TAIL = "timestamp timestamp_fields pulse_rate user_id status_raw status usable"
FIELDS = {
    "2a35": "unit systolic diastolic mean_arterial_pressure systolic_mmhg diastolic_mmhg " + PRESSURE_TAIL,
    "2a36": "unit cuff_pressure cuff_pressure_mmhg " + PRESSURE_TAIL,
    "2a18": "sequence_number base_time time_offset_min measured_at concentration unit mmol_per_l mg_per_dl type type_name "
    "sample_location sample_location_name control_solution status_raw status_flags context_follows",
    "2a34": "sequence_number carbohydrate_id carbohydrate_name carbohydrate_kg meal meal_name tester tester_name health "
    "health_name exercise_duration_s exercise_intensity_pct medication_id medication_name medication_amount "
    "medication_unit hba1c_pct",
    "2a52": "op_code op_name operator operator_name filter_type sequence_numbers number_of_records request_op_code "
    "response_code response_name",
    "2a08": "datetime fields",
    "2a2b": "datetime fields",
    "2a49": "raw features",
    "2a51": "raw features",
    "sfloat": "value",
}
PLAIN = {
    "2a35": "00780050005d00",
    "2a36": "00780000000000",
    "2a18": "000700ea070301080000",
    "2a34": "000700",
    "2a52": "0101",
    "2a08": "ea070301080000",
    "2a2b": "ea070301080000010000",
    "2a49": "0000",
    "2a51": "0000",
    "sfloat": "7800",
}


@pytest.mark.parametrize("characteristic", FIELDS)
def test_an_answer_has_exactly_the_fields_of_the_contract(characteristic: str) -> None:
    answer = decode(characteristic, bytes.fromhex(PLAIN[characteristic]))

    assert set(answer) == set(FIELDS[characteristic].split())


@pytest.mark.parametrize(("characteristic", "kept"), [("2a34", {"sequence_number"}), ("2a18", {"sequence_number"})])
def test_what_a_packet_does_not_carry_is_null(characteristic: str, kept: set[str]) -> None:
    answer = decode(characteristic, bytes.fromhex(PLAIN[characteristic]))
    always = kept | {"base_time", "measured_at", "control_solution", "status_flags", "context_follows"}

    assert {name for name, value in answer.items() if value is not None} <= always


@settings(deadline=None)
@given(NUMBERS, NUMBERS, st.booleans())
def test_a_pressure_keeps_its_digits_and_is_rounded_once(
    systolic: tuple[int, int], diastolic: tuple[int, int], kpa: bool
) -> None:
    raw = encode.pressure(encode.sfloat(*systolic), encode.sfloat(*diastolic), encode.sfloat(0), kpa=kpa)

    answer = decode("2a35", raw)

    exact = Decimal(systolic[0]).scaleb(systolic[1]) * (Decimal("7.50062") if kpa else 1)
    assert answer["systolic"] == Decimal(systolic[0]).scaleb(systolic[1])
    assert answer["diastolic"] == Decimal(diastolic[0]).scaleb(diastolic[1])
    assert answer["systolic_mmhg"] == exact.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    assert "E" not in to_json(answer["systolic"])


@pytest.mark.parametrize(("thousandths", "rounded"), [(5, "0.00"), (15, "0.02"), (25, "0.02"), (35, "0.04")])
def test_a_half_is_rounded_to_the_even_digit(thousandths: int, rounded: str) -> None:
    raw = encode.pressure(encode.sfloat(thousandths, -3), encode.sfloat(80), encode.sfloat(0))

    assert str(decode("2a35", raw)["systolic_mmhg"]) == rounded


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 200), TIMES, st.integers(0, 250), BYTE, st.integers(0, 0xFFFF))
def test_a_beurer_packet_comes_back_as_it_was_sent(
    systolic: int, diastolic: int, at: datetime, pulse: int, user: int, status: int
) -> None:
    answer = decode("2a35", encode.beurer(systolic, diastolic, at, pulse, user, status), "BM85")

    assert (answer["systolic"], answer["diastolic"], answer["pulse_rate"]) == (systolic, diastolic, pulse)
    assert answer["user_id"] == (None if user == 255 else user)
    assert (answer["status_raw"], answer["timestamp"]) == (status, at.isoformat())


@settings(deadline=None)
@given(
    st.integers(0, 0xFFFF), TIMES, st.one_of(st.none(), st.integers(-0x7FFF, 0x7FFE)), st.one_of(st.none(), NUMBERS),
    st.booleans(), st.integers(0, 15), st.integers(0, 15), st.one_of(st.none(), st.integers(0, 0xFFFF)), st.booleans(),
)  # fmt: skip
def test_a_glucose_record_comes_back_as_it_was_sent(
    sequence: int, at: datetime, offset: int | None, number: tuple[int, int] | None, mol: bool, kind: int,
    location: int, status: int | None, context: bool,
) -> None:  # fmt: skip
    value = encode.sfloat(*number) if number else None
    raw = encode.glucose(
        sequence, at, offset=offset, value=value, mol=mol, kind=kind, location=location, status=status, context=context
    )

    answer = decode("2a18", raw)

    assert (answer["sequence_number"], answer["base_time"]) == (sequence, at.isoformat())
    assert answer["time_offset_min"] == offset
    assert answer["measured_at"] == (at + timedelta(minutes=offset or 0)).isoformat()
    assert answer["concentration"] == (Decimal(number[0]).scaleb(number[1]) if number else None)
    assert (answer["type"], answer["sample_location"]) == ((kind, location) if number else (None, None))
    assert answer["control_solution"] == (number is not None and (kind == 10 or location == 4))
    assert answer["status_raw"] == status
    assert len(answer["status_flags"]) == ((status or 0) & 0x0FFF).bit_count()
    assert answer["context_follows"] == context


@settings(deadline=None)
@given(
    st.integers(0, 0xFFFF), st.one_of(st.none(), BYTE), st.one_of(st.none(), st.tuples(BYTE, NUMBERS)),
    st.one_of(st.none(), BYTE), st.one_of(st.none(), BYTE),
    st.one_of(st.none(), st.tuples(st.integers(0, 0xFFFF), BYTE)), st.one_of(st.none(), st.tuples(BYTE, NUMBERS)),
    st.booleans(), st.one_of(st.none(), NUMBERS),
)  # fmt: skip
def test_a_context_comes_back_as_it_was_sent(
    sequence: int, extended: int | None, food: tuple | None, meal: int | None, who: int | None,
    exercise: tuple[int, int] | None, drug: tuple | None, litres: bool, hba1c: tuple[int, int] | None,
) -> None:  # fmt: skip
    raw = encode.context(
        sequence, extended=extended, carbohydrate=(food[0], encode.sfloat(*food[1])) if food else None, meal=meal,
        tester_health=who, exercise=exercise, medication=(drug[0], encode.sfloat(*drug[1])) if drug else None,
        litres=litres, hba1c=encode.sfloat(*hba1c) if hba1c else None,
    )  # fmt: skip

    answer = decode("2a34", raw)

    assert (answer["sequence_number"], answer["meal"]) == (sequence, meal)
    assert answer["carbohydrate_id"] == (food[0] if food else None)
    assert answer["carbohydrate_kg"] == (Decimal(food[1][0]).scaleb(food[1][1]) if food else None)
    assert (answer["tester"], answer["health"]) == ((None, None) if who is None else (who & 15, who >> 4))
    assert (answer["exercise_duration_s"], answer["exercise_intensity_pct"]) == (exercise or (None, None))
    assert answer["medication_amount"] == (Decimal(drug[1][0]).scaleb(drug[1][1]) if drug else None)
    assert answer["medication_unit"] == (None if drug is None else "L" if litres else "kg")
    assert answer["hba1c_pct"] == (Decimal(hba1c[0]).scaleb(hba1c[1]) if hba1c else None)


def test_the_words_of_the_specification() -> None:
    answer = decode("2a34", encode.context(7, carbohydrate=(6, encode.sfloat(0)), meal=1, tester_health=0x52))

    assert (answer["carbohydrate_name"], answer["meal_name"]) == ("supper", "preprandial")
    assert (answer["tester_name"], answer["health_name"]) == ("health care professional", "no health issues")
    assert glucose.TYPES[1] == "capillary whole blood"


@given(st.integers(0, 0xFFFF))
def test_a_request_for_new_records_never_skips_one(sequence: int) -> None:
    asked = decode("2a52", record_access.report_from(sequence))

    assert asked["op_code"] == record_access.REPORT
    assert asked["sequence_numbers"] == ([sequence] if sequence < 0xFFFF else [])
    assert asked["operator_name"] == ("greater_than_or_equal_to" if sequence < 0xFFFF else "all_records")


@pytest.mark.parametrize("sequence", [-1, 0x10000, 10**9])
def test_a_number_that_no_meter_has_asks_for_all(sequence: int) -> None:
    assert record_access.report_from(sequence) == record_access.report_all()


@given(st.integers(0, 255), st.integers(0, 255))
def test_an_answer_of_the_meters_memory_is_read(request: int, code: int) -> None:
    answer = decode("2a52", bytes([6, 0, request, code]))

    assert (answer["request_op_code"], answer["response_code"]) == (request, code)
    assert (answer["response_name"] == "reserved") == (code not in range(1, 10))


def test_the_number_of_records_and_a_range_are_read() -> None:
    assert decode("2a52", bytes.fromhex("0500e803"))["number_of_records"] == 1000
    assert decode("2a52", bytes.fromhex("0104010700ff00"))["sequence_numbers"] == [7, 255]
    assert decode("2a52", record_access.number_of_records())["op_name"] == "report_number_of_stored_records"
    assert decode("2a52", record_access.abort())["op_name"] == "abort_operation"


def test_no_request_of_ours_deletes() -> None:
    made = record_access
    ours = [made.report_all(), made.report_from(7), made.number_of_records(), made.abort()]

    assert made.DELETE not in {request[0] for request in ours}


@pytest.mark.parametrize("characteristic", FIELDS)
def test_a_byte_after_the_last_field_is_trailing(characteristic: str) -> None:
    with pytest.raises(DecodeError, match="trailing"):
        decode(characteristic, bytes.fromhex(PLAIN[characteristic]) + b"\0")


@pytest.mark.parametrize(
    ("raw", "timestamp"),
    [
        ("ea07021e080000", None),  # 30 February
        ("ea070d01080000", None),  # a 13th month
        ("ea070301180000", None),  # hour 24
        ("2d060301080000", None),  # 1581: before the calendar
        ("2e060301080000", "1582-03-01T08:00:00"),
        ("e8070 21d173b3b".replace(" ", ""), "2024-02-29T23:59:59"),
    ],
)
def test_a_time_that_cannot_be_is_none(raw: str, timestamp: str | None) -> None:
    assert decode("2a08", bytes.fromhex(raw))["datetime"] == timestamp


@given(st.integers(-0x7FFF, 0x7FFE))
def test_an_offset_at_the_end_of_the_calendar_is_no_crash(offset: int) -> None:
    raw = encode.glucose(1, datetime(9999, 12, 31, 23, 59), offset=offset)  # noqa: DTZ001

    assert decode("2a18", raw)["time_offset_min"] == offset


def test_features_are_named_and_reserved_bits_are_not() -> None:
    assert decode("2a49", bytes.fromhex("ff00"))["features"][:3] == [
        "body_movement_detection", "cuff_fit_detection", "irregular_pulse_detection",
    ]  # fmt: skip
    assert len(decode("2a51", bytes.fromhex("ffff"))["features"]) == 11
