"""A sealed message opens only unchanged, with its own key, at its own place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from telemed.crypto import envelope
from telemed.crypto.envelope import HEADER, Place, Unsealable
from telemed.ids import new_id

KEY = bytes(range(32))
PLACE = Place(
    UUID(int=1), "patient", "identity", UUID(int=2), UUID(int=3), revision=4
)  # fmt: skip
VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())


def sealed(plaintext: bytes = b'{"pressure":"120/80"}') -> bytes:
    return envelope.seal(KEY, 1, "identity", PLACE, plaintext)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_every_later_release_opens_the_frozen_messages(vector: dict[str, str]) -> None:
    opened = envelope.open_(KEY, vector["domain"], PLACE, bytes.fromhex(vector["message"]))

    assert opened == vector["plaintext"].encode()


def test_every_flipped_bit_is_refused() -> None:
    message = sealed(b"x")

    for place in range(len(message) * 8):
        flipped = bytearray(message)
        flipped[place // 8] ^= 1 << place % 8
        # The key version says which key to fetch; the wrong key is refused like every other change.
        with pytest.raises(Unsealable):
            envelope.open_(KEY, "identity", PLACE, bytes(flipped))


@pytest.mark.parametrize(
    "change",
    [
        {"deployment": new_id()}, {"table": "visit"}, {"section": "contact"}, {"row": new_id()}, {"subject": new_id()},
        {"revision": 5}, {"schema": 2},
    ],
)  # fmt: skip
def test_a_message_does_not_open_at_another_place(change: dict) -> None:
    message = sealed()
    assert envelope.open_(KEY, "identity", PLACE, message)

    with pytest.raises(Unsealable):
        envelope.open_(KEY, "identity", replace(PLACE, **change), message)


def test_another_key_domain_or_a_cut_message_is_refused() -> None:
    message = sealed()

    for key, domain, cut in (
        (bytes(32), "identity", len(message)), (KEY, "clinical", len(message)), (KEY, "identity", len(message) - 1),
        (KEY, "identity", HEADER.size), (KEY, "identity", 10), (KEY, "identity", 0),
    ):  # fmt: skip
        with pytest.raises(Unsealable):
            envelope.open_(key, domain, PLACE, message[:cut])


def test_two_places_with_shifted_fields_are_different_places() -> None:
    message = envelope.seal(KEY, 1, "identity", replace(PLACE, table="ab", section="c"), b"x")

    with pytest.raises(Unsealable):
        envelope.open_(KEY, "identity", replace(PLACE, table="a", section="bc"), message)


def test_length_does_not_tell_the_content() -> None:
    assert len(sealed(b"")) == len(sealed(b"x" * 60))
    assert len({len(sealed(b"x" * length)) for length in range(61, 252, 10)}) == 1
    assert envelope.open_(KEY, "identity", PLACE, sealed(b"y" * 10_000)) == b"y" * 10_000


def test_no_two_messages_are_alike() -> None:
    assert len({sealed() for _ in range(200)}) == 200
