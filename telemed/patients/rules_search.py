"""What was scanned or typed into the one field of a search: a card, a number, a name with or without birth date. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from telemed.patients.rules_birth import Birth, read_birth
from telemed.rules_keyboards import TOKEN_LENGTH, token_readings
from telemed.rules_typed import Unreadable, tidy

DAY = re.compile(r"\b\d{1,2}\s?[.,/\-]\s?\d{1,2}\s?[.,/\-]\s?\d{4}(?:\s*(?:г\.?|год|года))?|\b\d{4}-\d\d-\d\d\b")
YEAR = re.compile(r"(?<![\d.])(?:19|20)\d\d(?![\d.])(?:\s*(?:г\.?|год|года)(?!\w))?")
NUMBER = re.compile(r"\+?\d[\d\s().\-/]{4,}\d")
LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Search:
    """What a text asks for."""

    card: str = ""
    number: str = ""
    name: str = ""
    born: Birth | None = None


def read_search(text: str) -> Search:
    """Return what a scanned or typed text asks for. A text that is no card and has no letters is a number."""
    typed = tidy(text)
    if _is_card(typed):
        return Search(card=typed)
    if not LETTER.search(typed):
        return Search(number=typed)
    typed, born = _without_birth(typed)
    found = NUMBER.search(typed)
    name = re.sub(r"[,;:|]|\s+", " ", NUMBER.sub(" ", typed, count=1) if found else typed)
    return Search(number=found.group() if found else "", name=" ".join(name.split()), born=born)


def _is_card(typed: str) -> bool:
    """A card has 32 hexadecimal figures under any keyboard; a few may be mistyped, and it is no name all the same."""
    longest = max(token_readings(typed), key=len)
    return len(longest) == TOKEN_LENGTH and sum(sign.isdigit() for sign in longest) >= 4 and not NUMBER.fullmatch(typed)


def _without_birth(typed: str) -> tuple[str, Birth | None]:
    for pattern in (DAY, YEAR):
        if found := pattern.search(typed):
            try:
                born = read_birth(found.group())
            except Unreadable:
                continue
            return typed[: found.start()] + " " + typed[found.end() :], born
    return typed, None
