"""The catalogue, what the post may carry, and what is wrong with a prescription."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from telemed.prescription import rules
from telemed.prescription.catalogue import medicines

TODAY = date(2026, 11, 23)
PLAIN = medicines()["lorizapril-10"]


def test_the_catalogue_has_names_in_three_languages_and_seven_character_atc_codes() -> None:
    for medicine in medicines().values():
        assert set(medicine.inn) == {"ru", "be", "en"}
        assert len(medicine.atc) == 7

    assert 20 <= len(medicines()) <= 30


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"controlled": True}, "controlled"),
        ({"quantity_recorded": True}, "quantity_recorded"),
        ({"immunobiological": True}, "immunobiological"),
        ({"cold_chain": True}, "cold_chain"),
        ({"alcohol_pct": 26}, "too_much_alcohol"),
        ({"extemporaneous": True}, "extemporaneous"),
        ({"storage": None}, "storage_unknown"),
        ({"storage": "somewhere"}, "storage_unknown"),
    ],
)
def test_the_post_carries_nothing_that_the_law_or_its_nature_forbids(change: dict[str, Any], reason: str) -> None:
    assert rules.why_not_by_post(PLAIN, rx_by_post=True) is None

    assert rules.why_not_by_post(replace(PLAIN, **change), rx_by_post=True) == reason


def test_twenty_five_per_cent_of_alcohol_may_go_by_post() -> None:
    assert rules.why_not_by_post(replace(PLAIN, alcohol_pct=25), rx_by_post=True) is None


def test_prescription_medicines_go_by_post_only_in_a_region_that_may() -> None:
    over_the_counter = medicines()["acesal-75"]

    assert rules.why_not_by_post(PLAIN, rx_by_post=False) == "rx_outside_regime"
    assert rules.why_not_by_post(over_the_counter, rx_by_post=False) is None


def test_every_reason_is_shown_by_some_medicine_of_the_catalogue() -> None:
    reasons = {rules.why_not_by_post(medicine, rx_by_post=True) for medicine in medicines().values()}

    assert reasons == {
        None, "controlled", "quantity_recorded", "immunobiological", "cold_chain", "too_much_alcohol",
        "extemporaneous", "storage_unknown",
    }  # fmt: skip


def test_one_barred_medicine_keeps_the_whole_order_from_the_post() -> None:
    verdict = rules.eligibility(["lorizapril-10", "insulara-100"], medicines(), rx_by_post=True)

    assert verdict == rules.Eligibility(False, "cold_chain", "insulara-100")


def test_what_the_catalogue_does_not_know_may_not_go_by_post() -> None:
    assert rules.eligibility(["sugar"], medicines(), rx_by_post=True).reason == "medicine_unknown"


ITEM = {"code": "lorizapril-10", "quantity": 1, "directions": "утром", "days": 30}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"code": ""}, {"code-1": "required"}),
        ({"code": "sugar"}, {"code-1": "medicine_unknown"}),
        ({"quantity": ""}, {"quantity-1": "required"}),
        ({"quantity": "two"}, {"quantity-1": "not_a_number"}),
        ({"quantity": True}, {"quantity-1": "not_a_number"}),
        ({"quantity": 0}, {"quantity-1": "out_of_range"}),
        ({"quantity": 13}, {"quantity-1": "out_of_range"}),
        ({"directions": "  "}, {"directions-1": "required"}),
        ({"directions": "я" * 301}, {"directions-1": "too_long"}),
        ({"directions": 5}, {"directions-1": "required"}),
        ({"days": 366}, {"days-1": "out_of_range"}),
    ],
)
def test_a_wrong_item_is_named_by_its_field(change: dict[str, Any], fault: dict[str, str]) -> None:
    assert rules.faults_of_items([ITEM], medicines()) == {}

    assert rules.faults_of_items([{**ITEM, **change}], medicines()) == fault


def test_a_prescription_has_one_to_five_different_medicines() -> None:
    codes = list(medicines())[:6]

    assert rules.faults_of_items([], medicines()) == {"code-1": "required"}
    assert rules.faults_of_items([{**ITEM, "code": code} for code in codes[:5]], medicines()) == {}
    assert rules.faults_of_items([{**ITEM, "code": c} for c in codes], medicines()) == {"items": "too_many_items"}
    assert rules.faults_of_items([ITEM, ITEM], medicines()) == {"code-2": "medicine_twice"}


GROUND = {"kind": "in_person", "date": "2026-03-27", "clinic": "ЦРБ", "doctor": "Лугова"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"kind": "telepathy"}, {"basis": "invalid"}),
        ({"date": ""}, {"basis_date": "required"}),
        ({"date": "yesterday"}, {"basis_date": "not_a_date"}),
        ({"date": "2026-11-24"}, {"basis_date": "date_in_future"}),
        ({"date": "1926-11-24"}, {"basis_date": "date_too_old"}),
        ({"clinic": " "}, {"basis_clinic": "required"}),
        ({"doctor": "я" * 121}, {"basis_doctor": "too_long"}),
    ],
)
def test_a_diagnosis_made_in_person_names_date_clinic_and_doctor(
    change: dict[str, Any], fault: dict[str, str]
) -> None:
    assert rules.faults_of_basis(GROUND, TODAY) == {}

    assert rules.faults_of_basis({**GROUND, **change}, TODAY) == fault


def test_the_experimental_regime_needs_no_diagnosis() -> None:
    assert rules.faults_of_basis({"kind": "experiment"}, TODAY) == {}


def test_a_cancelled_prescription_stays_cancelled() -> None:
    assert [rules.next_state("cancelled", deed) for deed in ("sign", "discard", "cancel")] == [None] * 3
    assert rules.next_state("signed", "sign") is None
