"""Enrolling a meter: a minute in which it may pair, what the operator is told meanwhile, and who answers its passkey.

On Linux the answer goes through an agent of our own (`devices/bluez_agent.py`); bleak has none.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field

from devices.journal import Journal

# What an operator is told of an enrolment, and why one failed.
LOOKING, FOUND, PASSKEY_NEEDED, ENROLLED, FAILED = "looking", "found", "passkey_needed", "enrolled", "failed"
NOT_SEEN, PASSKEY_MISSING, PASSKEY_WRONG = "not_seen", "passkey_missing", "passkey_wrong"
PAIRING_REFUSED, LINK_LOST, OTHER_METER, BOND_LOST = "pairing_refused", "link_lost", "other_meter", "bond_lost"

LOOK_FOR_S = 60.0
PASSKEY_WITHIN_S = 30.0  # the Bluetooth stack gives up then

Ask = Callable[[], Awaitable[int | None]]
OpenAgent = Callable[[str, Ask], AbstractAsyncContextManager[None]]


@dataclass
class Enrolment:
    """One meter that is being enrolled, or was lately."""

    until: float
    state: str = LOOKING
    code: str | None = None
    passkey: int | None = None
    is_asked: bool = False
    is_fresh: bool = False  # an old pairing has been dropped
    typed: asyncio.Event = field(default_factory=asyncio.Event)

    def is_open(self, now_s: float) -> bool:
        """Say whether the meter may still be taken."""
        return self.state in (LOOKING, FOUND, PASSKEY_NEEDED) and now_s < self.until


class Enrolments:
    """The meters being enrolled, and those whose pairing is lost. `changed` is set when the operator should hear of
    something; a lost pairing is remembered over a restart, so that it is asked about once and never tried in a loop.
    """

    def __init__(self, journal: Journal, now_s: Callable[[], float] = time.monotonic) -> None:
        self.journal = journal
        self.changed = asyncio.Event()
        self._now_s = now_s
        self._known: dict[str, Enrolment] = {}

    def begin(self, enrolment_id: str, passkey: str | None = None) -> None:
        """Look for this meter for a minute."""
        self._known[enrolment_id] = Enrolment(self._now_s() + LOOK_FOR_S, passkey=_digits(passkey))
        self.changed.set()

    def open(self, enrolment_id: str) -> Enrolment | None:
        """Return the enrolment under way, or None."""
        enrolment = self._known.get(enrolment_id)
        return enrolment if enrolment and enrolment.is_open(self._now_s()) else None

    def is_any_open(self) -> bool:
        """Say whether a meter is being enrolled now."""
        return any(enrolment.is_open(self._now_s()) for enrolment in self._known.values())

    def give_passkey(self, enrolment_id: str, text: str) -> None:
        """Take the six digits the operator has read. Digits for another meter, or nonsense, change nothing."""
        enrolment, digits = self.open(enrolment_id), _digits(text)
        if enrolment is not None and digits is not None:
            enrolment.passkey = digits
            enrolment.typed.set()
            if enrolment.state == PASSKEY_NEEDED:  # or the operator would be asked for them once more
                self.note(enrolment_id, FOUND)

    async def ask_passkey(self, enrolment_id: str) -> int | None:
        """Return the passkey, asking the operator for it; None when nobody answers in time."""
        enrolment = self.open(enrolment_id)
        if enrolment is None:
            return None
        enrolment.is_asked = True
        if enrolment.passkey is None:
            self.note(enrolment_id, PASSKEY_NEEDED)
            with suppress(TimeoutError):
                async with asyncio.timeout(PASSKEY_WITHIN_S):
                    await enrolment.typed.wait()
        return enrolment.passkey

    def note(self, enrolment_id: str, state: str, code: str | None = None) -> None:
        """Tell the operator how far it is."""
        enrolment = self._known.setdefault(enrolment_id, Enrolment(self._now_s()))
        enrolment.state, enrolment.code = state, code
        if state == PASSKEY_NEEDED:  # asked late in the minute, it is worth as much as early
            enrolment.until = max(enrolment.until, self._now_s() + PASSKEY_WITHIN_S)
        if state in (ENROLLED, FAILED):
            self._remember_bond(enrolment_id, is_lost=state == FAILED)
        self.changed.set()

    def note_bond_lost(self, enrolment_id: str) -> None:
        """Ask the operator once to pair this meter again; until then it is left alone. An enrolment that just failed
        has told its reason already.
        """
        if self.open(enrolment_id) is None and not self.is_bond_lost(enrolment_id):
            self.note(enrolment_id, FAILED, BOND_LOST)

    def is_bond_lost(self, enrolment_id: str) -> bool:
        """Say whether this meter waits to be paired again."""
        return self.journal.setting(_bond(enrolment_id)) == "lost"

    def waits_for_operator(self, enrolment_id: str) -> bool:
        """Say whether somebody must pair this meter again and has not begun."""
        return self.is_bond_lost(enrolment_id) and self.open(enrolment_id) is None

    def why_refused(self, enrolment_id: str) -> str:
        """Return the reason to tell when the meter would not pair."""
        enrolment = self._known.get(enrolment_id)
        if enrolment is None or not enrolment.is_asked:
            return PAIRING_REFUSED
        return PASSKEY_MISSING if enrolment.passkey is None else PASSKEY_WRONG

    def report(self, enrolment_id: str, *, is_known: bool) -> dict[str, str | None]:
        """Return what the heartbeat says of a meter's enrolment; `is_known`: it was reached at least once."""
        enrolment = self._known.get(enrolment_id)
        if self.is_bond_lost(enrolment_id) and not self.open(enrolment_id):
            state, code = FAILED, enrolment.code if enrolment and enrolment.state == FAILED else BOND_LOST
        elif enrolment is None or (enrolment.state != ENROLLED and not enrolment.is_open(self._now_s())):
            state, code = self._after_the_minute(enrolment, is_known=is_known)
        else:
            state, code = enrolment.state, enrolment.code
        return {"enrolment": state, "enrolment_code": code}

    @staticmethod
    def _after_the_minute(enrolment: Enrolment | None, *, is_known: bool) -> tuple[str, str | None]:
        if enrolment is not None and enrolment.is_fresh:  # the old pairing is gone, and no new one was made
            return FAILED, LINK_LOST
        return (ENROLLED, None) if is_known else (FAILED, NOT_SEEN)

    def _remember_bond(self, enrolment_id: str, *, is_lost: bool) -> None:
        if is_lost != self.is_bond_lost(enrolment_id):
            self.journal.remember(_bond(enrolment_id), "lost" if is_lost else "kept")


def _bond(enrolment_id: str) -> str:
    return f"bond:{enrolment_id}"


def _digits(text: str | None) -> int | None:
    """Return six digits as the number that Bluetooth wants, or None."""
    plain = (text or "").replace(" ", "")
    return int(plain) if len(plain) == 6 and plain.isascii() and plain.isdigit() else None


@asynccontextmanager
async def no_agent(address: str, ask: Ask) -> AsyncIterator[None]:
    """Leave passkeys to the system's own dialogue."""
    yield


def system_agent(address: str, ask: Ask) -> AbstractAsyncContextManager[None]:
    """Return who answers passkeys on this operating system."""
    if sys.platform != "linux":
        return no_agent(address, ask)
    # Its library is installed on Linux only.
    opened: AbstractAsyncContextManager[None] = importlib.import_module("devices.bluez_agent").open_agent(address, ask)
    return opened
