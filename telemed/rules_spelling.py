"""Names as people type them, in one normal form: for the check, for the record and for the index. Pure.

One person is typed with a straight, a curly or a letter apostrophe, with a long dash, a no-break blank, letters that a Mac
or a PDF has taken apart, or a Latin `a` in a Cyrillic name: to the eye it is the same name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

APOSTROPHES = (
    "\u05f3\u02ee\u201c\u201d\""  # also the quotation mark that stands on the same key
    "\u2018\u2019\u201b\u02b9\u02bb\u02bc\u02bd\u02c8\u2032\u00b4\u0060\uff07\u055a\ua78c\u1fbd\u1fbf"
)
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u02d7\ufe58\ufe63\uff0d"
_SIGNS = str.maketrans(dict.fromkeys(APOSTROPHES, "'") | dict.fromkeys(DASHES, "-"))
# Cyrillic letters and the Latin ones of the same shape. Small letters of capitals that look alike belong to them too: a
# list in capitals is often made small by a program.
_CYRILLIC, _LATIN = "АВЕКМНОРСТУХІЈЅЁавекмнорстухіјѕёь", "ABEKMHOPCTYXIJSËabekmhopctyxijsëb"
_TO_LATIN = str.maketrans(_CYRILLIC, _LATIN)
_TO_CYRILLIC = str.maketrans(dict(zip(_LATIN, _CYRILLIC, strict=True)))  # the last pair wins: a small b is a soft sign
_KEY = str.maketrans("aebkmhopctyxijsëёь", "аевкмнорстухіјѕеев")  # for the index alone, where no shape may matter
_STRESS = re.compile("(?<=[\u0400-\u04ff])[\u0300\u0301]+")
_ABOUT_A_SIGN = re.compile(r"\s*([-'])[\s\-]*")


def tidy_names(parts: Sequence[str]) -> tuple[str, ...]:
    """Return the parts of one person's name in normal form. A letter of the other alphabet that looks the same becomes one
    of the name's own; the parts help each other where a word alone does not tell.
    """
    tidied = _tidied(parts)
    # A mark that now stands on a letter of the other alphabet may tell more of the name: once more, until nothing changes.
    return tidied if tidied == tuple(parts) else tidy_names(tidied)


def _tidied(parts: Sequence[str]) -> tuple[str, ...]:
    plain = [_plain(part) for part in parts]
    scripts = {script for part in plain for word in _words(part) if (script := _sure_script(word))}
    whole = scripts.pop() if len(scripts) == 1 else None
    return tuple("".join(_mended(piece, whole) for piece in re.split(r"([ \-'])", part)) for part in plain)


def tidy_name(text: str) -> str:
    """Return one text that holds a name in normal form."""
    return tidy_names((text,))[0]


def name_key(text: str) -> str:
    """Return what is indexed for a name: letters that look alike, case and the dots of ё tell nobody apart."""
    return tidy_name(text).casefold().translate(_KEY)


def has_two_alphabets(text: str) -> bool:
    """Tell whether a word of a name in normal form still mixes Latin and Cyrillic letters."""
    return any(_count(word, "LATIN") and _count(word, "CYRILLIC") for word in _words(text))


def _plain(text: str) -> str:
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")  # soft hyphens, zero-width signs
    text = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS)
    return _ABOUT_A_SIGN.sub(r"\1", " ".join(_STRESS.sub("", text).split()))


def _words(text: str) -> Iterable[str]:
    return filter(None, re.split(r"[ \-']", text))


def _sure_script(word: str) -> str | None:
    """Return LATIN or CYRILLIC when a word has letters that only one of them has."""
    cyrillic = any(_is(letter, "CYRILLIC") and letter not in _CYRILLIC for letter in word)
    latin = any(_is(letter, "LATIN") and letter not in _LATIN for letter in word)
    return None if cyrillic == latin else "CYRILLIC" if cyrillic else "LATIN"


def _mended(word: str, whole: str | None) -> str:
    script = _sure_script(word)
    if script is None and any(letter not in _CYRILLIC + _LATIN for letter in word):
        return word  # sure letters of both: nobody can tell
    if script is None:
        script = whole or ("CYRILLIC" if _count(word, "CYRILLIC") >= _count(word, "LATIN") else "LATIN")
    return word.translate(_TO_CYRILLIC if script == "CYRILLIC" else _TO_LATIN)


def _count(word: str, script: str) -> int:
    return sum(_is(letter, script) for letter in word)


def _is(letter: str, script: str) -> bool:
    return unicodedata.name(letter, "").startswith(script)
