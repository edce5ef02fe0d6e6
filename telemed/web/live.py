"""Sockets: one connection a page, a guard on every event, rooms only after a check.

Flask-SocketIO runs no `before_request` for events and its session is a copy made at connect, so the principal is read
from the database at every event and again at every push: who is signed out, or whose relation to the room's subject
has ended, hears nothing more. A push carries the ids that `journey.py` declares; pages fetch values over HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from flask import request
from flask_socketio import SocketIO, join_room, leave_room
from pydantic import BaseModel

from telemed.access.accounts import who_are, who_is
from telemed.access.relations import NOBODY, Principal, Subject
from telemed.access.roles import is_open_to
from telemed.db import Tx
from telemed.errors import Forbidden, NotFound, SignInNeeded, TelemedError
from telemed.ids import parse_id
from telemed.outbox import Journey
from telemed.services import Services
from telemed.web.body import parse
from telemed.web.errors import as_document

COOKIE = "telemed_session"
SOCKETS_A_PERSON = 20  # each costs four threads: one person's many windows must not keep the others out
LOOK_EVERY_S = 3.0
log = structlog.get_logger()
FindSubject = Callable[[Tx, UUID], Subject]


@dataclass(frozen=True)
class Room:
    """A kind of room: who may `action` on the subject found by id may listen."""

    action: str
    subject: FindSubject


@dataclass(frozen=True)
class Listener:
    """Whose socket it is, and the session by which that is asked again."""

    person_id: UUID | None
    session: str


class Live:
    """The server's sockets. Slices register their events and rooms in `register(live, services)`."""

    def __init__(self, io: SocketIO, services: Services) -> None:
        self.io, self.services = io, services
        self.rooms: dict[str, Room] = {}
        self.actions: dict[str, str] = {}
        self.sockets: dict[str, Listener] = {}
        self._farewells: list[Callable[[str], Any]] = []
        self._count = threading.Lock()
        self._stopping = threading.Event()
        io.server.manager.may_hear = self.may_hear
        io.on_event("connect", self._connect)
        io.on_event("disconnect", self._disconnect)
        self.on("watch", "live.connect")(self._watch)
        self.on("unwatch", "live.connect")(self._unwatch)

    def on(
        self, event: str, action: str, body: type[BaseModel] | None = None
    ) -> Callable[[Callable[[Principal, Any], Any]], Callable[[Principal, Any], Any]]:
        """Register `handler(who, data)` for `event`. It answers with its result, or with a typed error."""

        def wrap(handler: Callable[[Principal, Any], Any]) -> Callable[[Principal, Any], Any]:
            def answer(data: Any) -> Any:
                who = who_is(self.services, self.session())
                if not is_open_to(action, who.role):
                    raise SignInNeeded() if who.role is None else Forbidden()
                return handler(who, parse(body, data) if body else data)

            self._register(event, action, answer)
            return handler

        return wrap

    def on_word(
        self, event: str, action: str, body: type[BaseModel]
    ) -> Callable[[Callable[[str, Any], Any]], Callable[[str, Any], Any]]:
        """Register `handler(session, data)` for what one page says to others many times a second. It asks itself who the
        session is, together with who may hear it: `action` is checked there, by one look at the database instead of two.
        A word does not keep its session alive; what a page says once a minute does.
        """

        def wrap(handler: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
            self._register(event, action, lambda data: handler(self.session(), parse(body, data)))
            return handler

        return wrap

    def session(self) -> str:
        """Return the session token with which the page of the present event connected."""
        listener = self.sockets.get(_sid())
        return listener.session if listener else ""

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
            for news in journey.live.get(type(event), ()):
                for room in news.rooms(event):
                    self.push(news.name, {name: str(getattr(event, name)) for name in news.ids}, room)

    def may_hear(self, room_name: str, sids: list[str]) -> set[str]:
        """Return the sockets in a room whose people may still watch it; the others leave it."""
        kind, _, text = room_name.partition(":")
        room, room_id = self.rooms.get(kind), parse_id(text)
        if room is None or room_id is None:
            return set(sids)  # a socket's own room, or one that its slice guards itself
        allowed: set[str] = set()
        try:
            allowed = self._allowed(room, room_id, sids)
        except NotFound:
            pass
        except Exception as error:  # called after a commit, which must not look failed because of a listener
            log.error("live.not_asked", room=kind, error=type(error).__name__)
            return allowed
        for sid in set(sids) - allowed:
            self.io.server.leave_room(sid, room_name)
        return allowed

    def _allowed(self, room: Room, room_id: UUID, sids: list[str]) -> set[str]:
        sessions = {sid: self.sockets[sid].session for sid in sids if sid in self.sockets}
        with self.services.db.read() as tx:
            subject = room.subject(tx, room_id)
            people = who_are(self.services, tx, set(sessions.values()))
            may = {who: self.services.may(tx, who, room.action, subject) for who in set(people.values())}
        return {sid for sid, session in sessions.items() if may.get(people.get(session, NOBODY))}

    def start(self) -> None:
        """Look every few seconds, in a background thread, whose session has ended."""
        threading.Thread(target=self._look, name="sessions", daemon=True).start()

    def stop(self) -> None:
        """End the looking."""
        self._stopping.set()

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            try:
                self.end_dead()
            except Exception as error:  # the database may be away for a moment
                log.error("live.not_looked", error=type(error).__name__)

    def end_dead(self) -> None:
        """Tell the pages whose session has ended, and cut their sockets."""
        sockets = dict(self.sockets)
        if not sockets:
            return
        with self.services.db.read() as tx:
            alive = who_are(self.services, tx, {one.session for one in sockets.values()})
        for sid in [sid for sid, one in sockets.items() if one.session not in alive]:
            self.io.server.emit("session:ended", {}, to=sid)
            self.io.server.disconnect(sid)

    def _connect(self, _auth: Any = None) -> bool:
        who = who_is(self.services, request.cookies.get(COOKIE))
        if not is_open_to("live.connect", who.role):
            return False
        with self._count:
            own = sum(one.person_id == who.id for one in self.sockets.values())
            if own >= SOCKETS_A_PERSON or len(self.sockets) >= self.services.settings.max_sockets:
                return False
            self.sockets[_sid()] = Listener(who.id, request.cookies[COOKIE])
        return True

    def _disconnect(self, _reason: Any = None) -> None:
        with self._count:
            self.sockets.pop(_sid(), None)
        for farewell in self._farewells:
            farewell(_sid())

    def _register(self, event: str, action: str, answer: Callable[[Any], Any]) -> None:
        self.actions[event] = action
        self.io.on_event(event, lambda data=None: self._answer(event, answer, data))

    def _answer(self, event: str, answer: Callable[[Any], Any], data: Any) -> Any:
        try:
            return answer(data)
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
