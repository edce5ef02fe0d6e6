"""Sockets of the call: who is in it, and what passes between the two sides. The server relays and asks the database at
every event who belongs to the call, the speaker and each listener.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Literal
from uuid import UUID

from flask import request
from flask_socketio import join_room, leave_room
from pydantic import BaseModel, ConfigDict, Field

from telemed.access.accounts import who_is
from telemed.access.relations import Principal, Subject
from telemed.consultation import service_call, service_quality
from telemed.consultation.media_plane import Happened
from telemed.consultation.members import Calls, Member
from telemed.consultation.relations import find_subject
from telemed.db import Tx
from telemed.errors import Conflict, TelemedError
from telemed.services import Services
from telemed.web.live import Live

CALL = "consultation.join_call"
Mode = Literal["video", "thin_video", "voice_photos", "telephone"]
Kind = Literal[Mode, "automatic", "code_same", "code_differs", "say_again", "camera_lost", "camera_back"]
Reason = Literal["start", "line_thin", "line_slow", "line_better", "doctor", "clerk", "asked"]


class CallMessage(BaseModel):
    """Any message of a call names it."""

    model_config = ConfigDict(extra="forbid")

    call_id: UUID


class Join(CallMessage):
    """`page` tells a reloaded page from the one before, `device` one tab from another."""

    page: str = Field(min_length=1, max_length=40)
    device: str | None = Field(default=None, min_length=1, max_length=40)
    take_over: bool = False


class Signal(CallMessage):
    """Descriptions and candidates pass through unread. The corner asks for an offer, or for one that finds a new path."""

    page: str | None = Field(default=None, max_length=40)
    round: int | None = Field(default=None, ge=0, lt=10_000)
    description: dict[str, Any] | None = None
    candidate: dict[str, Any] | None = None
    ask: Literal["offer", "restart"] | None = None


class Code(CallMessage):
    """A step of the spoken code: a commitment, or the number that was committed to."""

    page: str | None = Field(default=None, max_length=40)
    round: int | None = Field(default=None, ge=0, lt=10_000)
    commit: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    nonce: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")


class Heard(CallMessage):
    audio: bool = False
    video: bool = False


class Step(CallMessage):
    kind: Kind
    reason: Reason | None = None


class Caption(CallMessage):
    """What was said, typed for a patient who hears badly. It passes and is not kept."""

    text: str = Field(max_length=300)


class AskPhoto(CallMessage):
    photo_id: UUID


class Minute(CallMessage):
    """A minute's figures; bounded, because a page's word is only a page's word."""

    id: UUID
    minute: int = Field(ge=0, lt=1440)
    seconds: int = Field(gt=0, le=120)
    step: Mode
    cuts: int = Field(ge=0, le=100)
    set_up_ms: int | None = Field(default=None, ge=0, le=3_600_000)
    concealed_pct: float | None = Field(default=None, ge=0, le=100)
    freezes: int = Field(ge=0, le=10_000)
    frozen_s: float = Field(ge=0, le=120)
    rtt_ms: int = Field(ge=0, le=600_000)
    loss_pct: float = Field(ge=0, le=100)
    out_kbit_s: float = Field(ge=0, le=1_000_000)


def register(live: Live, services: Services) -> None:
    """Register the slice's rooms and events."""
    relay = Relay(live, services)
    live.room("consultation", CALL, find_subject)
    live.room("queue", "queue.read", _region)
    live.on_disconnect(relay.drop)
    _register_coming_and_going(live, services, relay)
    _register_signalling(live, services, relay)
    _register_talk(live, services, relay)


