"""Sockets: one connection a page, a guard on every event, rooms only after a check.

Flask-SocketIO runs no `before_request` for events and its session is a copy made at connect, so the principal is read
from the database at every event: a revoked session is out at once. A push carries ids; pages fetch values over HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

import structlog
from flask import request
from flask_socketio import SocketIO, join_room, leave_room
from pydantic import BaseModel

from telemed.access.accounts import who_is
from telemed.access.relations import Principal, Subject
from telemed.access.roles import is_open_to
from telemed.clock import iso
from telemed.db import Tx
from telemed.errors import Forbidden, SignInNeeded, TelemedError
from telemed.ids import parse_id
from telemed.outbox import Journey
from telemed.services import Services
from telemed.web.body import parse
from telemed.web.errors import as_document

COOKIE = "telemed_session"
log = structlog.get_logger()
FindSubject = Callable[[Tx, UUID], Subject]


@dataclass(frozen=True)
class Room:
    """A kind of room: who may `action` on the subject found by id may listen."""

    action: str
    subject: FindSubject


class Live:
    """The server's sockets. Slices register their events and rooms in `register(live, services)`."""

    def __init__(self, io: SocketIO, services: Services) -> None:
        self.io, self.services = io, services
        self.rooms: dict[str, Room] = {}
        self.actions: dict[str, str] = {}
        self.sockets: set[str] = set()
        self._farewells: list[Callable[[str], Any]] = []
        self._count = threading.Lock()
        io.on_event("connect", self._connect)
        io.on_event("disconnect", self._disconnect)
        self.on("watch", "live.connect")(self._watch)
        self.on("unwatch", "live.connect")(self._unwatch)

    def on(
        self, event: str, action: str, body: type[BaseModel] | None = None
    ) -> Callable[[Callable[[Principal, Any], Any]], Callable[[Principal, Any], Any]]:
        """Register `handler(who, data)` for `event`. It answers with its result, or with a typed error."""

        def wrap(handler: Callable[[Principal, Any], Any]) -> Callable[[Principal, Any], Any]:
            self.actions[event] = action
            self.io.on_event(event, lambda data=None: self._handle(event, action, body, handler, data))
            return handler

        return wrap

    def room(self, kind: str, action: str, subject: FindSubject) -> None:
        """Allow pages to watch `<kind>:<id>` when their user may do `action` on the subject."""
        self.rooms[kind] = Room(action, subject)

    def on_disconnect(self, farewell: Callable[[str], Any]) -> None:
        """Call `farewell(sid)` for each socket that goes."""
        self._farewells.append(farewell)

    def push(self, name: str, document: dict[str, Any], room: str) -> None:
        """Send ids to everybody in `room`, in every server process."""
        self.io.emit(name, document, to=room)

    def push_news(self, journey: Journey, events: list[Any]) -> None:
        """Push the live consequences of events that are committed."""
        for event in events:
            pushes = journey.live.get(type(event), ())
            document = _ids(event) if pushes else {}
            for news in pushes:
                for room in news.rooms(event):
                    self.push(news.name, document, room)

    def _connect(self, _auth: Any = None) -> bool:
        if not is_open_to("live.connect", self._who().role):
            return False
        with self._count:
            if len(self.sockets) >= self.services.settings.max_sockets:
                return False
            self.sockets.add(_sid())
        return True

    def _disconnect(self, _reason: Any = None) -> None:
        with self._count:
            self.sockets.discard(_sid())
        for farewell in self._farewells:
            farewell(_sid())

    def _who(self) -> Principal:
        return who_is(self.services, request.cookies.get(COOKIE))

    def _handle(
        self, event: str, action: str, body: type[BaseModel] | None, handler: Callable[..., Any], data: Any
    ) -> Any:
        try:
            who = self._who()
            if not is_open_to(action, who.role):
                raise SignInNeeded() if who.role is None else Forbidden()
            return handler(who, parse(body, data) if body else data)
        except TelemedError as error:
            return as_document(error)
        except Exception as error:  # the edge of the socket: one event must not end the connection
            log.error("live.unexpected", event_name=event, error=type(error).__name__)
            return {"error": "server_error"}

    def _watch(self, who: Principal, data: Any) -> dict[str, Any]:
        kind, room_id = self._room_named(data)
        room = self.rooms[kind]
        with self.services.db.read() as tx:
            subject = room.subject(tx, room_id)
            if not self.services.may(tx, who, room.action, subject):
                raise Forbidden()
        join_room(f"{kind}:{room_id}")
        return {"ok": True}

    def _unwatch(self, _who: Principal, data: Any) -> dict[str, Any]:
        kind, room_id = self._room_named(data)
        leave_room(f"{kind}:{room_id}")
        return {"ok": True}

    def _room_named(self, data: Any) -> tuple[str, UUID]:
        kind, _, text = str(data.get("room", "") if isinstance(data, dict) else "").partition(":")
        room_id = parse_id(text)
        if kind not in self.rooms or room_id is None:
            raise Forbidden("no_such_room")
        return kind, room_id


def _sid() -> str:
    return request.sid  # type: ignore[attr-defined,no-any-return]


def _ids(event: Any) -> dict[str, Any]:
    document = {"event": type(event).__name__}
    for key, value in ((field.name, getattr(event, field.name)) for field in fields(event)):
        document[key] = iso(value) if hasattr(value, "isoformat") else str(value) if isinstance(value, UUID) else value
    return document

