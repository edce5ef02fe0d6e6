"""What makes a person's data right: SNILS, policy number, names, birth dates. Pure; errors are codes per field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from telemed.patients.rules_birth import Birth
from telemed.rules_spelling import has_two_alphabets
from telemed.rules_text import length
from telemed.rules_typed import WIDE

PURPOSES = ("care", "telemedicine", "delivery", "notifications")
UNDO_WITHIN = timedelta(seconds=30)
CONSENT_VERSION = "2026-1"
LANGUAGES = ("ru", "be", "en")
TYPE_SIZES = ("normal", "large", "huge")
SEXES = ("female", "male")
NAME = re.compile(r"[^\W\d_]+(?:[ '’\-][^\W\d_]+)*")
# What the report about stored data can find, and what a coordinator can say about two records.
DATA_KINDS = (
    "phone_wrong", "number_wrong", "number_taken", "same_person", "name_two_alphabets", "record_unreadable",
    "shift_off_grid",
)  # fmt: skip
NUMBER_VERDICTS, PAIR_VERDICTS = ("left", "moved"), ("same", "different")
FACTS = ("birth_date", "phone", "document", "asked")  # by which a clerk tells one of several people
NAME_MAX = 60
ADDRESS_MAX = 200
EARLIEST_BIRTH = date(1900, 1, 1)
SNILS_UNCHECKED_UP_TO = 1_001_998  # numbers up to 001-001-998 carry no check number


def digits(text: str | None) -> str:
    """Return the digits of a typed number: wide ones as plain ones, so that one number is one; none of other scripts."""
    return re.sub(r"[^0-9]", "", (text or "").translate(WIDE))


def snils_is_right(text: str) -> bool:
    """Tell whether 11 digits are a SNILS: weights 9 to 1 on the first nine, sum mod 101, 100 counts as 00."""
    number = digits(text)
    if len(number) != 11:
        return False
    if int(number[:9]) <= SNILS_UNCHECKED_UP_TO:
        return True
    total = sum(int(digit) * weight for digit, weight in zip(number[:9], range(9, 0, -1), strict=True))
    return total % 101 % 100 == int(number[9:])


def snils_code(text: str) -> str | None:
    """Return what is wrong with a typed SNILS, or None. Fillers pass the check digits: zeros always do."""
    number = digits(text)
    if len(number) == 11 and len(set(number[:9])) == 1:
        return "number_not_real"
    return None if snils_is_right(number) else "snils_check_digit"


def policy_code(text: str) -> str | None:
    """Return what is wrong with a typed policy number, or None. The first ten digits hold region, birth date and sex:
    no one digit ten times.
    """
    number = digits(text)
    if len(number) != 16:
        return "policy_invalid"
    if len(set(number[:10])) == 1:
        return "number_not_real"
    return None if policy_is_right(number) else "policy_check_digit"


NUMBER_CODES = {"snils": snils_code, "policy": policy_code}


def policy_is_right(text: str) -> bool:
    """Tell whether 16 digits pass the check of a policy number: the official rule gives the same digit as Luhn's."""
    number = digits(text)
    doubled = [int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(number))]
    return len(number) == 16 and sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def name_code(text: str, *, needed: bool) -> str | None:
    """Return what is wrong with a part of a name, or None."""
    if not text:
        return "required" if needed else None
    if length(text) > NAME_MAX:
        return "too_long"
    if has_two_alphabets(text):
        return "name_two_alphabets"
    return None if NAME.fullmatch(text) else "name_invalid"


def birth_date_code(born: Birth | None, today: date) -> str | None:
    """Return what is wrong with a birth date, or with the year where only that is known; or None."""
    if born is None:
        return "required"
    if born.year > today.year or (born.day is not None and born.day > today):
        return "date_in_future"
    return "date_too_early" if born.year < EARLIEST_BIRTH.year else None


def identity_faults(identity: Mapping[str, str], born: Birth | None, today: date) -> dict[str, str]:
    """Return the wrong fields of an identity with their codes."""
    faults = {
        "family_name": name_code(identity.get("family_name", ""), needed=True),
        "given_name": name_code(identity.get("given_name", ""), needed=True),
        "patronymic": name_code(identity.get("patronymic", ""), needed=False),
        "birth_date": birth_date_code(born, today),
        "sex": None if identity.get("sex") in SEXES else "required",
    }
    faults |= {name: wrong(identity[name]) for name, wrong in NUMBER_CODES.items() if identity.get(name)}
    return {name: code for name, code in faults.items() if code}


def full_name(identity: Mapping[str, str]) -> str:
    """Return family name, given name, patronymic."""
    parts = (identity.get("family_name"), identity.get("given_name"), identity.get("patronymic"))
    return " ".join(part for part in parts if part)


def name_and_birth(identity: Mapping[str, str]) -> str:
    """Return the text under which a full name and birth date were indexed until December 2026."""
    return f"{full_name(identity)}|{identity['birth_date']}"


def name_and_year(name: str, year: int) -> str:
    """Return the text under which family name, given name and year of birth are indexed."""
    return f"{name}|{year:04d}"


def masked_name(identity: Mapping[str, str]) -> str:
    """Return family name and initials."""
    initials = (identity.get("given_name"), identity.get("patronymic"))
    return " ".join([identity["family_name"], *(f"{name[0]}." for name in initials if name)])


def masked_phone(phone: str) -> str:
    """Return a phone number of which only the last two digits are shown."""
    return f"… {phone[-2:]}" if phone else ""


def may_undo(withdrawn_at: datetime | None, now: datetime) -> bool:
    """Tell whether a consent was taken back so lately that it can have been a wrong press."""
    return withdrawn_at is not None and now - withdrawn_at <= UNDO_WITHIN
