"""Many threads and processes hold a key ring: none seals under a key that nobody has stored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from telemed.crypto import envelope, keys
from telemed.crypto.envelope import DOMAINS, HEADER, Place, Unsealable
from telemed.crypto.index import BlindIndex
from telemed.crypto.keys import DomainKey, KeyRing, SubjectKey, open_root
from telemed.ids import new_id
from telemed.services import Services
from tests import cast

PLACE = Place(new_id(), "patient", "identity", new_id(), new_id(), revision=1)


def another_process(services: Services) -> KeyRing:
    root = open_root(services.settings.server_dir / "keys")
    with services.db.read() as tx:
        return KeyRing.load(tx, root)


def seal_with(services: Services, ring: KeyRing, subject: object) -> bytes:
    with services.db.write() as tx:
        return ring.newest_subject_key(tx, subject, "identity")[1]  # type: ignore[arg-type]


def test_a_rotation_that_rolls_back_wraps_nothing(services: Services) -> None:
    with services.db.write() as tx:
        services.keys.rotate(tx)
        tx.rollback()
    subject = new_id()
    key = seal_with(services, services.keys, subject)

    after_restart = another_process(services)
    with services.db.read() as tx:
        assert after_restart.subject_key(tx, subject, "identity", 1) == key


def test_a_key_made_anew_after_shredding_replaces_the_one_another_process_remembers(services: Services) -> None:
    other, subject = another_process(services), new_id()
    first = seal_with(services, services.keys, subject)
    assert seal_with(services, other, subject) == first, "the other process remembers the first key"

    with services.db.write() as tx:
        services.keys.forget(tx, subject, "identity", cast.NOON)
    second = seal_with(services, services.keys, subject)

    assert second != first
    assert seal_with(services, other, subject) == second


def test_a_running_process_opens_what_was_wrapped_after_anothers_rotation(services: Services) -> None:
    other, subject = another_process(services), new_id()
    with services.db.write() as tx:
        services.keys.rotate(tx)
    key = seal_with(services, services.keys, subject)

    with services.db.read() as tx:
        assert tx.scalars(select(SubjectKey.domain_version).where(SubjectKey.subject_id == subject)).all() == [2]
        assert other.subject_key(tx, subject, "identity", 1) == key


def test_threads_share_a_ring_smaller_than_their_subjects(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CACHED_KEYS", 4)
    known = {subject: seal_with(services, services.keys, subject) for subject in [new_id() for _ in range(12)]}

    def read_all(_thread: int) -> dict[object, bytes]:
        with services.db.read() as tx:
            return {subject: services.keys.subject_key(tx, subject, "identity", 1) for subject in known}

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(read_all, range(40)))

    assert all(result == known for result in results)


def test_the_cost_of_an_index_belongs_to_its_key(services: Services) -> None:
    before = services.index.of("patient.phone", cast.MARIA.phone)
    with services.db.write() as tx:
        tx.execute(update(DomainKey).where(DomainKey.domain == "index").values(passes=2))

    assert BlindIndex(another_process(services)).of("patient.phone", cast.MARIA.phone) != before
    assert services.index.of("patient.phone", cast.MARIA.phone) == before


@pytest.mark.parametrize("offset", [0, 1, 2, 3], ids=["version", "suite", "domain", "flags"])
def test_every_unknown_header_byte_is_refused(offset: int) -> None:
    key = bytes(32)
    message = envelope.seal(key, 1, DOMAINS[0], PLACE, b"x")
    assert envelope.open_(key, DOMAINS[0], PLACE, message) == b"x"

    for value in set(range(256)) - {message[offset]}:
        with pytest.raises(Unsealable):
            envelope.open_(key, DOMAINS[0], PLACE, message[:offset] + bytes([value]) + message[offset + 1 :])


def test_a_message_that_claims_another_keys_commitment_opens_under_neither() -> None:
    ours, theirs = bytes(32), bytes([1]) * 32
    message = envelope.seal(ours, 1, "identity", PLACE, b"x")
    salt = HEADER.unpack(message[: HEADER.size])[5]
    forged = message[:40] + envelope._derive(theirs, salt, "identity")[1] + message[72:]

    for key in (ours, theirs):
        with pytest.raises(Unsealable):
            envelope.open_(key, "identity", PLACE, forged)
