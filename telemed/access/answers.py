"""Stored answers: the same key gives the same answer, another body under the same key is an error.

The answer is sealed: it may hold personal data. Keys live 30 days, as long as a phone may be offline.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from telemed.access.models import StoredAnswer
from telemed.access.relations import Principal
from telemed.errors import Invalid
from telemed.ids import new_id
from telemed.services import Services

KEEP = timedelta(days=30)
# Two repeats at the same moment wait for each other, else both would work. A few locks serve all keys.
_TURNS = tuple(threading.Lock() for _ in range(64))


def once(
    services: Services, who: Principal, route: str, key: str, request_hash: str, work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return the answer of `work`, or the stored one when this key was answered before. Raises Invalid."""
    if len(key) > 255 or who.id is None:
        raise Invalid("idempotency_key_invalid")
    with _TURNS[hash((who.id, route, key)) % len(_TURNS)]:
        return _once(services, who, route, key, request_hash, work)


def _once(
    services: Services, who: Principal, route: str, key: str, request_hash: str, work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    with services.db.read() as tx:
        stored = _find(tx, who, route, key)
        if stored is not None:
            return _same(services, tx, stored, request_hash)
    answer = work()
    with services.db.write() as tx:
        if _find(tx, who, route, key) is None:
            row = StoredAnswer(
                id=new_id(), actor_id=who.id, route=route, key=key, request_hash=request_hash, answer_rev=0,
                created_at=services.clock(),
            )  # fmt: skip
            services.vault.seal(tx, row, "answer", answer)
            tx.add(row)
    return answer


def _find(tx: Session, who: Principal, route: str, key: str) -> StoredAnswer | None:
    return tx.scalar(
        select(StoredAnswer).where(
            StoredAnswer.actor_id == who.id, StoredAnswer.route == route, StoredAnswer.key == key
        )
    )


def _same(services: Services, tx: Session, stored: StoredAnswer, request_hash: str) -> dict[str, Any]:
    if stored.request_hash != request_hash:
        raise Invalid("idempotency_mismatch")
    return services.vault.open(tx, stored, "answer")


def forget_old(services: Services, tx: Session) -> None:
    """Remove stored answers after 30 days."""
    tx.execute(delete(StoredAnswer).where(StoredAnswer.created_at < services.clock() - KEEP))
