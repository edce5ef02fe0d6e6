"""Telephone numbers as people of two neighbouring countries say them. A number is kept in E.164 or not at all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import phonenumbers

COUNTRIES = ("RU", "BY")
# How a neighbour's number begins when it is dialled or written without a plus, and how many digits it then has:
# Russia 8 921 ... and 7 921 ..., Belarus 8 029 ..., 029 ... and 375 29 ...
WRITTEN_ABROAD = {"RU": (("8", 11), ("7", 11)), "BY": (("80", 11), ("0", 10), ("375", 12), ("3750", 13), ("37580", 14))}
WRITTEN = re.compile(r"\+?[\d\s().\-/~]+")  # letters would be read as a keypad's
DASHES = re.compile(r"[\u2010-\u2015\u2212]")


def valid_phone(typed: str, country: str) -> str | None:
    """Return E.164 of a number that exists as a number, or None: then ask once more. The region's country reads it first,
    then the neighbour's way to write is tried.
    """
    seen = "".join(sign for sign in typed if unicodedata.category(sign) != "Cf")  # marks that a phone book copies along
    text = DASHES.sub("-", unicodedata.normalize("NFKC", seen)).strip()
    if not WRITTEN.fullmatch(text):
        return None
    text = re.sub(r"^\s*00(?!0)", "+", text)  # dialled from most countries; "00" begins no number of either
    if text.startswith("+"):
        return _valid(text, None)
    return next((found for place in _read_as(text, country) if (found := _valid(text, place))), None)


def _read_as(text: str, country: str) -> Iterator[str]:
    yield country
    digits = re.sub(r"\D", "", text)
    for other in COUNTRIES:
        if other != country and any(digits.startswith(p) and len(digits) == n for p, n in WRITTEN_ABROAD[other]):
            yield other


def _valid(text: str, country: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def as_kept_before(typed: str) -> str | None:
    """Return what was stored for these digits until December 2026: a Russian number, whether there is one or not."""
    try:
        number = phonenumbers.parse(typed, "RU")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def meant_by(stored: str, country: str) -> str | None:
    """Return the number that a wrongly stored one was typed as, or None: +70291234567 was 8 029 123-45-67."""
    if not stored.startswith("+7"):
        return None
    rest = stored.removeprefix("+7")
    return valid_phone(rest, country) or valid_phone("8" + rest, country)