def _register_coming_and_going(live: Live, services: Services, relay: Relay) -> None:
    @live.on("call:join", CALL, Join)
    def join(who: Principal, message: Join) -> dict[str, Any]:
        role = service_call.join_call(services, who, message.call_id)
        me = Member(role, message.page, message.device or message.page, live.session())
        relay.make_room(message.call_id, me, take_over=message.take_over)
        relay.plane.join(message.call_id, who)
        relay.enter(message.call_id, me)
        return {"ok": True}

    @live.on("call:leave", CALL, CallMessage)
    def leave(who: Principal, message: CallMessage) -> dict[str, Any]:
        relay.leave(message.call_id, _sid(), by_choice=True)  # first: who may no longer be in it may always leave it
        with suppress(Conflict):  # it is over: nobody is missing
            service_call.join_call(services, who, message.call_id)
            relay.plane.leave(message.call_id, who)
        return {"ok": True}


def _register_signalling(live: Live, services: Services, relay: Relay) -> None:
    @live.on("call:servers", CALL, CallMessage)
    def servers(who: Principal, message: CallMessage) -> dict[str, Any]:
        role = service_call.join_call(services, who, message.call_id)
        phone = service_call.phone_of_other_side(services, message.call_id, role)
        return {"ok": True, **relay.plane.open(message.call_id).as_json(), "phone": phone}

    @live.on_word("call:signal", CALL, Signal)
    def signal(session: str, message: Signal) -> dict[str, Any]:
        document = message.model_dump(exclude={"call_id"}, exclude_unset=True)
        relay.say(session, message.call_id, "call:signal", document)
        return {"ok": True}

    @live.on_word("call:code", CALL, Code)
    def code(session: str, message: Code) -> dict[str, Any]:
        relay.say(session, message.call_id, "call:code", message.model_dump(exclude={"call_id"}, exclude_unset=True))
        return {"ok": True}

    @live.on("call:heard", CALL, Heard)
    def heard(who: Principal, message: Heard) -> dict[str, Any]:
        relay.say(live.session(), message.call_id, "call:heard", {"audio": message.audio, "video": message.video})
        if message.audio or message.video:
            service_call.note_first_heard(services, who, message.call_id)
        return {"ok": True}


def _register_talk(live: Live, services: Services, relay: Relay) -> None:
    @live.on("call:step", CALL, Step)
    def step(who: Principal, message: Step) -> dict[str, Any]:
        role = service_call.join_call(services, who, message.call_id)
        service_call.note_call_step(services, who, message.call_id, message.kind, message.reason)
        document = {"kind": message.kind, "reason": message.reason, "role": role}
        return {"ok": True, "reached": relay.send("call:step", message.call_id, document)}

    @live.on("call:caption", CALL, Caption)
    def caption(who: Principal, message: Caption) -> dict[str, Any]:
        document = {"text": message.text, "role": str(who.role)}
        reached = relay.say(live.session(), message.call_id, "call:caption", document)
        return {"ok": True, "reached": reached}

    @live.on("call:photo_ask", CALL, AskPhoto)
    def ask_photo(who: Principal, message: AskPhoto) -> dict[str, Any]:
        document = {"photo_id": str(message.photo_id), "role": str(who.role)}
        return {"ok": True, "reached": relay.say(live.session(), message.call_id, "call:photo_ask", document)}

    @live.on("call:minute", CALL, Minute)
    def minute(who: Principal, message: Minute) -> dict[str, Any]:
        figures = message.model_dump(exclude={"call_id", "id"})
        service_quality.record_minute(services, who, message.call_id, message.id, figures)
        return {"ok": True}


