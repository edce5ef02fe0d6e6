"""The deployment's own keys are there before anything is signed with them."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from telemed.crypto.signing import KeyPair
from telemed.db import WriteInRead
from telemed.services import Services


def test_the_first_answer_of_a_new_deployment_is_signed_without_writing(services: Services) -> None:
    with services.db.read() as tx:
        found = tx.scalar(select(func.count()).select_from(KeyPair))
    services.signer.sign_bytes(services.db, "server", b"answer")

    with services.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(KeyPair)) == found == 2


def test_a_key_is_not_made_in_a_transaction_for_reads(services: Services) -> None:
    with pytest.raises(WriteInRead), services.db.read() as tx:
        services.signer.key_for(tx, "delivery")

    with services.db.write() as tx:
        assert services.signer.key_for(tx, "delivery").version == 1
