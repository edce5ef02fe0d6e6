"""Typed text: one form for equal letters and line breaks, and the length that a browser counts. Pure."""

from __future__ import annotations

import unicodedata

ALPHABET = "абвгґдеёжзиійклмнопрстуўфхцчшщъыьэюя"  # Russian and Belarusian together keep the order of both


def plain(text: str) -> str:
    """Return a posted text as its page held it: a line break is one character, a decomposed letter (й, ё, ў out of a
    Mac or a PDF) is composed. A form is sent with CR LF; `maxlength` counts LF.
    """
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def length(text: str) -> int:
    """Return the length as `maxlength` counts it: UTF-16 code units, so that no text that a field let through is refused
    and none that it would not hold is taken.
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def by_name(name: str, language: str | None = "ru") -> tuple[list[list[int]], str]:
    """Return what a list of names is sorted by: word by word in the order of the alphabet, where code points and databases
    put Ё before А and І after Я. In Russian Ё stands with Е, in Belarusian after it. Marks inside a name count last.
    """
    plain_name = unicodedata.normalize("NFC", name).casefold()
    sorted_as = plain_name if language == "be" else plain_name.replace("ё", "е")
    words = "".join(letter if letter.isalnum() else " " if letter in " -\u2010\u2011\u2013" else "" for letter in sorted_as)
    return [[_place(letter) for letter in word] for word in words.split()], plain_name


def _place(letter: str) -> int:
    """Return a letter's place: figures and Latin letters first, then the alphabet, then all others."""
    found = ALPHABET.find(letter)
    return 0x400 + found if found >= 0 else ord(letter)
