"""Gateway and server give the same level for the same case, and worse is never better."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import triage as gateway
from telemed.readings import rules as server

CASES = json.loads((Path(__file__).parent.parent / "contract" / "triage-cases.json").read_text())
ORDER = ("GREEN", "UNKNOWN", "YELLOW", "AMBER", "RED")
NUMBER = st.one_of(st.none(), st.floats(0, 400, allow_nan=False))
SOME = st.builds(
    gateway.TriageCase,
    symptoms=st.frozensets(st.sampled_from(sorted(gateway.SYMPTOMS))),
    answered=st.booleans(),
    systolic_mmhg=NUMBER,
    diastolic_mmhg=NUMBER,
    pulse=NUMBER,
    glucose_mmol_l=st.one_of(st.none(), st.floats(0, 40, allow_nan=False)),
    fasting=st.sampled_from([None, True, False]),
    irregular_pulse=st.booleans(),
    known_hypertension=st.sampled_from([None, True, False]),
)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_both_sides_give_the_agreed_level(case: dict[str, object]) -> None:
    assert gateway.triage(gateway.case_from(case)) == case["level"]
    assert server.triage(server.case_from(case)) == case["level"]


@settings(max_examples=150, deadline=None)
@given(SOME)
def test_both_sides_agree_on_every_case(case: gateway.TriageCase) -> None:
    same = server.Case(**{name: getattr(case, name) for name in gateway.TriageCase.__dataclass_fields__})

    assert gateway.triage(case) == server.triage(same)
    assert gateway.triage(case) in ORDER


@settings(max_examples=100, deadline=None)
@given(SOME, st.sampled_from(sorted(gateway.SYMPTOMS)))
def test_one_more_symptom_never_lowers_the_level(case: gateway.TriageCase, symptom: str) -> None:
    worse = replace(case, symptoms=case.symptoms | {symptom})

    assert ORDER.index(gateway.triage(worse)) >= ORDER.index(gateway.triage(case))


@settings(max_examples=100, deadline=None)
@given(SOME, st.floats(0, 200), st.sampled_from(["systolic_mmhg", "glucose_mmol_l"]))
def test_a_higher_value_above_the_normal_range_never_lowers_the_level(
    case: gateway.TriageCase, more: float, name: str
) -> None:
    value = getattr(case, name)
    if value is None or value < {"systolic_mmhg": 90, "glucose_mmol_l": 3.9}[name]:
        return
    worse = replace(case, **{name: value + more})

    assert ORDER.index(gateway.triage(worse)) >= ORDER.index(gateway.triage(case))


@settings(max_examples=100, deadline=None)
@given(SOME)
def test_what_is_missing_never_makes_green(case: gateway.TriageCase) -> None:
    numbers = (case.systolic_mmhg, case.diastolic_mmhg, case.pulse, case.glucose_mmol_l)
    if case.answered and None not in numbers:
        return

    assert gateway.triage(case) != "GREEN"


WORSE_UP = {"systolic_mmhg": 90, "diastolic_mmhg": 0, "pulse": 50, "glucose_mmol_l": 3.801}  # above: higher is worse
WORSE_DOWN = {"systolic_mmhg": 139.9, "pulse": 110, "glucose_mmol_l": 6.999}  # below: lower is worse


@settings(max_examples=100, deadline=None)
@given(SOME, st.sampled_from(sorted(WORSE_UP)), st.floats(0, 300), st.floats(0, 300))
def test_a_number_further_above_never_lowers_the_level(
    case: gateway.TriageCase, name: str, above: float, more: float
) -> None:
    value = WORSE_UP[name] + above
    better, worse = replace(case, **{name: value}), replace(case, **{name: value + more})

    assert ORDER.index(gateway.triage(worse)) >= ORDER.index(gateway.triage(better))


@settings(max_examples=100, deadline=None)
@given(SOME, st.sampled_from(sorted(WORSE_DOWN)), st.floats(0, 1), st.floats(0, 1))
def test_a_number_further_below_never_lowers_the_level(
    case: gateway.TriageCase, name: str, part: float, less: float
) -> None:
    value = WORSE_DOWN[name] * part
    better, worse = replace(case, **{name: value}), replace(case, **{name: value * less})

    assert ORDER.index(gateway.triage(worse)) >= ORDER.index(gateway.triage(better))


@settings(max_examples=100, deadline=None)
@given(SOME)
def test_an_irregular_pulse_never_lowers_the_level(case: gateway.TriageCase) -> None:
    regular, irregular = replace(case, irregular_pulse=False), replace(case, irregular_pulse=True)

    assert ORDER.index(gateway.triage(irregular)) >= ORDER.index(gateway.triage(regular))


@pytest.mark.parametrize("symptom", sorted(gateway.RED_SYMPTOMS))
@given(case=SOME)
@settings(max_examples=15, deadline=None)
def test_a_red_flag_is_red_whatever_the_numbers(symptom: str, case: gateway.TriageCase) -> None:
    assert gateway.triage(replace(case, symptoms=case.symptoms | {symptom})) == "RED"


@settings(max_examples=100, deadline=None)
@given(SOME, st.sampled_from(gateway.NUMBERS))
def test_not_a_number_counts_as_missing(case: gateway.TriageCase, name: str) -> None:
    level = gateway.triage(replace(case, **{name: float("nan")}))

    assert level != "GREEN"
    assert level == gateway.triage(replace(case, **{name: None}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"systolic_mmhg": "180"},
        {"systolic_mmhg": float("nan")},
        {"glucose_mmol_l": float("inf")},
        {"pulse": True},
        {"answered": "false"},
        {"answered": None},
        {"irregular_pulse": 1},
        {"fasting": "yes"},
        {"diastolic_mmhg": [80]},
    ],
)
def test_a_value_of_another_kind_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        gateway.case_from({"answered": True, **wrong})


@pytest.mark.parametrize("name", ["GLUCOSE_RED_BELOW", "GLUCOSE_AMBER_UP_TO", "GLUCOSE_AMBER_ABOVE",
    "GLUCOSE_YELLOW_FASTING_FROM", "GLUCOSE_YELLOW_RANDOM_FROM", "PULSE_RED_BELOW", "PULSE_RED_ABOVE",
    "PULSE_AMBER_BELOW", "PULSE_AMBER_ABOVE", "SYSTOLIC_AMBER_BELOW", "SYSTOLIC_AMBER_FROM", "DIASTOLIC_AMBER_FROM",
    "SYSTOLIC_YELLOW_FROM", "DIASTOLIC_YELLOW_FROM", "RULESET", "SYMPTOMS"])  # fmt: skip
def test_both_sides_have_the_same_limit(name: str) -> None:
    assert getattr(gateway, name) == getattr(server, name)


def test_an_unknown_symptom_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown symptom"):
        gateway.case_from({"symptoms": ["hiccups"]})
