"""Sockets of the call: rooms and signalling. The server relays and checks membership at every event; the room of
Socket.IO is delivery only.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import request
from flask_socketio import emit, join_room, leave_room
from pydantic import BaseModel, ConfigDict, Field

from telemed.access.relations import Principal, Subject
from telemed.consultation import service
from telemed.db import Tx
from telemed.services import Services
from telemed.web.live import Live

CALL = "consultation.join_call"
PASSED_ON = {"description", "candidate", "page", "round"}


class CallMessage(BaseModel):
    """Any message of the call; descriptions and candidates pass through unread."""

    model_config = ConfigDict(extra="forbid")

    call_id: UUID
    page: str | None = Field(default=None, max_length=40)  # tells a reloaded page from the one before
    round: int | None = None
    description: dict[str, Any] | None = None
    candidate: dict[str, Any] | None = None
    audio: bool | None = None
    video: bool | None = None
    kind: str | None = Field(default=None, max_length=32, pattern=r"^[a-z_]+$")
    reason: str | None = Field(default=None, max_length=32, pattern=r"^[a-z_]+$")


def register(live: Live, services: Services) -> None:
    """Register the slice's rooms and events."""
    live.room("consultation", "consultation.join_call", service.find_subject)
    live.room("queue", "queue.read", _region)

    @live.on("call:join", CALL, CallMessage)
    def join(who: Principal, message: CallMessage) -> dict[str, Any]:
        role = service.join_call(services, who, message.call_id)
        service.note_call_step(services, who, message.call_id, "joined")
        join_room(_room(message))
        _relay("call:peer", message, {"joined": True, "role": role, "page": message.page})
        return {"ok": True, "ice_servers": service.ice_servers(services, message.call_id)}

    @live.on("call:signal", CALL, CallMessage)
    def signal(who: Principal, message: CallMessage) -> dict[str, Any]:
        service.join_call(services, who, message.call_id)
        _relay("call:signal", message, message.model_dump(include=PASSED_ON, exclude_none=True))
        return {"ok": True}

    @live.on("call:heard", CALL, CallMessage)
    def heard(who: Principal, message: CallMessage) -> dict[str, Any]:
        service.join_call(services, who, message.call_id)
        if message.audio or message.video:
            service.note_first_heard(services, who, message.call_id)
        _relay("call:heard", message, {"audio": bool(message.audio), "video": bool(message.video)})
        return {"ok": True}

    @live.on("call:step", CALL, CallMessage)
    def step(who: Principal, message: CallMessage) -> dict[str, Any]:
        service.join_call(services, who, message.call_id)
        service.note_call_step(services, who, message.call_id, message.kind or "other", message.reason)
        _relay("call:step", message, {"kind": message.kind, "reason": message.reason, "role": who.role})
        return {"ok": True}

    @live.on("call:leave", CALL, CallMessage)
    def leave(who: Principal, message: CallMessage) -> dict[str, Any]:
        role = service.join_call(services, who, message.call_id)
        service.note_call_step(services, who, message.call_id, "left")
        _relay("call:peer", message, {"joined": False, "role": role, "page": message.page})
        leave_room(_room(message))
        return {"ok": True}


def _region(_tx: Tx, region_id: UUID) -> Subject:
    return Subject(region_id=region_id)


def _room(message: CallMessage) -> str:
    return f"call:{message.call_id}"


def _relay(event: str, message: CallMessage, document: dict[str, Any]) -> None:
    """Send to the other side only."""
    emit(event, {"call_id": str(message.call_id), **document}, to=_room(message), skip_sid=request.sid)  # type: ignore[attr-defined]
