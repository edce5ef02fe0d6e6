"""The catalogue of medicines, read once from its data file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from telemed.prescription.rules import Medicine

FILE = Path(__file__).parent / "catalogue.json"


@cache
def medicines() -> dict[str, Medicine]:
    """Return every medicine by its code, in the order of the file."""
    lines = json.loads(FILE.read_text(encoding="utf-8"))["medicines"]
    return {line["code"]: Medicine(**line) for line in lines}


def inn_of(code: str, language: str) -> str | None:
    """Return a medicine's international name in a language, None when the catalogue does not know the code."""
    medicine = medicines().get(code)
    return medicine.inn.get(language) if medicine else None
