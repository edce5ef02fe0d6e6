"""Templates of notes, data in note_templates.json: what a doctor types forty times a day."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from telemed.consultation.rules import NOTE_FIELDS
from telemed.i18n import LANGUAGES

BLANK = re.compile(r"___|\([^()/]+/[^()/]+\)")  # to be written, or one of two to be chosen


@dataclass(frozen=True)
class NoteTemplate:
    """A template in one language: its name, and a text for some fields of the note."""

    code: str
    name: str
    fields: dict[str, str]


@lru_cache(maxsize=8)
def note_templates(language: str) -> tuple[NoteTemplate, ...]:
    """Return all templates in a language."""
    document = json.loads((Path(__file__).parent / "note_templates.json").read_text(encoding="utf-8"))
    return tuple(
        NoteTemplate(code, entry["name"][language], {name: text[language] for name, text in entry["fields"].items()})
        for code, entry in document.items()
    )


def filled(note: dict[str, str], code: str | None, language: str) -> dict[str, str]:
    """Return the note with a template's text in its empty fields; a written field is never touched."""
    chosen = next((template for template in note_templates(language) if template.code == code), None)
    if chosen is None:
        return note
    return {**chosen.fields, **{name: text for name, text in note.items() if text.strip()}}


@lru_cache(maxsize=1)
def blanks() -> tuple[str, ...]:
    """Return every blank of the templates. Only these: a doctor's own (190/110) is no blank."""
    texts = [
        text for language in LANGUAGES for template in note_templates(language) for text in template.fields.values()
    ]
    return tuple(sorted({blank for text in texts for blank in BLANK.findall(text)}))


def field_with_blank(note: dict[str, str]) -> str | None:
    """Return the first field of a note in which a template's blank is left."""
    return next((name for name in NOTE_FIELDS if any(blank in note.get(name, "") for blank in blanks())), None)
