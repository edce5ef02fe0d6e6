"""`python -m devices decode`: one packet, or one a line, as JSON with the meter's own digits."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TextIO

from devices.errors import DecodeError
from devices.profiles import decode

USAGE = "usage: python -m devices decode CHARACTERISTIC HEX [--model MODEL] | decode -"
OK, UNREADABLE, MISUSED = 0, 2, 64
HEX = re.compile("[0-9a-fA-F]*")


def to_json(value: Any) -> str:
    """Return JSON in which a Decimal is a number with exactly its digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {to_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_json(item) for item in value) + "]"
    return format(value, "f") if isinstance(value, Decimal) else json.dumps(value)  # ASCII: any terminal can show it


def run_decode(argv: list[str], stdin: TextIO, stdout: TextIO) -> int:
    """Answer the command's arguments (after `decode`); return the exit code."""
    if argv == ["-"]:
        for line in _lines(stdin):
            if words := line.split(maxsplit=2):
                stdout.write(to_json(_answer(*_three(words))) + "\n")
                stdout.flush()  # whoever writes line by line waits for each answer
        return OK
    asked = _arguments(argv)
    if asked is None:
        print(USAGE, file=sys.stderr)
        return MISUSED
    answer = _answer(*asked)
    stdout.write(to_json(answer) + "\n")
    return UNREADABLE if "error" in answer else OK


def _arguments(argv: list[str]) -> tuple[str, str, str | None] | None:
    """Return characteristic, hex and model; None when the arguments are not these."""
    words, given = [], iter(argv)
    model = None
    for word in given:
        if word == "--model":
            model = next(given, None)
            if model is None or model.startswith("-"):
                return None
        elif word.startswith("--model="):
            model = word.removeprefix("--model=")
        elif word.startswith("-"):
            return None
        else:
            words.append(word)
    return (words[0], words[1], model) if len(words) == 2 else None


def _lines(stdin: TextIO) -> Iterator[str]:
    """Give the lines; bytes that are no text become question marks and one bad line, not the end of all."""
    raw = getattr(stdin, "buffer", None)
    yield from stdin if raw is None else (line.decode("utf-8", "replace") for line in raw)


def _three(words: list[str]) -> tuple[str, str, str | None]:
    padded: list[str | None] = [*words, None, None]
    return words[0], padded[1] or "", padded[2].strip() if padded[2] else None


def _answer(characteristic: str, text: str, model: str | None) -> dict[str, Any]:
    try:
        # fromhex would skip blanks; the contract has no separators
        raw = bytes.fromhex(text) if HEX.fullmatch(text) else None
    except ValueError:
        raw = None
    if raw is None:
        return {"error": "bad_hex", "detail": "an even number of hex digits, without separators"}
    try:
        return decode(characteristic, raw, model)
    except DecodeError as error:
        return {"error": error.code, "detail": error.detail}
