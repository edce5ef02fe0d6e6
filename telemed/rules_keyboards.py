"""What a code was meant to be: typed or scanned under a Russian or Belarusian keyboard, or with letters that look alike.

A scanner is a keyboard: under the Russian layout it types `8у7и` for `8e7b`. A person who copies from paper types `8е7в`
instead. One Cyrillic letter may so stand for two Latin ones: the whole text decides which is tried first.
"""

from __future__ import annotations

import re
import unicodedata

HEX = "0123456789abcdef"
TOKEN_LENGTH = 32
# The same keys on a Russian and on a Latin keyboard; Belarus has its own letters on three of them.
_KEYS = str.maketrans(
    "йцукенгшщзхъфывапролджэячсмитьбюёіў",
    "qwertyuiop[]asdfghjkl;'zxcvbnm,.`bo",
)
# Cyrillic letters, and two that look like figures, with the Latin ones that look the same in print.
_LOOKS = str.maketrans("авекмнорстухіјѕьзб", "abekmhopctyxijsb36")
# These keys stand for A, B, D and E, which no code does long without, and their shapes for letters that codes hardly hold:
# with one of them it is the layout.
_LAYOUT_SIGNS = frozenset("фивуі")
_FOR_MISREAD = {"o": "0", "i": "1", "l": "1", "|": "1"}
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")


def code_readings(typed: str, alphabet: str = HEX) -> tuple[str, ...]:
    """Return what a code may have been, the likelier first: without groups, dashes and case. One try has all of them."""
    text = _folded(typed)
    by_key, by_look = (_plain(text.translate(table), alphabet.lower()) for table in (_KEYS, _LOOKS))
    if not _CYRILLIC.search(text):
        return (_plain(text, alphabet.lower()),)
    first, second = (by_key, by_look) if _LAYOUT_SIGNS & set(text) else (by_look, by_key)
    return tuple(dict.fromkeys((first, second)))


def token_readings(typed: str) -> tuple[str, ...]:
    """Return what a 128-bit token may have been: alone, behind the `#` of an address, or behind the number of a slip."""
    tail = re.split("[#№]", typed)[-1]
    return tuple(reading[-TOKEN_LENGTH:] for reading in code_readings(tail))


def _folded(typed: str) -> str:
    """Return the text in small letters, composed, without invisible signs. `№` must not become "No"."""
    text = unicodedata.normalize("NFC", typed).replace("№", "#")
    text = unicodedata.normalize("NFKC", text).lower()
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf")


def _plain(text: str, alphabet: str) -> str:
    """Return the letters and figures; one that the code cannot hold is read as the figure it looks like."""
    plain = (sign if sign in alphabet else _FOR_MISREAD.get(sign, sign) for sign in text)
    return "".join(sign for sign in plain if sign.isalnum())
