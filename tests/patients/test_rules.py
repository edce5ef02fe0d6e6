"""Numbers and names: the published check digits, and what a clerk may mistype."""

from __future__ import annotations

from datetime import date

import pytest

from telemed.patients import rules
from telemed.patients.rules_birth import Birth
from tests import cast

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize("snils", ["112-233-445 95", "087-654-303 00", "001-001-998 77", "00000000100"])
def test_a_right_snils_is_taken(snils: str) -> None:
    assert rules.snils_is_right(snils)


def test_a_number_is_one_in_whatever_figures_it_is_typed() -> None:
    assert rules.digits("１１２-２３３-４４５ ９５") == "11223344595"
    assert rules.digits("\u0661\u0661\u0662") == ""


@pytest.mark.parametrize("snils", ["112-233-445 96", "112-233-445", "", "abc", "1122334459", "112233445955"])
def test_a_wrong_snils_is_refused(snils: str) -> None:
    assert not rules.snils_is_right(snils)


@pytest.mark.parametrize(
    "number", ["000-000-000 00", "00000000077", "111-111-111 45", "999 999 999 01"],
)  # fmt: skip
def test_a_filler_is_no_snils_though_its_check_digits_fit(number: str) -> None:
    assert rules.snils_code(number) == "number_not_real"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("7700 0000 0000 0016", None), ("7700000000000015", "policy_check_digit"), ("770000000000001", "policy_invalid"),
        ("0" * 16, "number_not_real"), ("0000000000000018", "number_not_real"), ("1" * 16, "number_not_real"),
        ("", "policy_invalid"),
    ],
)  # fmt: skip
def test_a_policy_number_has_its_check_digit(number: str, code: str | None) -> None:
    assert rules.policy_code(number) == code


def test_every_single_mistyped_digit_of_a_policy_number_is_noticed() -> None:
    right = cast.MARIA.policy
    wrong = {right[:at] + digit + right[at + 1 :] for at in range(16) for digit in "0123456789"} - {right}

    assert {rules.policy_code(number) for number in wrong} <= {"policy_check_digit", "number_not_real"}


def test_every_single_mistyped_digit_of_a_snils_is_noticed() -> None:
    right = "11223344595"
    for place in range(9):
        for digit in "0123456789":
            wrong = right[:place] + digit + right[place + 1 :]
            if wrong != right:
                assert not rules.snils_is_right(wrong)


def test_the_cast_carries_right_numbers() -> None:
    for villager in cast.VILLAGERS:
        assert not villager.snils or rules.snils_code(villager.snils) is None
        assert not villager.policy or rules.policy_code(villager.policy) is None


@pytest.mark.parametrize("name", ["Ёлкина", "Римская-Корсакова", "О'Нил", "Салтыков Щедрин", "Anna", "Каўка"])
def test_a_name_may_have_hyphen_apostrophe_and_blank(name: str) -> None:
    assert rules.name_code(name, needed=True) is None


@pytest.mark.parametrize(
    ("name", "code"),
    [("", "required"), ("Иван2", "name_invalid"), ("<b>", "name_invalid"), ("x" * 61, "too_long"), ("-", "name_invalid")],
)
def test_what_is_no_name_says_why(name: str, code: str) -> None:
    assert rules.name_code(name, needed=True) == code


@pytest.mark.parametrize(
    ("born", "code"),
    [(date(2026, 11, 24), "date_in_future"), (date(1899, 12, 31), "date_too_early"), (None, "required"), (TODAY, None)],
)
def test_a_birth_date_lies_between_1900_and_today(born: date | None, code: str | None) -> None:
    assert rules.birth_date_code(Birth.on(born) if born else None, TODAY) == code
