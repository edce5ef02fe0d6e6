"""Who is in which call on this server process. One consultation's sockets all come to one process."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Member:
    """A page in a call. `device` stays the same over a reload; `session` is asked again before anything is sent to it."""

    role: str
    page: str
    device: str
    session: str | None


class Calls:
    """The pages in each call, by socket. A person's second device does not slip in beside the first."""

    def __init__(self) -> None:
        self._members: dict[UUID, dict[str, Member]] = {}
        self._lock = threading.Lock()

    def rivals(self, call_id: UUID, newcomer: Member) -> dict[str, Member]:
        """Return the sockets of the same side on other devices."""
        with self._lock:
            members = self._members.get(call_id, {})
            return {
                sid: one for sid, one in members.items() if one.role == newcomer.role and one.device != newcomer.device
            }

    def enter(self, call_id: UUID, sid: str, member: Member) -> list[Member]:
        """Add a socket; return the other pages that are there already, each once."""
        with self._lock:
            members = self._members.setdefault(call_id, {})
            members[sid] = member
            return list({other.page: other for other in members.values() if other.page != member.page}.values())

    def leave(self, call_id: UUID, sid: str) -> Member | None:
        """Take a socket out; return its page when no other socket of that page remains in the call."""
        with self._lock:
            members = self._members.get(call_id, {})
            gone = members.pop(sid, None)
            if not members:
                self._members.pop(call_id, None)
            return gone if gone and all(other.page != gone.page for other in members.values()) else None

    def holds(self, call_id: UUID, sid: str) -> bool:
        """Tell whether this socket is in the call: one that was taken over is not."""
        with self._lock:
            return sid in self._members.get(call_id, {})

    def others(self, call_id: UUID, sid: str) -> dict[str, Member]:
        """Return everybody else in the call."""
        with self._lock:
            return {other: member for other, member in self._members.get(call_id, {}).items() if other != sid}

    def calls_of(self, sid: str) -> list[UUID]:
        """Return the calls that a socket is in."""
        with self._lock:
            return [call_id for call_id, members in self._members.items() if sid in members]
