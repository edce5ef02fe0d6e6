"""How media travels in a call: one seam, several kinds. The page is told a kind and chooses its strategy by it.

    p2p    browser to browser; coturn, where there is one, when no direct path is found
    relay  always through coturn, for sites whose addresses the other side must not learn

A kind that needs a place of its own for each call (a bridge, Janus) makes it in `open` and removes it in `close`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from telemed.access.relations import Principal
from telemed.clock import Clock, iso
from telemed.consultation import turn
from telemed.settings import Settings

LIFE = timedelta(hours=1)


@dataclass(frozen=True)
class Way:
    """What a page needs to know. `policy` is the browser's iceTransportPolicy; `ice_servers` holds until `expires_at`."""

    kind: str
    ice_servers: tuple[Mapping[str, Any], ...]
    policy: str
    expires_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return it as the page reads it: {kind, ice_servers, policy, expires_at}."""
        servers = [dict(server) for server in self.ice_servers]
        return {"kind": self.kind, "ice_servers": servers, "policy": self.policy, "expires_at": iso(self.expires_at)}


@dataclass(frozen=True)
class Happened:
    """News of a call from its media plane: joined or left, and why somebody left who did not say so."""

    call_id: UUID
    who: Principal
    kind: str
    reason: str | None = None


class MediaPlane(Protocol):
    """What the call asks of a kind. Everything may be asked twice; who may ask is decided before."""

    kind: str

    def open(self, call_id: UUID) -> Way:
        """Make the call ready and return the way into it; asked again, renew what expires."""

    def join(self, call_id: UUID, who: Principal) -> None:
        """Let somebody in, and tell the listeners."""

    def leave(self, call_id: UUID, who: Principal, reason: str | None = None) -> None:
        """Let somebody out, and tell the listeners."""

    def close(self, call_id: UUID) -> None:
        """Give back whatever the call held."""

    def events(self, listener: Callable[[Happened], None]) -> None:
        """Call `listener` for everything that happens from now on."""


class BetweenBrowsers:
    """The kinds in which the two pages find each other: the server gives passwords for coturn and keeps nothing."""

    def __init__(self, settings: Settings, clock: Clock, *, kind: str) -> None:
        self.kind, self._settings, self._clock = kind, settings, clock
        self._listeners: list[Callable[[Happened], None]] = []

    def open(self, call_id: UUID) -> Way:
        """Return the way into the call, with passwords of the next hour."""
        expires_at = self._clock() + LIFE
        policy = "relay" if self.kind == "relay" else "all"
        return Way(self.kind, tuple(turn.ice_servers(self._settings, call_id, expires_at)), policy, expires_at)

    def join(self, call_id: UUID, who: Principal) -> None:
        """Tell the listeners that somebody came."""
        self._tell(Happened(call_id, who, "joined"))

    def leave(self, call_id: UUID, who: Principal, reason: str | None = None) -> None:
        """Tell the listeners that somebody went."""
        self._tell(Happened(call_id, who, "left", reason))

    def close(self, call_id: UUID) -> None:
        """Give back nothing: passwords cannot be revoked, they end by themselves."""

    def events(self, listener: Callable[[Happened], None]) -> None:
        """Call `listener` for everything that happens from now on."""
        self._listeners.append(listener)

    def _tell(self, news: Happened) -> None:
        for listener in self._listeners:
            listener(news)


def media_plane(settings: Settings, clock: Clock) -> MediaPlane:
    """Return the kind that the settings ask for."""
    return BetweenBrowsers(settings, clock, kind=settings.media_plane)
