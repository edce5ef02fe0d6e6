"""Glucose Service 0x1808 (GLS 1.0.1): 2A18 measurement, 2A34 context, 2A51 feature."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from struct import Struct
from typing import Any

from devices.profiles import date_time, medfloat
from devices.profiles.medfloat import VALUES, Table
from devices.profiles.payload import Fields, Payload, filled, unpack
from devices.profiles.quirks import Quirk

MG_DL_PER_MMOL_L = Decimal("18.0156")  # molar mass of glucose 180.156 g/mol
MILLI, DECI = Decimal("0.001"), Decimal("0.1")
OFFSET, CONCENTRATION, MOL_PER_L, STATUS, CONTEXT = 0x01, 0x02, 0x04, 0x08, 0x10
OPTIONAL = OFFSET | CONCENTRATION | STATUS
FLAGS = 0x1F  # bits 5 to 7 are reserved and ignored
OVERRUN = (0x7FFF, -0x8000)
TYPES = {
    1: "capillary whole blood",
    2: "capillary plasma",
    3: "venous whole blood",
    4: "venous plasma",
    5: "arterial whole blood",
    6: "arterial plasma",
    7: "undetermined whole blood",
    8: "undetermined plasma",
    9: "interstitial fluid",
    10: "control solution",
}
LOCATIONS = {1: "finger", 2: "alternate site test", 3: "earlobe", 4: "control solution", 15: "not available"}
CONTROL_TYPE, CONTROL_LOCATION = 10, 4
STATUS_FLAGS = (
    "device_battery_low",
    "sensor_malfunction",
    "sample_size_insufficient",
    "strip_insertion_error",
    "strip_type_incorrect",
    "result_too_high",
    "result_too_low",
    "temperature_too_high",
    "temperature_too_low",
    "read_interrupted",
    "general_device_fault",
    "time_fault",
)
FEATURES = (
    "low_battery_detection",
    "sensor_malfunction_detection",
    "sensor_sample_size",
    "strip_insertion_error_detection",
    "strip_type_error_detection",
    "result_high_low_detection",
    "temperature_high_low_detection",
    "read_interrupt_detection",
    "general_device_fault",
    "time_fault",
    "multiple_bond",
)
CARBOHYDRATES = {1: "breakfast", 2: "lunch", 3: "dinner", 4: "snack", 5: "drink", 6: "supper", 7: "brunch"}
MEALS = {1: "preprandial", 2: "postprandial", 3: "fasting", 4: "casual", 5: "bedtime"}
TESTERS = {1: "self", 2: "health care professional", 3: "lab test", 15: "not available"}
HEALTHS = {
    1: "minor health issues",
    2: "major health issues",
    3: "during menses",
    4: "under stress",
    5: "no health issues",
    15: "not available",
}
MEDICATIONS = {
    1: "rapid acting insulin",
    2: "short acting insulin",
    3: "intermediate acting insulin",
    4: "long acting insulin",
    5: "pre-mixed insulin",
}
RESERVED = "reserved"
Concentration = tuple[medfloat.Value, Decimal | None, Decimal | None]


def _layout(flags: int) -> Struct:
    optional = ((OFFSET, "h"), (CONCENTRATION, "HB"), (STATUS, "H"))
    return Struct("<BH" + date_time.FIELD + "".join(field for flag, field in optional if flags & flag))


def _sample(raw: int) -> tuple[int, str, int, str, bool]:
    kind, location = raw & 0x0F, raw >> 4
    is_control = kind == CONTROL_TYPE or location == CONTROL_LOCATION
    return kind, TYPES.get(kind, RESERVED), location, LOCATIONS.get(location, RESERVED), is_control


NO_SAMPLE = (None, None, None, None, False)
NO_CONCENTRATION = (None, None, None)
SAMPLES = [_sample(raw) for raw in range(0x100)]
LAYOUTS = [_layout(flags) for flags in range(FLAGS + 1)]
FEATURE = Struct("<H")


def decode_measurement(raw: bytes, quirk: Quirk) -> dict[str, Any]:
    """Read 2A18."""
    flags = raw[0] & FLAGS if raw else 0
    fields = unpack(LAYOUTS[flags], raw, quirk.trailing_allowed)
    _flags, sequence, day, clock, second, offset, raw_value, sample, status = (
        fields if flags & OPTIONAL == OPTIONAL else _filled(fields, flags)
    )
    base = date_time.iso(day, clock, second)
    is_known = offset is not None and offset not in OVERRUN
    value, mmol, mg = NO_CONCENTRATION if raw_value is None else CONCENTRATIONS[flags & MOL_PER_L][raw_value]
    kind, kind_name, location, location_name, is_control = NO_SAMPLE if sample is None else SAMPLES[sample]
    return {
        "sequence_number": sequence,
        "base_time": base,
        "time_offset_min": offset if is_known else None,
        "measured_at": base if not offset else date_time.iso(day, clock, second, offset) if is_known else None,
        "concentration": value,
        "unit": None if raw_value is None else UNITS[flags & MOL_PER_L],
        "mmol_per_l": mmol,
        "mg_per_dl": mg,
        "type": kind,
        "type_name": kind_name,
        "sample_location": location,
        "sample_location_name": location_name,
        "control_solution": is_control,
        "status_raw": status,
        "status_flags": [name for bit, name in enumerate(STATUS_FLAGS) if status >> bit & 1] if status else [],
        "context_follows": flags & CONTEXT != 0,
    }


def _filled(fields: Fields, flags: int) -> Fields:
    return filled(fields, flags, 5, ((OFFSET, 1), (CONCENTRATION, 2), (STATUS, 1)))


def _of_kg(raw: int) -> Concentration:
    value = VALUES[raw]
    if isinstance(value, str):
        return value, None, None
    mg = value * 100_000
    return value, _rounded(mg / MG_DL_PER_MMOL_L, MILLI), _rounded(mg, DECI)


def _of_mol(raw: int) -> Concentration:
    value = VALUES[raw]
    if isinstance(value, str):
        return value, None, None
    mmol = value * 1000
    return value, _rounded(mmol, MILLI), _rounded(mmol * MG_DL_PER_MMOL_L, DECI)


def _rounded(number: Decimal, digits: Decimal) -> Decimal:
    return number.quantize(digits, ROUND_HALF_EVEN)


# By the unit's bit: a concentration as the meter says it, in mmol/L to 0.001 and in mg/dL to 0.1; None for a special one.
CONCENTRATIONS = {0: Table(_of_kg), MOL_PER_L: Table(_of_mol)}
UNITS = {0: "kg/L", MOL_PER_L: "mol/L"}


def decode_context(raw: bytes, quirk: Quirk) -> dict[str, Any]:
    """Read 2A34."""
    payload = Payload(raw)
    flags, sequence = payload.u8(), payload.u16()
    if flags & 0x80:
        payload.u8()  # extended flags, all reserved
    carbohydrate, carbohydrate_kg = (payload.u8(), payload.sfloat()) if flags & 0x01 else (None, None)
    meal = payload.u8() if flags & 0x02 else None
    both = payload.u8() if flags & 0x04 else None
    duration, intensity = (payload.u16(), payload.u8()) if flags & 0x08 else (None, None)
    medication, amount = (payload.u8(), payload.sfloat()) if flags & 0x10 else (None, None)
    hba1c = payload.sfloat() if flags & 0x40 else None
    if not quirk.trailing_allowed:
        payload.end()
    tester, health = (None, None) if both is None else (both & 0x0F, both >> 4)
    return {
        "sequence_number": sequence,
        "carbohydrate_id": carbohydrate,
        "carbohydrate_name": _name(CARBOHYDRATES, carbohydrate),
        "carbohydrate_kg": carbohydrate_kg,
        "meal": meal,
        "meal_name": "ketone" if meal is not None and meal == quirk.ketone_meal else _name(MEALS, meal),
        "tester": tester,
        "tester_name": _name(TESTERS, tester),
        "health": health,
        "health_name": _name(HEALTHS, health),
        "exercise_duration_s": duration,
        "exercise_intensity_pct": intensity,
        "medication_id": medication,
        "medication_name": _name(MEDICATIONS, medication),
        "medication_amount": amount,
        "medication_unit": None if medication is None else "L" if flags & 0x20 else "kg",
        "hba1c_pct": hba1c,
    }


def _name(names: dict[int, str], code: int | None) -> str | None:
    return None if code is None else names.get(code, RESERVED)


def decode_feature(raw: bytes, _quirk: Quirk) -> dict[str, Any]:
    """Read 2A51."""
    (features,) = unpack(FEATURE, raw)
    return {"raw": features, "features": [name for bit, name in enumerate(FEATURES) if features >> bit & 1]}
