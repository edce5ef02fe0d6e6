"""The list of sockets and their rooms, with a say before each delivery. With a queue between server processes each of
them asks for its own sockets, so a right that ended anywhere ends the news everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from socketio import Manager, RedisManager

MayHear = Callable[[str, list[str]], set[str]]


class _Asking:
    """Deliver to those sockets of a room that `may_hear(room, sockets)` returns at this moment."""

    may_hear: MayHear | None = None

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Yield the sockets of a room that may hear what is said in it now."""
        found = list(super().get_participants(namespace, room))  # type: ignore[misc]
        if found and self.may_hear is not None and isinstance(room, str):
            allowed = self.may_hear(room, [sid for sid, _ in found])
            found = [one for one in found if one[0] in allowed]
        yield from found


class Listeners(_Asking, Manager):  # type: ignore[misc]
    """The sockets of the one server process."""


class SharedListeners(_Asking, RedisManager):  # type: ignore[misc]
    """The sockets of this server process, one of several behind one queue."""


def listeners(redis_url: str) -> Listeners | SharedListeners:
    """Return the list for this deployment."""
    return SharedListeners(redis_url, channel="flask-socketio") if redis_url else Listeners()
