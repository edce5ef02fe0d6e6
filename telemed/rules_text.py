"""Typed text: one form for equal letters and line breaks, and the length that a browser counts. Pure."""

from __future__ import annotations

import unicodedata


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
