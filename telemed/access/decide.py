"""The one decision: default deny, pure over the relations that hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from telemed.access.roles import ACTIONS, conditions_of


@dataclass(frozen=True)
class Decision:
    """`reason` is a code for the audit: allowed, no_such_action, role, or relation."""

    allowed: bool
    reason: str


def decide(role: str | None, action: str, holds: Callable[[str], bool]) -> Decision:
    """Return whether `role` may do `action`; `holds` answers for a relation by name and is asked only when needed."""
    if action not in ACTIONS:
        return Decision(False, "no_such_action")
    ways = conditions_of(action, role)
    if not ways:
        return Decision(False, "role")
    if any(all(holds(name) for name in sorted(way)) for way in ways):
        return Decision(True, "allowed")
    return Decision(False, "relation")
