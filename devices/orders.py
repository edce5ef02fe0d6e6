"""What the server asks of this gateway. Orders are numbered; each takes effect once, whatever is killed when."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from devices import wire
from devices.identity import Identity
from devices.journal import Journal, JournalFull
from devices.meters import SERVICE_OF_KIND, EnrolledMeters
from devices.pairing import Enrolments
from devices.session import Session

log = logging.getLogger(__name__)

Simulate = Callable[[dict[str, object]], Awaitable[None]]


class Orders:
    """Executes orders in their order. `simulate` is None outside a demo, and such orders are then passed over."""

    def __init__(
        self,
        journal: Journal,
        identity: Identity,
        session: Session,
        meters: EnrolledMeters,
        enrolments: Enrolments,
        now: Callable[[], datetime],
        simulate: Simulate | None = None,
    ) -> None:
        self.journal = journal
        self.identity = identity
        self.session = session
        self.meters = meters
        self.enrolments = enrolments
        self._now = now
        self._simulate = simulate

    def last(self) -> int:
        """Return the number of the last order executed."""
        return int(self.journal.setting("last_order", "0"))

    async def execute(self, orders: tuple[wire.Order, ...]) -> None:
        """Execute what is new. Raises JournalError; then nothing of that order has happened."""
        for order in orders:
            if order.no <= self.last():
                continue
            try:
                with self.journal.transaction():
                    self._apply(order)
                    self.journal.remember("last_order", str(order.no))
            except JournalFull:
                self.session.recall()  # else a visit that is open on the disk would count as closed here for ever
                raise
            log.info("order %d: %s", order.no, order.kind)
            if order.kind == "simulate" and self._simulate is not None:
                # After it is marked as done: a press of a button may get lost, but is never doubled.
                await self._simulate(order.facts)

    def ingest_key(self) -> wire.PublicKey:
        """Return the key that records are sealed to now."""
        kept = self.journal.setting("ingest_key")
        return wire.parse_public_key(json.loads(kept)) if kept else self.identity.ingest_key

    def ruleset(self) -> dict[str, object]:
        """Return the rules in force."""
        kept = self.journal.setting("ruleset")
        rules: dict[str, object] = json.loads(kept) if kept else self.identity.ruleset
        return rules

    def _apply(self, order: wire.Order) -> None:
        step = STEPS.get(order.kind)
        if step is None:
            log.warning("order %d is of a kind unknown here: %s", order.no, order.kind)
            return
        try:
            step(self, order.facts)
        except wire.WireError as error:
            # Waiting would not make it better, and everything behind it would wait too.
            log.error("order %d cannot be executed: %s", order.no, error.code)

    def _open_visit(self, facts: dict[str, object]) -> None:
        self.session.open_visit(wire.text(facts, "visit_id"), self._now())

    def _close_visit(self, facts: dict[str, object]) -> None:
        self.session.close_visit(wire.text(facts, "visit_id"), self._now())

    def _take_series(self, facts: dict[str, object]) -> None:
        self.session.ask_for(
            wire.text(facts, "visit_id"), _meter_kind(facts), wire.whole(facts, "ordinal"), self._now()
        )

    def _enrol_meter(self, facts: dict[str, object]) -> None:
        enrolment_id = wire.text(facts, "enrolment_id")
        self.meters.enrol(enrolment_id, _meter_kind(facts), wire.text(facts, "name"), self._now())
        passkey = facts.get("passkey")
        self.enrolments.begin(enrolment_id, passkey if isinstance(passkey, str) else None)

    def _passkey(self, facts: dict[str, object]) -> None:
        self.enrolments.give_passkey(wire.text(facts, "enrolment_id"), wire.text(facts, "passkey"))

    def _forget_meter(self, facts: dict[str, object]) -> None:
        self.meters.forget(wire.text(facts, "enrolment_id"), self._now())

    def _ruleset(self, facts: dict[str, object]) -> None:
        rules = facts.get("ruleset")
        if not isinstance(rules, dict):
            raise wire.WireError("ruleset_missing")
        self.journal.remember("ruleset", json.dumps(rules))

    def _ingest_key(self, facts: dict[str, object]) -> None:
        self.journal.remember("ingest_key", json.dumps(wire.parse_public_key(facts).as_json()))

    def _nothing_durable(self, facts: dict[str, object]) -> None:
        """A simulated measurement changes nothing here; it happens after the order is marked as done."""


STEPS: dict[str, Callable[[Orders, dict[str, object]], None]] = {
    "open_visit": Orders._open_visit,
    "close_visit": Orders._close_visit,
    "take_series": Orders._take_series,
    "enrol_meter": Orders._enrol_meter,
    "passkey": Orders._passkey,
    "forget_meter": Orders._forget_meter,
    "ruleset": Orders._ruleset,
    "ingest_key": Orders._ingest_key,
    "simulate": Orders._nothing_durable,
}


def _meter_kind(facts: dict[str, object]) -> str:
    kind = wire.text(facts, "meter")
    if kind not in SERVICE_OF_KIND:
        raise wire.WireError("meter_unknown")
    return kind
