"""Sockets of the call: rooms and signalling. The server relays and asks the database at every event who belongs to the
call; the room of Socket.IO is delivery only.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import request
from flask_socketio import join_room, leave_room
from pydantic import BaseModel, ConfigDict, Field

from telemed.access.relations import Principal, Subject
from telemed.consultation import service_call
from telemed.consultation.relations import find_subject
from telemed.db import Tx
from telemed.services import Services
from telemed.web.live import Live

CALL = "consultation.join_call"


class CallMessage(BaseModel):
    """Any message of a call names it."""

    model_config = ConfigDict(extra="forbid")

    call_id: UUID


class Join(CallMessage):
    """`page` tells a reloaded page from the one before."""

    page: str = Field(min_length=1, max_length=40)


class Signal(CallMessage):
    """Descriptions and candidates pass through unread."""

    page: str | None = Field(default=None, max_length=40)
    round: int | None = Field(default=None, ge=0, lt=10_000)
    description: dict[str, Any] | None = None
    candidate: dict[str, Any] | None = None


class Heard(CallMessage):
    audio: bool = False
    video: bool = False


class Step(CallMessage):
    kind: str = Field(min_length=1, max_length=32, pattern=r"^[a-z_]+$")
    reason: str | None = Field(default=None, max_length=32, pattern=r"^[a-z_]+$")


@dataclass(frozen=True)
class Member:
    """A page in a call."""

    role: str
    page: str


class Calls:
    """Who is in which call on this server process. One consultation's sockets all come to one process."""

    def __init__(self) -> None:
        self._members: dict[UUID, dict[str, Member]] = {}
        self._lock = threading.Lock()

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

    def calls_of(self, sid: str) -> list[UUID]:
        """Return the calls that a socket is in."""
        with self._lock:
            return [call_id for call_id, members in self._members.items() if sid in members]


def register(live: Live, services: Services) -> None:
    """Register the slice's rooms and events."""
    calls = Calls()
    live.room("consultation", CALL, find_subject)
    live.room("queue", "queue.read", _region)

    @live.on("call:join", CALL, Join)
    def join(who: Principal, message: Join) -> dict[str, Any]:
        role = service_call.join_call(services, who, message.call_id)
        service_call.note_call_step(services, who, message.call_id, "joined")
        join_room(_room(message.call_id))
        me = Member(role, message.page)
        others = calls.enter(message.call_id, _sid(), me)
        relay("call:peer", message.call_id, _peer(me, joined=True))
        for other in others:
            _send(live, "call:peer", message.call_id, _peer(other, joined=True), to=_sid())
        return {"ok": True}

    @live.on("call:servers", CALL, CallMessage)
    def servers(who: Principal, message: CallMessage) -> dict[str, Any]:
        service_call.join_call(services, who, message.call_id)
        return {"ok": True, "ice_servers": service_call.ice_servers(services, message.call_id)}

    @live.on("call:signal", CALL, Signal)
    def signal(who: Principal, message: Signal) -> dict[str, Any]:
        service_call.join_call(services, who, message.call_id)
        relay("call:signal", message.call_id, message.model_dump(exclude={"call_id"}, exclude_unset=True))
        return {"ok": True}

    @live.on("call:heard", CALL, Heard)
    def heard(who: Principal, message: Heard) -> dict[str, Any]:
        service_call.join_call(services, who, message.call_id)
        if message.audio or message.video:
            service_call.note_first_heard(services, who, message.call_id)
        relay("call:heard", message.call_id, {"audio": message.audio, "video": message.video})
        return {"ok": True}

    @live.on("call:step", CALL, Step)
    def step(who: Principal, message: Step) -> dict[str, Any]:
        role = service_call.join_call(services, who, message.call_id)
        service_call.note_call_step(services, who, message.call_id, message.kind, message.reason)
        relay("call:step", message.call_id, {"kind": message.kind, "reason": message.reason, "role": role})
        return {"ok": True}

    @live.on("call:leave", CALL, CallMessage)
    def leave(who: Principal, message: CallMessage) -> dict[str, Any]:
        go(message.call_id)  # first: who may no longer be in the call may always leave it
        leave_room(_room(message.call_id))
        service_call.note_call_step(services, who, message.call_id, "left")
        return {"ok": True}

    def go(call_id: UUID) -> None:
        gone = calls.leave(call_id, _sid())
        if gone is not None:
            relay("call:peer", call_id, _peer(gone, joined=False))

    def relay(event: str, call_id: UUID, document: dict[str, Any]) -> None:
        _send(live, event, call_id, document, to=_room(call_id), skip_sid=_sid())

    live.on_disconnect(lambda sid: [go(call_id) for call_id in calls.calls_of(sid)])


def _send(live: Live, event: str, call_id: UUID, document: dict[str, Any], **where: str) -> None:
    live.io.emit(event, {**document, "call_id": str(call_id)}, **where)


def _peer(member: Member, *, joined: bool) -> dict[str, Any]:
    return {"joined": joined, "role": member.role, "page": member.page}


def _region(_tx: Tx, region_id: UUID) -> Subject:
    return Subject(region_id=region_id)


def _room(call_id: UUID) -> str:
    return f"call:{call_id}"


def _sid() -> str:
    return request.sid  # type: ignore[attr-defined,no-any-return]
