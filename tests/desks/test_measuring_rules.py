"""One sentence and one button for whatever goes wrong while measuring: which one, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from telemed.checkup import rules as checkup
from telemed.desks import rules
from telemed.desks.rules import Facts

QUIET = Facts(kind="blood_pressure", light="ok", step_state="waiting")
ASKED = replace(QUIET, step_state="asked", asked_s=5)
LATE = replace(ASKED, asked_s=rules.NOT_SEEN_AFTER_S["blood_pressure"])


@pytest.mark.parametrize("facts", [QUIET, ASKED, replace(QUIET, light="pair_again")])
def test_while_all_goes_well_the_screen_says_nothing(facts: Facts) -> None:
    assert rules.situation(facts) is None


@pytest.mark.parametrize("code", sorted({*checkup.ADVICE.values(), "again", "call_doctor"} - {"urgent"}))
def test_every_advice_about_a_bad_reading_is_told_by_its_own_sentence(code: str) -> None:
    assert rules.situation(replace(QUIET, step_state="repeat", advice=code)) == code


def test_an_advice_of_a_newer_server_still_asks_to_measure_again() -> None:
    assert rules.situation(replace(QUIET, step_state="repeat", advice="not_known_here")) == "again"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"has_meter": False}, "no_meter"),
        ({"enrolment": "passkey_needed"}, "passkey_needed"),
        ({"enrolment": "failed", "enrolment_code": "bond_lost"}, "lost_bond"),
        ({"enrolment": "failed", "enrolment_code": "pairing_refused"}, "not_paired"),
        ({"enrolment": "failed", "enrolment_code": "not_seen"}, None),
        ({"enrolment": "looking"}, None),
        ({"light": "absent"}, "pc_missing"),
        ({"light": "silent"}, "pc_trouble"),
        ({"light": "no_radio"}, "pc_trouble"),
        ({"light": "a_trouble_we_do_not_know"}, "pc_trouble"),
        ({"light": "disk_full"}, "pc_stuck"),
    ],
)
def test_meter_and_branch_pc_are_told_of_before_anybody_waits_in_vain(
    changes: dict[str, Any], expected: str | None
) -> None:
    assert rules.situation(replace(QUIET, **changes)) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(ASKED, undecodable_since=True), "undecodable"),
        (replace(ASKED, put_aside_since=True), "put_aside"),
        (replace(ASKED, put_aside_since=True, clock_off_s=3 * 3600), "clock_wrong"),
        (replace(ASKED, put_aside_since=True, clock_off_s=24 * 3600), "clock_far_off"),
        (replace(ASKED, clock_off_s=24 * 3600), None),
        (replace(ASKED, seen_since=True), None),
        (replace(LATE, enrolment="looking", seen_since=True), "pairing"),
        (replace(ASKED, enrolment="found", put_aside_since=True), "found"),
        (replace(LATE, seen_since=True), "vanished"),
        (LATE, "not_seen"),
        (replace(LATE, enrolment="failed", enrolment_code="not_seen"), "not_paired"),
        (replace(LATE, step_state="repeat", advice="movement"), "movement"),
    ],
)
def test_a_reading_that_does_not_come_is_told_of_by_what_was_heard(facts: Facts, expected: str | None) -> None:
    assert rules.situation(facts) == expected


def test_an_urgent_result_outweighs_every_trouble_of_the_devices() -> None:
    worst = replace(QUIET, is_urgent=True, has_meter=False, light="absent", step_state="repeat", advice="movement")

    assert rules.situation(worst) == "urgent"
    assert rules.DEEDS["urgent"] == "call_doctor"


def test_a_measurement_that_was_given_up_outweighs_the_trouble_of_the_devices() -> None:
    given_up = replace(QUIET, has_meter=False, light="absent", step_state="repeat", advice="call_doctor")

    assert rules.situation(given_up) == "call_doctor"
    assert rules.situation(replace(given_up, step_state="asked")) == "no_meter", "somebody tries again"


def test_the_visit_may_go_on_where_equipment_stands_in_the_way_and_never_past_an_urgent_result() -> None:
    to_be_repeated = {*checkup.ADVICE.values(), "again"}

    assert set(rules.DEEDS) - rules.MAY_GO_ON == to_be_repeated
    assert "urgent" in to_be_repeated


def test_a_simulated_meter_is_missed_sooner() -> None:
    facts = replace(ASKED, asked_s=rules.NOT_SEEN_AFTER_DEMO_S)

    assert rules.situation(facts) is None
    assert rules.situation(replace(facts, is_demo=True)) == "not_seen"


def test_remarks_are_told_once_each_and_in_one_order() -> None:
    told = rules.remarks(None, ["meter_clock_wrong", "battery_low", "battery_low"], has_put_aside=True)

    assert told == ["put_aside", "battery_low", "meter_clock_wrong"]


def test_what_the_situation_says_no_remark_says_again() -> None:
    of_meters = ["meter_clock_wrong", "battery_low"]

    assert rules.remarks("clock_wrong", of_meters, has_put_aside=True) == ["battery_low"]
    assert rules.remarks("put_aside", of_meters, has_put_aside=True) == ["battery_low", "meter_clock_wrong"]
