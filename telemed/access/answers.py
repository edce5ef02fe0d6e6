"""Stored answers: the same key gives the same answer, another body under the same key is an error.

The key is claimed by a unique row before the work begins, in a transaction of its own: `work` opens its own. So two
requests in two processes never both work, and after a crash between work and answer the row still knows the body: only
that body may be tried again, once the lease is over. Such work is done a second time, so `work` must bear that, as a
save with its base revision does.

The answer is sealed: it may hold personal data. Keys live 30 days, as long as a phone may be offline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from telemed.access.models import StoredAnswer
from telemed.access.relations import Principal
from telemed.errors import Invalid, StillWorking, TelemedError
from telemed.ids import new_id
from telemed.services import Services

KEEP = timedelta(days=30)
LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class Request:
    """What is asked, by whom, under which key."""

    actor_id: UUID
    route: str
    key: str
    body_hash: str


@dataclass(frozen=True)
class Claim:
    """The right to do the work of a key. `attempt` is the fencing number: who lost the lease stores no answer."""

    row_id: UUID
    attempt: int


def once(
    services: Services, who: Principal, route: str, key: str, body_hash: str, work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return the answer of `work`, or the stored one when this key was answered before.

    Raises Invalid for another body under the key, StillWorking while an earlier request with it is being answered.
    """
    if len(key) > 255 or who.id is None:
        raise Invalid("idempotency_key_invalid")
    claim = _claim(services, Request(who.id, route, key, body_hash))
    if not isinstance(claim, Claim):
        return claim
    try:
        answer = work()
    except TelemedError:  # refused whole: the key is free again. Any other error leaves open what was done
        _release(services, claim)
        raise
    _keep(services, claim, answer)
    return answer


def _claim(services: Services, asked: Request) -> Claim | dict[str, Any]:
    """Return the right to work, or the answer stored before."""
    now = services.clock()
    try:
        with services.db.write() as tx:
            row = _find(tx, asked)
            if row is None:
                row = _new(asked, services)
                tx.add(row)
            elif row.request_hash != asked.body_hash:
                raise Invalid("idempotency_mismatch")
            elif row.leased_until is None:
                return services.vault.open(tx, row, "answer")
            elif row.leased_until > now:
                raise StillWorking(retry_after_s=1 + int((row.leased_until - now).total_seconds()))
            row.attempt, row.leased_until = row.attempt + 1, now + LEASE
            return Claim(row.id, row.attempt)
    except IntegrityError:  # another process claimed the key in this moment
        raise StillWorking(retry_after_s=1) from None


def _find(tx: Session, asked: Request) -> StoredAnswer | None:
    return tx.scalar(
        select(StoredAnswer)
        .where(
            StoredAnswer.actor_id == asked.actor_id,
            StoredAnswer.route == asked.route,
            StoredAnswer.key == asked.key,
        )
        .with_for_update()
    )


def _new(asked: Request, services: Services) -> StoredAnswer:
    return StoredAnswer(
        id=new_id(), actor_id=asked.actor_id, route=asked.route, key=asked.key, request_hash=asked.body_hash,
        answer_rev=0, attempt=0, created_at=services.clock(),
    )  # fmt: skip


def _release(services: Services, claim: Claim) -> None:
    with services.db.write() as tx:
        tx.execute(
            delete(StoredAnswer).where(
                StoredAnswer.id == claim.row_id,
                StoredAnswer.attempt == claim.attempt,
                StoredAnswer.leased_until.is_not(None),
            )
        )


def _keep(services: Services, claim: Claim, answer: dict[str, Any]) -> None:
    with services.db.write() as tx:
        row = tx.get(StoredAnswer, claim.row_id, with_for_update=True)
        if row is None or row.attempt != claim.attempt or row.leased_until is None:
            return
        services.vault.seal(tx, row, "answer", answer)
        row.leased_until = None


def forget_old(services: Services, tx: Session) -> None:
    """Remove stored answers after 30 days."""
    tx.execute(delete(StoredAnswer).where(StoredAnswer.created_at < services.clock() - KEEP))
