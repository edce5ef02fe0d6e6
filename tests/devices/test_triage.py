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


@settings(max_examples=300, deadline=None)
@given(SOME)
def test_both_sides_agree_on_every_case(case: gateway.TriageCase) -> None:
    same = server.Case(**{name: getattr(case, name) for name in gateway.TriageCase.__dataclass_fields__})

    assert gateway.triage(case) == server.triage(same)
    assert gateway.triage(case) in ORDER


@settings(max_examples=200, deadline=None)
@given(SOME, st.sampled_from(sorted(gateway.SYMPTOMS)))
def test_one_more_symptom_never_lowers_the_level(case: gateway.TriageCase, symptom: str) -> None:
    worse = replace(case, symptoms=case.symptoms | {symptom})

    assert ORDER.index(gateway.triage(worse)) >= ORDER.index(gateway.triage(case))


@settings(max_examples=200, deadline=None)
@given(SOME, st.floats(0, 200), st.sampled_from(["systolic_mmhg", "glucose_mmol_l"]))
def test_a_higher_value_above_the_normal_range_never_lowers_the_level(
    case: gateway.TriageCase, more: float, name: str
) -> None:
    value = getattr(case, name)
    if value is None or value < {"systolic_mmhg": 90, "glucose_mmol_l": 3.9}[name]:
        return
    worse = replace(case, **{name: value + more})

    assert ORDER.index(gateway.triage(worse)) >= ORDER.index(gateway.triage(case))


@settings(max_examples=200, deadline=None)
@given(SOME)
def test_what_is_missing_never_makes_green(case: gateway.TriageCase) -> None:
    numbers = (case.systolic_mmhg, case.diastolic_mmhg, case.pulse, case.glucose_mmol_l)
    if case.answered and None not in numbers:
        return

    assert gateway.triage(case) != "GREEN"


def test_an_unknown_symptom_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown symptom"):
        gateway.case_from({"symptoms": ["hiccups"]})
