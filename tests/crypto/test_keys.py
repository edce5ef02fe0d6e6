"""Keys: made with the row they seal, shredded for good, never opened by another root; indexes and tokens."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from telemed.access import audit
from telemed.access.models import AuditRow
from telemed.access.relations import Subject
from telemed.crypto import passwords, tokens
from telemed.crypto.envelope import Unsealable
from telemed.crypto.keys import KeyRing, SubjectKey, open_root
from telemed.errors import StartRefused
from telemed.ids import new_id
from telemed.patients.models import Patient
from telemed.services import Services
from telemed.settings import Settings
from tests import cast


def test_a_swap_between_rows_sections_or_revisions_does_not_open(services: Services) -> None:
    with services.db.write() as tx:
        maria, ivan = tx.get(Patient, cast.MARIA.id), tx.get(Patient, cast.IVAN.id)
        old = maria.identity
        services.vault.seal(tx, maria, "identity", {"given_name": "Мария", "birth_date": "1948-03-08"})
        assert services.vault.open(tx, maria, "identity")["given_name"] == "Мария"

        for row, section, message in (
            (ivan, "identity", maria.identity), (maria, "contact", maria.identity), (maria, "identity", old),
        ):  # fmt: skip
            kept = getattr(row, section)
            setattr(row, section, message)
            with pytest.raises(Unsealable):
                services.vault.open(tx, row, section)
            setattr(row, section, kept)
        maria.identity = None
        with pytest.raises(Unsealable):
            services.vault.open(tx, maria, "identity")
        tx.rollback()


def test_a_subject_key_is_made_in_the_callers_transaction(services: Services) -> None:
    subject = new_id()
    with services.db.write() as tx:
        services.keys.newest_subject_key(tx, subject, "clinical")
        tx.rollback()

    with services.db.read() as tx:
        assert tx.scalar(select(SubjectKey).where(SubjectKey.subject_id == subject)) is None


def test_what_was_shredded_never_opens_again(services: Services) -> None:
    with services.db.write() as tx:
        services.keys.forget(tx, cast.MARIA.id, "identity", cast.NOON)

    with services.db.read() as tx:
        with pytest.raises(Unsealable):
            services.vault.open(tx, tx.get(Patient, cast.MARIA.id), "identity")
        assert services.vault.open(tx, tx.get(Patient, cast.IVAN.id), "identity")


def test_after_a_rotation_old_messages_open_and_new_keys_use_the_new_version(services: Services) -> None:
    with services.db.write() as tx:
        services.keys.rotate(tx)
    subject = new_id()
    with services.db.write() as tx:
        assert services.vault.open(tx, tx.get(Patient, cast.MARIA.id), "identity")
        services.keys.newest_subject_key(tx, subject, "identity")

        assert tx.get(SubjectKey, (subject, "identity", 1)).domain_version == 2
    assert services.keys.versions()["index"] == 1


def test_another_root_key_is_refused_with_a_sentence(services: Services, tmp_path: Path) -> None:
    other = open_root(tmp_path / "other", create=True)

    with services.db.read() as tx, pytest.raises(StartRefused, match="does not belong"):
        KeyRing.load(tx, other)


def test_a_root_key_is_private_and_a_damaged_or_missing_one_says_so(settings: Settings, tmp_path: Path) -> None:
    path = settings.server_dir / "keys" / "root.key"
    assert path.stat().st_mode & 0o077 == 0

    path.write_bytes(b"short")
    with pytest.raises(StartRefused, match="damaged"):
        open_root(path.parent)
    with pytest.raises(StartRefused, match="missing"):
        open_root(tmp_path / "nothing")


def test_a_passphrase_opens_the_same_root_and_another_one_does_not(tmp_path: Path) -> None:
    first = open_root(tmp_path / "keys", "correct horse", create=True)

    assert open_root(tmp_path / "keys", "correct horse") == first
    assert open_root(tmp_path / "keys", "wrong horse") != first


@pytest.mark.parametrize(
    ("column", "same", "other"),
    [
        ("patient.phone", ("+7 921 123-45-67", "89211234567", "9211234567"), "+79211234568"),
        ("patient.phone", ("+375 29 123-45-67", "+375291234567"), "+375291234568"),
        ("patient.snils", ("112-233-445 95", "11223344595"), "11223344596"),
        ("patient.name_birth", ("Ёлкина Мария|1948-03-08", "ЕЛКИНА  мария|1948-03-08"), "Елкина Мария|1948-03-09"),
    ],
)
def test_spelling_does_not_matter_to_an_index(services: Services, column: str, same: tuple, other: str) -> None:
    indexes = {services.index.of(column, text_) for text_ in same}

    assert len(indexes) == 1
    assert services.index.of(column, other) not in indexes
    assert len(indexes.pop()) == 16


def test_the_same_value_has_another_index_in_another_column(services: Services) -> None:
    assert services.index.of("patient.snils", "11223344595") != services.index.of("patient.policy", "11223344595")


def test_a_token_is_kept_as_its_hash(services: Services) -> None:
    token = tokens.new_token()

    assert len(token) == 32
    assert tokens.matches(token, tokens.token_hash(token))
    assert not tokens.matches(tokens.new_token(), tokens.token_hash(token))


def test_an_unknown_name_costs_as_much_as_a_wrong_password() -> None:
    stored = passwords.hash_password("right")

    def cost(hash_: str) -> float:
        begun = time.process_time()
        assert not passwords.verify_password(hash_, "wrong")
        return time.process_time() - begun

    assert min(cost(passwords.DUMMY_HASH) for _ in range(3)) > min(cost(stored) for _ in range(3)) / 4


EDITS = {
    **dict.fromkeys(("action", "role", "reason", "hash", "previous"), "edited"),
    "at": cast.NOON + timedelta(seconds=1),
    "actor_id": cast.BORIS.id,
    "subject": {"patient_id": "another"},
    "allowed": False,
}


@pytest.mark.parametrize("kind", [*EDITS, "delete", "swap"])
def test_every_edit_of_the_audit_trail_is_found_at_its_row(services: Services, kind: str) -> None:
    with services.db.write() as tx:
        for _ in range(30):
            audit.record(tx, services.clock(), cast.ANNA.who, "patient.find", Subject(), allowed=True, reason="allowed")
    with services.db.read() as tx:
        assert audit.first_broken(tx) is None
        first, last = tx.scalars(select(AuditRow.no).order_by(AuditRow.no)).all()[:: 29]

    # A swap needs a row after it; the last row cut off is for the signed heads to find.
    numbers, found = range(first, last + (0 if kind in ("swap", "delete") else 1)), []
    for number in numbers:
        with services.db.write() as tx:
            edit(tx, kind, number)
            tx.expire_all()
            found.append(audit.first_broken(tx))
            tx.rollback()

    assert len(found) >= 29
    assert all(broken is not None and abs(broken - n) <= 1 for n, broken in zip(numbers, found, strict=True))


def edit(tx, kind: str, number: int) -> None:  # type: ignore[no-untyped-def]
    if kind == "delete":
        tx.execute(text("DELETE FROM audit WHERE no = :n"), {"n": number})
    elif kind == "swap":
        for old, new in ((number, -1), (number + 1, number), (-1, number + 1)):
            tx.execute(text("UPDATE audit SET no = :new WHERE no = :old"), {"old": old, "new": new})
    else:
        tx.execute(update(AuditRow).where(AuditRow.no == number).values(**{kind: EDITS[kind]}))