class Relay:
    """Carry messages from one page of a call to the others that belong to it at this moment."""

    def __init__(self, live: Live, services: Services) -> None:
        self._live, self._services, self._calls = live, services, Calls()
        # A word is a millisecond of work. Two threads at it would only fight for the interpreter, and each that waits for
        # that wakes up every five milliseconds: at a thousand pages they did nothing else. For a lock they sleep.
        self._one_at_a_time = threading.Lock()
        self.plane = service_call.plane_of(services)
        self.plane.events(self._note)

    def say(self, session: str, call_id: UUID, event: str, document: dict[str, Any]) -> int:
        """Pass a word on to the others; return how many pages it reached. Speaker and listeners are judged by the
        database at one moment. Raises Conflict("call_elsewhere") for a page that was taken over or never joined.
        """
        with self._services.refusals(), self._one_at_a_time:  # a refusal is written down after the others may speak
            others = self._calls.others(call_id, _sid())
            hearing = service_call.speak(self._services, session, call_id, _sessions(others))
            if not self._calls.holds(call_id, _sid()):
                raise Conflict("call_elsewhere")
            return self._deliver(event, call_id, document, others, hearing)

    def make_room(self, call_id: UUID, me: Member, *, take_over: bool) -> None:
        """Let one device of a side be in the call: refuse the second one, or send the first one out."""
        for sid, rival in self._calls.rivals(call_id, me).items():
            if not take_over and self._belongs(rival, call_id):
                raise Conflict("call_elsewhere")
            self._emit("call:elsewhere", call_id, {}, to=sid)
            self.leave(call_id, sid, by_choice=True)

    def enter(self, call_id: UUID, me: Member) -> None:
        """Put the page into the call and tell each side of the other."""
        join_room(_room(call_id))
        others = self._calls.enter(call_id, _sid(), me)
        self.send("call:peer", call_id, _peer(me, joined=True))
        for other in others:
            if self._belongs(other, call_id):
                self._emit("call:peer", call_id, _peer(other, joined=True), to=_sid())

    def leave(self, call_id: UUID, sid: str, *, by_choice: bool = False) -> Member | None:
        """Take a socket out and tell the others when its page is gone; `by_choice` that no line was cut."""
        gone = self._calls.leave(call_id, sid)
        leave_room(_room(call_id), sid=sid, namespace="/")
        if gone is not None:
            chosen = {"by_choice": True} if by_choice else {}
            self.send("call:peer", call_id, {**_peer(gone, joined=False), **chosen})
        return gone

    def drop(self, sid: str) -> None:
        """Let a socket go whose line broke; the place of its side is kept from now on."""
        for call_id in self._calls.calls_of(sid):
            gone = self.leave(call_id, sid)
            if gone is not None:
                with suppress(TelemedError):  # the visit may be closed already
                    who = who_is(self._services, gone.session)
                    self.plane.leave(call_id, who, "dropped")

    def send(self, event: str, call_id: UUID, document: dict[str, Any]) -> int:
        """Send to the others who may hear it now; return how many pages that were."""
        others = self._calls.others(call_id, _sid())
        hearing = service_call.may_hear(self._services, call_id, _sessions(others))
        return self._deliver(event, call_id, document, others, hearing)

    def _deliver(
        self, event: str, call_id: UUID, document: dict[str, Any], others: dict[str, Member], hearing: set[str]
    ) -> int:
        """Send to those who may hear it; who may not is put out."""
        reached = 0
        for sid, member in others.items():
            if member.session in hearing:
                self._emit(event, call_id, document, to=sid)
                reached += 1
            else:
                self._calls.leave(call_id, sid)
                leave_room(_room(call_id), sid=sid, namespace="/")
        return reached

    def _note(self, news: Happened) -> None:
        service_call.note_call_step(self._services, news.who, news.call_id, news.kind, news.reason)

    def _belongs(self, member: Member, call_id: UUID) -> bool:
        return bool(service_call.may_hear(self._services, call_id, _sessions({"": member})))

    def _emit(self, event: str, call_id: UUID, document: dict[str, Any], to: str) -> None:
        self._live.io.emit(event, {**document, "call_id": str(call_id)}, to=to)


def _peer(member: Member, *, joined: bool) -> dict[str, Any]:
    return {"joined": joined, "role": member.role, "page": member.page}


def _region(_tx: Tx, region_id: UUID) -> Subject:
    return Subject(region_id=region_id)


def _sessions(members: dict[str, Member]) -> set[str]:
    return {member.session for member in members.values() if member.session}


def _room(call_id: UUID) -> str:
    return f"call:{call_id}"


def _sid() -> str:
    return request.sid  # type: ignore[attr-defined,no-any-return]
