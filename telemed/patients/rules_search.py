"""What was scanned or typed into the one field of a search: a card, a number, a name with or without birth date. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from telemed.patients.rules_birth import Birth, read_birth
from telemed.rules_keyboards import HEX, TOKEN_LENGTH, code_readings, token_readings
from telemed.rules_typed import OF_YEAR, Unreadable, tidy

_BETWEEN = r"(?:\s?[.,;/\\\-\u2010-\u2015\u2212:]\s?|\s)"
DAY = re.compile(
    rf"(?<!\d)(?:\d\d?{_BETWEEN}\d\d?{_BETWEEN}|\d{{4}})(?:19|20)\d\d(?!\d){OF_YEAR}(?!\w)"
    rf"|(?<!\d)(?:19|20)\d\d{_BETWEEN}\d\d?{_BETWEEN}\d\d?(?!\d)",
    re.IGNORECASE,
)
YEAR = re.compile(rf"(?<![\d.])(?:19|20)\d\d(?![\d.]){OF_YEAR}(?!\w)", re.IGNORECASE)
# What people write before a number or a date; it belongs to no name.
LABEL = re.compile(
    r"\b(?:тел|телефон|тэл|тэлефон|снилс|снілс|полис|поліс|омс|д\.\s?р|род|рожд|р|нар|н|phone|snils|policy|born)[.:]{0,2}"
    r"\s*№?\s*(?=\+?\d)",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\+?\d[\d\s().\-/]{4,}\d")
SHORT_DAY = re.compile(rf"\d\d?{_BETWEEN}\d\d?{_BETWEEN}\d\d")  # nobody's number, and which century is not said
LETTER = re.compile(r"[^\W\d_]")
MISTYPED_MOST, MISCOUNTED_MOST = 6, 4


@dataclass(frozen=True)
class Search:
    """What a text asks for."""

    card: str = ""
    number: str = ""
    name: str = ""
    born: Birth | None = None


def read_search(text: str) -> Search:
    """Return what a scanned or typed text asks for. A text that is no card and has no letters is a number or a date."""
    typed = tidy(text)
    if _is_card(typed):
        return Search(card=typed)
    if not LETTER.search(typed):
        rest, born = _without_birth(typed)
        return Search(born=born) if born and not rest.strip() else Search(number=typed)
    typed, born = _without_birth(LABEL.sub(" ", typed))
    found = NUMBER.search(typed)
    name = re.sub(r"[,;:|№]|\s+", " ", NUMBER.sub(" ", typed, count=1) if found else typed)
    number = found.group() if found and not SHORT_DAY.fullmatch(found.group()) else ""
    return Search(number=number, name=" ".join(name.split()), born=born)


def _is_card(typed: str) -> bool:
    """A card has 32 hexadecimal figures under any keyboard. A few may be mistyped, in one word also missing or doubled: it
    is no name all the same. A name with its birth date and a number is as long, and may be of such letters alone.
    """
    if NUMBER.fullmatch(typed):
        return False
    if "#" in typed or "№" in typed:
        return any(_is_code(one, 0) for one in token_readings(typed))
    is_one_word = " " not in typed
    if not is_one_word and DAY.search(typed):
        return False
    return any(_is_code(one, MISCOUNTED_MOST if is_one_word else 0) for one in code_readings(typed))


def _is_code(reading: str, miscounted: int) -> bool:
    known = sum(sign in HEX for sign in reading)
    has_length = abs(len(reading) - TOKEN_LENGTH) <= miscounted
    return has_length and known >= len(reading) - MISTYPED_MOST and any(map(str.isdigit, reading))


def _without_birth(typed: str) -> tuple[str, Birth | None]:
    for pattern in (DAY, YEAR):
        if found := pattern.search(typed):
            try:
                born = read_birth(found.group())
            except Unreadable:
                continue
            return typed[: found.start()] + " " + typed[found.end() :], born
    return typed, None
