"""Words in Russian, Belarusian and English. Each slice keeps its own catalogue in `locale/`; here they become one.

A page's words have the English sentence as key; the sentence of a code has `code:<code>`. Where one English word is two
things ("Large": letters, a cuff), its key also names the thing: `msgctxt` in the catalogue, `in_context` in the code.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_time
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = {"ru": "Русский", "be": "Беларуская", "en": "English"}
DEFAULT = "ru"
PACKAGE = Path(__file__).parent
_BETWEEN = "\x04"  # what gettext puts between context and sentence


@cache
def catalogue(language: str) -> NullTranslations:
    """Return the merged catalogue of a language; an unknown one gives the default's."""
    if language not in LANGUAGES:
        return catalogue(DEFAULT)
    return _merged(language, sorted(PACKAGE.glob(f"*/locale/{language}.po")))


def _merged(language: str, paths: Iterable[Path]) -> NullTranslations:
    merged = Catalog(locale=language)
    for path in paths:
        with path.open("rb") as file:
            for message in read_po(file, locale=language):
                if message.id and message.string and any(_forms(message.string)):
                    merged.add(message.id, message.string, context=message.context)
    binary = io.BytesIO()
    write_mo(binary, merged)
    binary.seek(0)
    return GNUTranslations(binary)


def _forms(string: str | Iterable[str]) -> list[str]:
    return [string] if isinstance(string, str) else list(string)


def in_context(thing: str, sentence: str) -> str:
    """Return the key of a sentence that means `thing` here, e.g. `in_context("cuff", "Large")`, for `text` to translate."""
    return f"{thing}{_BETWEEN}{sentence}"


def text(language: str, sentence: str, **values: object) -> str:
    """Return a page's sentence in a language, with `%(name)s` filled in."""
    translated = catalogue(language).gettext(sentence).rpartition(_BETWEEN)[2]  # English has no entry: drop the context
    return translated % values if values else translated


def counted(language: str, one: str, many: str, number: int, **values: object) -> str:
    """Return the sentence in the right plural form; `%(n)s` is the number."""
    return catalogue(language).ngettext(one, many, number) % {"n": number, **values}


def code_text(language: str, code: str, **values: object) -> str:
    """Return the sentence of a code; an unknown code is shown as it is, never hidden."""
    key = f"code:{code}"
    translated = catalogue(language).gettext(key)
    if translated == key:
        return code.replace("_", " ")
    try:
        return translated % values if values else translated
    except KeyError:
        return translated


def choose(wanted: Iterable[str | None]) -> str:
    """Return the first language we speak out of `wanted`, else the default."""
    for language in wanted:
        if language and language[:2] in LANGUAGES:
            return language[:2]
    return DEFAULT


def local_time(language: str, moment: datetime, zone: str, form: str = "short") -> str:
    """Return a moment in a branch's zone: `time`, `short` (date and time), `date`."""
    there = moment.astimezone(ZoneInfo(zone))
    if form == "time":
        return format_time(there, "HH:mm", locale=language)
    if form == "date":
        return format_date(there.date(), "dd.MM.yyyy", locale=language)
    return format_datetime(there, "dd.MM.yyyy HH:mm", locale=language)
