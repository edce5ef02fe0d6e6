"""`python -m devices decode`: one packet, or one a line, as JSON with the meter's own digits."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, TextIO

from devices.errors import DecodeError
from devices.profiles import decode

USAGE = "usage: python -m devices decode CHARACTERISTIC HEX [--model MODEL] | decode -"
OK, UNREADABLE, MISUSED = 0, 2, 64


def to_json(value: Any) -> str:
    """Return JSON in which a Decimal is a number with exactly its digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {to_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_json(item) for item in value) + "]"
    return format(value, "f") if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def run_decode(argv: list[str], stdin: TextIO, stdout: TextIO) -> int:
    """Answer the command's arguments (after `decode`); return the exit code."""
    if argv == ["-"]:
        for line in stdin:
            if words := line.split(maxsplit=2):
                stdout.write(to_json(_answer(*_three(words))) + "\n")
        return OK
    model = None
    if "--model" in argv:
        at = argv.index("--model")
        if at + 1 >= len(argv):
            stdout.write(USAGE + "\n")
            return MISUSED
        model, argv = argv[at + 1], argv[:at] + argv[at + 2 :]
    if len(argv) != 2:
        stdout.write(USAGE + "\n")
        return MISUSED
    answer = _answer(argv[0], argv[1], model)
    stdout.write(to_json(answer) + "\n")
    return UNREADABLE if "error" in answer else OK


def _three(words: list[str]) -> tuple[str, str, str | None]:
    padded: list[str | None] = [*words, None, None]
    return words[0], padded[1] or "", padded[2].strip() if padded[2] else None


def _answer(characteristic: str, text: str, model: str | None) -> dict[str, Any]:
    try:
        # fromhex would skip blanks; the contract has no separators
        raw = bytes.fromhex(text) if text.isalnum() or not text else None
    except ValueError:
        raw = None
    if raw is None:
        return {"error": "bad_hex", "detail": "an even number of hex digits, without separators"}
    try:
        return decode(characteristic, raw, model)
    except DecodeError as error:
        return {"error": error.code, "detail": error.detail}
