"""What a use case works with: the transaction that decides, audits and publishes; the vault; the clock.

    with services.act(who, "visit.open", Subject(branch_id=branch_id)) as tx:   # a change or a protected read
    with services.look(who, "booking.read_day", Subject(branch_id=...)) as tx:  # a plain read of unprotected facts
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Select, literal, select
from sqlalchemy.orm import Session

from telemed import outbox
from telemed.access import audit
from telemed.access.decide import Decision, decide
from telemed.access.relations import NOTHING, Principal, Relation, Subject
from telemed.clock import Clock
from telemed.crypto.index import BlindIndex
from telemed.crypto.keys import KeyRing
from telemed.crypto.signing import Signer
from telemed.crypto.vault import Vault
from telemed.db import Database, Reads
from telemed.errors import Forbidden, NotFound, SignInNeeded, TelemedError
from telemed.settings import Settings


@dataclass
class Services:
    """Built once by bootstrap and handed to every use case. `country_of` tells by a branch how its people write numbers,
    `place_of` what it is called; `zone_of` in which zone somebody's times are shown, `zone_at` that of a branch or a
    region: only later slices know.
    """

    settings: Settings
    db: Database
    clock: Clock
    keys: KeyRing
    vault: Vault
    index: BlindIndex
    signer: Signer
    deployment_id: UUID
    epoch: UUID
    demo: bool
    journey: outbox.Journey
    relations: dict[str, Relation] = field(default_factory=dict)
    outside: dict[str, Any] = field(default_factory=dict)
    country_of: Callable[[UUID | None], str] = lambda _branch_id: "RU"
    place_of: Callable[[UUID], str] = lambda _branch_id: ""
    zone_of: Callable[[Principal], str] = lambda _who: "UTC"
    zone_at: Callable[[UUID | None, UUID | None], str] = lambda _branch_id, _region_id: "UTC"

    def today_at(self, branch_id: UUID | None, region_id: UUID | None = None) -> date:
        """Return the day that a branch has now, or a region: a day is one of the place, not of the server."""
        return self.clock().astimezone(ZoneInfo(self.zone_at(branch_id, region_id))).date()

    @contextmanager
    def act(self, who: Principal, action: str, subject: Subject = NOTHING) -> Iterator[Session]:
        """Yield a write transaction if `who` may do `action` on `subject`; the audit row commits with the work.

        Raises SignInNeeded, Forbidden (the role never may), or NotFound (this object is not in its view); a refusal
        is audited too.
        """
        with self.refusals(), self.db.write() as tx:
            self.allow(tx, who, action, subject)
            yield tx

    @contextmanager
    def look(self, who: Principal, action: str, subject: Subject = NOTHING) -> Iterator[Session]:
        """Yield a read transaction if `who` may do `action`. For facts that are not protected: no audit row."""
        with self.refusals(), self.db.read() as tx:
            self.check(tx, who, action, subject)
            yield tx

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Audit a refusal once all that was held on the way to it is given back, and raise what the caller is told."""
        try:
            yield
        except Refused as refused:
            self._record_refusal(refused)
            raise refused.error() from None

    def allow(self, tx: Session, who: Principal, action: str, subject: Subject = NOTHING) -> None:
        """Decide and audit one more action inside a running `act`; raises as `act` does."""
        self.check(tx, who, action, subject)
        audit.record(tx, self.clock(), who, action, subject, allowed=True, reason="allowed")

    def may(self, tx: Reads, who: Principal, action: str, subject: Subject = NOTHING) -> bool:
        """Tell whether `who` may do `action`, for a page that shows or hides a button."""
        return self._decide(tx, who, action, subject).allowed

    def subjects(self, relation: str, who: Principal) -> Select[Any]:
        """Return the selection of ids for which `relation` holds, so that a list uses the same rule as `act`."""
        known = self.relations.get(relation)
        return known.subjects(who) if known else select(literal(None)).where(literal(False))

    def publish(self, tx: Session, *events: Any) -> None:
        """Store the events' consequences in `tx`; live pushes follow its commit."""
        for event in events:
            outbox.publish(tx, event, self.journey, self.clock())

    def register(self, relations: Iterable[Relation]) -> None:
        """Make relations known to decisions. Called by bootstrap only."""
        self.relations.update({relation.name: relation for relation in relations})

    def check(self, tx: Reads, who: Principal, action: str, subject: Subject) -> None:
        """Raise Refused unless `who` may do `action`. Used inside `refusals`, where `look` would cost too much."""
        decision = self._decide(tx, who, action, subject)
        if not decision.allowed:
            raise Refused(who, decision, action, subject)

    def _decide(self, tx: Reads, who: Principal, action: str, subject: Subject) -> Decision:
        def holds(name: str) -> bool:
            relation = self.relations.get(name)
            return relation is not None and relation.holds(tx, who, subject)

        return decide(who.role, action, holds)

    def refuse_role(self, who: Principal, action: str) -> None:
        """Audit that somebody tried what no member of the own role may ever do."""
        self._record_refusal(Refused(who, Decision(False, "role"), action, NOTHING))

    def _record_refusal(self, no: Refused) -> None:
        with self.db.write() as tx:
            audit.record(tx, self.clock(), no.who, no.action, no.subject, allowed=False, reason=no.decision.reason)


class Refused(Exception):
    """A decision that said no, on its way out of the transaction that must roll back."""

    def __init__(self, who: Principal, decision: Decision, action: str, subject: Subject) -> None:
        super().__init__(decision.reason)
        self.who, self.decision, self.action, self.subject = who, decision, action, subject

    def error(self) -> TelemedError:
        """Return what the caller is told: objects outside the view look missing."""
        if self.who.role is None:
            return SignInNeeded()
        return NotFound() if self.decision.reason == "relation" else Forbidden()
