"""What is typed into a protected field stands nowhere in the clear: database, its log, journals, logs, temporary files.

The story types random strings and reads them back through the product first, so each could have been found.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import select

from telemed.booking.models import Invitation
from telemed.db import Base
from telemed.schema.tables import METADATA
from telemed.services import Services
from tests.journey.conftest import Told

WHOLE = ("telemed.db", "telemed.db-wal", "journal.db", "server.log", "gateway.log")


def forms(text: str) -> Iterator[bytes]:
    """Yield the bytes in which a text may lie in a file."""
    plain = text.encode()
    for raw in (plain, text.encode("utf-16-le"), text.encode("utf-16-be")):
        yield raw
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        yield from base64_at_any_place(raw)
    yield json.dumps(text)[1:-1].encode()
    yield quote(text, safe="").encode()
    yield quote(text, safe="").lower().encode()
    yield quote(text, safe=" ").replace(" ", "+").encode()


def base64_at_any_place(raw: bytes) -> Iterator[bytes]:
    """Yield what is always the same of a text's base64, whatever stands before it; both alphabets."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        part = encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        yield part
        yield part.translate(bytes.maketrans(b"+/", b"-_"))


def finds(folder: Path, texts: list[str]) -> list[str]:
    """Return `file: text` for each text that lies in a file of the folder, in any form, or in a file's name."""
    wanted = {form: text for text in texts for form in forms(text)}
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        content = path.read_bytes() if path.is_file() else b""
        found += [f"{name}: {text}" for form, text in wanted.items() if form in content or form in name.encode()]
    return found


def sealed_documents(services: Services) -> Iterator[str]:
    """Yield every sealed section of the database, opened with its keys, as text."""
    with services.db.read() as tx:
        for mapper in Base.registry.mappers:
            for section in getattr(mapper.class_, "__sealed__", {}):
                for row in tx.scalars(select(mapper.class_)):
                    yield json.dumps(services.vault.open(tx, row, section), ensure_ascii=False)


@pytest.mark.parametrize("way", range(len(list(forms("Щукаревич-x7")))))
def test_the_search_finds_a_text_in_every_form(way: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345" + list(forms("Щукаревич-x7"))[way] + b"678")

    assert finds(tmp_path, ["Щукаревич-x7"])


@pytest.mark.parametrize("before", range(3))
def test_the_search_finds_a_text_inside_base64(before: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(base64.b64encode(b"a" * (30 + before) + "Щукаревич".encode() + b"bbbb"))

    assert finds(tmp_path, ["Щукаревич"])


def test_all_protected_strings_were_really_stored_sealed(told: Told, records: Services) -> None:
    """The premise: 64 strings and more went in, and the keys bring each of them back."""
    stored = "\n".join(sealed_documents(records))
    lost = [text for text in told.protected if text not in stored]

    assert len(told.protected) >= 64
    assert lost == []


def test_the_search_finds_what_is_stored_in_the_clear(told: Told) -> None:
    """The other premise: a branch's name is no secret, and the same search finds it in the same files."""
    assert finds(told.alive, ["Отделение 174100"])


def test_no_protected_string_lies_anywhere_in_the_clear(told: Told) -> None:
    names = {path.name for path in told.alive.rglob("*")}

    assert names >= set(WHOLE)
    assert (told.alive / "server" / "telemed.db-wal").stat().st_size > 0
    assert finds(told.alive, told.protected + told.fleeting) == []
    assert finds(told.data_dir, told.protected + told.fleeting) == []


def test_no_invitation_says_in_the_clear_why_somebody_was_called(records: Services) -> None:
    with records.db.read() as tx:
        reasons = list(tx.scalars(select(Invitation.reason)))

    assert reasons
    assert set(reasons) == {""}


def test_every_table_with_a_sealed_section_was_written(records: Services) -> None:
    """A field that no story ever fills would be searched for in vain."""
    with records.db.read() as tx:
        empty = {
            mapper.class_.__tablename__
            for mapper in Base.registry.mappers
            if getattr(mapper.class_, "__sealed__", None) and tx.scalars(select(mapper.class_).limit(1)).first() is None
        }

    assert METADATA.tables
    assert empty <= {"person_question", "phone_clash", "stored_answer"}
