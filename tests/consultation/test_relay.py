"""The relay of calls: who comes, who goes, what passes between them, and who is kept out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from flask_socketio.test_client import SocketIOTestClient
from sqlalchemy import func, select

from telemed.access import audit
from telemed.access.models import AuditRow, SignInSession
from telemed.bootstrap import Application
from telemed.clock import iso
from telemed.consultation import service
from telemed.consultation.models import CallStep, Consultation
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
Open = Callable[[cast.Person], "Page"]


class Page:
    """One page's socket."""

    def __init__(self, socket: SocketIOTestClient) -> None:
        self.socket = socket

    def say(self, event: str, call_id: UUID, **document: Any) -> dict[str, Any]:
        """Send a message of the call and return the answer."""
        return self.socket.emit(event, {"call_id": str(call_id), **document}, callback=True)  # type: ignore[no-any-return]

    def join(self, call_id: UUID, page: str) -> dict[str, Any]:
        return self.say("call:join", call_id, page=page)

    def heard(self, event: str) -> list[dict[str, Any]]:
        """Return the documents of one event that arrived since the last look; all others are dropped."""
        return [got["args"][0] for got in self.socket.get_received() if got["name"] == event]


@pytest.fixture
def case(services: Services, hands: Hands) -> UUID:
    """A case that Vera has taken; the patient sits in Anna's corner."""
    visit = hands.visit(cast.MARIA, state="ready")
    with services.db.write() as tx:
        case_id = service.queue_case(services, tx, visit, "YELLOW")
    assert case_id is not None
    service.take(services, cast.VERA.who, case_id)
    return case_id


@pytest.fixture
def open_page(application: Application, sign_in: SignIn) -> Open:
    def open_page(person: cast.Person) -> Page:
        return Page(application.io.test_client(application.app, flask_test_client=sign_in(person)))

    return open_page


def peer(case: UUID, role: str, page: str, *, joined: bool = True) -> dict[str, Any]:
    return {"call_id": str(case), "joined": joined, "role": role, "page": page}


def audited(services: Services) -> int:
    with services.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(AuditRow)) or 0


def test_each_side_hears_that_the_other_is_there(open_page: Open, case: UUID) -> None:
    anna, vera = open_page(cast.ANNA), open_page(cast.VERA)
    assert anna.join(case, "a1") == {"ok": True}
    assert anna.heard("call:peer") == []
    assert vera.join(case, "v1") == {"ok": True}

    assert anna.heard("call:peer") == [peer(case, "doctor", "v1")]
    assert vera.heard("call:peer") == [peer(case, "clerk", "a1")]


def test_a_signal_passes_untouched_and_only_to_the_others(open_page: Open, case: UUID) -> None:
    anna, vera = open_page(cast.ANNA), open_page(cast.VERA)
    anna.join(case, "a1")
    vera.join(case, "v1")
    sent = {"page": "v1", "round": 0, "description": {"type": "offer", "sdp": "v=0\r\n"}}
    candidate = {"page": "v1", "round": 3, "candidate": {"candidate": "", "sdpMid": None, "sdpMLineIndex": 0}}
    assert vera.say("call:signal", case, **sent)["ok"]
    assert vera.say("call:signal", case, **candidate)["ok"]

    assert anna.heard("call:signal") == [{"call_id": str(case), **sent}, {"call_id": str(case), **candidate}]
    assert vera.heard("call:signal") == []


def test_leaving_and_losing_the_line_both_say_good_bye(open_page: Open, case: UUID) -> None:
    anna, vera = open_page(cast.ANNA), open_page(cast.VERA)
    anna.join(case, "a1")
    vera.join(case, "v1")
    anna.heard("call:peer")
    vera.say("call:leave", case)
    assert anna.heard("call:peer") == [{**peer(case, "doctor", "v1", joined=False), "by_choice": True}]

    vera.join(case, "v2")
    anna.heard("call:peer")
    vera.socket.disconnect()
    assert anna.heard("call:peer") == [peer(case, "doctor", "v2", joined=False)]


def test_a_page_whose_new_socket_is_there_already_has_not_left(open_page: Open, case: UUID) -> None:
    anna, old, new = open_page(cast.ANNA), open_page(cast.VERA), open_page(cast.VERA)
    anna.join(case, "a1")
    old.join(case, "v1")
    new.join(case, "v1")
    assert new.heard("call:peer") == [peer(case, "clerk", "a1")]
    anna.heard("call:peer")
    old.socket.disconnect()

    assert anna.heard("call:peer") == []
    new.socket.disconnect()
    assert anna.heard("call:peer") == [peer(case, "doctor", "v1", joined=False)]


def test_outsiders_hear_and_say_nothing(open_page: Open, case: UUID) -> None:
    anna = open_page(cast.ANNA)
    assert anna.join(case, "a1") == {"ok": True}
    anna.heard("call:peer")

    refused = {"doctor": "not_found", "clerk": "not_found", "coordinator": "forbidden", "pharmacist": "forbidden"}
    for person in (cast.GLEB, cast.BORIS, cast.RITA, cast.GALINA, cast.DINA):
        outsider = open_page(person)
        said = [
            outsider.join(case, "x"),
            outsider.say("call:signal", case, page="x", round=0, description={}),
            outsider.say("call:heard", case, audio=True, video=True),
            outsider.say("call:step", case, kind="telephone"),
            outsider.say("call:servers", case),
            outsider.say("call:leave", case),
        ]
        assert {answer["error"] for answer in said} == {refused[person.role]}
    assert anna.socket.get_received() == []


def test_a_role_that_is_in_no_call_learns_of_no_case_and_leaves_no_trace_of_each_word(
    open_page: Open, case: UUID, services: Services
) -> None:
    fedor, before = open_page(cast.FEDOR), audited(services)

    for asked in (case, UUID(int=7)):
        assert fedor.say("call:signal", asked, round=0)["error"] == "forbidden"

    assert audited(services) == before


def test_a_strangers_refused_word_holds_up_nobody(
    open_page: Open, case: UUID, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, vera, boris = open_page(cast.ANNA), open_page(cast.VERA), open_page(cast.BORIS)
    anna.join(case, "a1")
    vera.join(case, "v1")
    before, writing, go_on, record = audited(services), threading.Event(), threading.Event(), audit.record

    def slowly(*values: Any, **more: Any) -> None:
        writing.set()
        assert go_on.wait(20)
        record(*values, **more)

    monkeypatch.setattr(audit, "record", slowly)
    with ThreadPoolExecutor() as threads:
        refused = threads.submit(boris.say, "call:signal", case, round=0)
        assert writing.wait(20)
        heard = threads.submit(vera.say, "call:signal", case, round=0)
        try:
            assert heard.result(10)["ok"]
        finally:
            go_on.set()
        assert refused.result(20)["error"] == "not_found"

    assert len(anna.heard("call:signal")) == 1
    assert audited(services) == before + 1


def test_nothing_passes_after_the_end_and_both_are_told(
    open_page: Open, case: UUID, services: Services, application: Application
) -> None:
    anna, vera = open_page(cast.ANNA), open_page(cast.VERA)
    anna.join(case, "a1")
    vera.join(case, "v1")
    service.end(services, cast.VERA.who, case, "not_reached")

    for side in (anna, vera):
        assert [document["consultation_id"] for document in side.heard("call:ended")] == [str(case)]
        assert side.say("call:signal", case, page="x", round=0, candidate={})["error"] == "no_call_now"
        assert side.join(case, "new")["error"] == "no_call_now"
    vera.say("call:leave", case)
    assert anna.socket.get_received() == []


def test_a_revoked_session_is_out_at_the_next_event(
    open_page: Open, case: UUID, services: Services, clock: Clock
) -> None:
    anna, vera = open_page(cast.ANNA), open_page(cast.VERA)
    anna.join(case, "a1")
    vera.join(case, "v1")
    with services.db.write() as tx:
        for session in tx.scalars(select(SignInSession).where(SignInSession.account_id == cast.VERA.id)):
            tx.delete(session)

    assert vera.say("call:signal", case, page="v1", round=0, candidate={})["error"] == "sign_in_needed"
    assert anna.heard("call:signal") == []


def test_who_may_no_longer_be_in_the_call_hears_nothing_more(open_page: Open, case: UUID, services: Services) -> None:
    anna, vera = open_page(cast.ANNA), open_page(cast.VERA)
    anna.join(case, "a1")
    vera.join(case, "v1")
    anna.say("call:signal", case, page="a1", round=0, candidate={})
    assert len(vera.heard("call:signal")) == 1
    with services.db.write() as tx:
        for session in tx.scalars(select(SignInSession).where(SignInSession.account_id == cast.VERA.id)):
            tx.delete(session)

    anna.say("call:signal", case, page="a1", round=0, candidate={})
    assert anna.say("call:caption", case, text="слушаю") == {"ok": True, "reached": 0}
    assert vera.socket.get_received() == []


def test_a_second_device_is_refused_until_it_takes_over_by_a_clear_answer(open_page: Open, case: UUID) -> None:
    vera, first, second = open_page(cast.VERA), open_page(cast.ANNA), open_page(cast.ANNA)
    vera.join(case, "v1")
    assert first.say("call:join", case, page="a1", device="corner") == {"ok": True}
    vera.heard("call:peer")
    assert second.say("call:join", case, page="a2", device="office")["error"] == "call_elsewhere"
    assert second.say("call:signal", case, page="a2", round=0, candidate={})["error"] == "call_elsewhere"
    assert vera.socket.get_received() == []

    assert second.say("call:join", case, page="a2", device="office", take_over=True) == {"ok": True}
    assert first.heard("call:elsewhere") == [{"call_id": str(case)}]
    assert [(one["page"], one["joined"]) for one in vera.heard("call:peer")] == [("a1", False), ("a2", True)]
    assert first.say("call:signal", case, page="a1", round=0, candidate={})["error"] == "call_elsewhere"
    assert vera.heard("call:signal") == []


def test_a_reloaded_page_on_the_same_device_is_not_asked(open_page: Open, case: UUID) -> None:
    before, after = open_page(cast.ANNA), open_page(cast.ANNA)
    before.say("call:join", case, page="a1", device="corner")

    assert after.say("call:join", case, page="a2", device="corner") == {"ok": True}
    assert before.heard("call:elsewhere") == []


def test_captions_questions_and_codes_pass_to_the_other_side(open_page: Open, case: UUID) -> None:
    anna, vera = open_page(cast.ANNA), open_page(cast.VERA)
    anna.join(case, "a1")
    vera.join(case, "v1")
    anna.socket.get_received()
    photo_id = str(UUID(int=7))
    assert vera.say("call:photo_ask", case, photo_id=photo_id) == {"ok": True, "reached": 1}
    assert vera.say("call:caption", case, text="Как вы спите?")["reached"] == 1
    assert vera.say("call:code", case, page="v1", round=0, commit="0" * 64)["ok"]

    received = {got["name"]: got["args"][0] for got in anna.socket.get_received()}
    assert received["call:photo_ask"]["photo_id"] == photo_id
    assert received["call:caption"]["text"] == "Как вы спите?"
    assert received["call:code"]["commit"] == "0" * 64


def test_the_encounters_mode_is_the_lower_of_both_sides_and_each_step_is_kept(
    open_page: Open, case: UUID, services: Services, clock: Clock
) -> None:
    anna, vera = open_page(cast.ANNA), open_page(cast.VERA)
    anna.join(case, "a1")
    vera.join(case, "v1")

    def mode() -> str:
        clock.forward(seconds=1)
        with services.db.read() as tx:
            row = tx.get(Consultation, case)
            assert row is not None
            return row.mode

    vera.say("call:step", case, kind="video", reason="start")
    anna.say("call:step", case, kind="voice_photos", reason="line_thin")
    assert mode() == "voice_photos"
    vera.say("call:step", case, kind="thin_video", reason="line_thin")
    assert mode() == "voice_photos"
    anna.say("call:step", case, kind="video", reason="line_better")
    assert mode() == "thin_video"

    with services.db.read() as tx:
        rows = tx.scalars(select(CallStep).where(CallStep.consultation_id == case, CallStep.reason.is_not(None)))
        assert {(row.role, row.kind, row.reason) for row in rows} == {
            ("doctor", "video", "start"), ("clerk", "voice_photos", "line_thin"), ("doctor", "thin_video", "line_thin"),
            ("clerk", "video", "line_better"),
        }  # fmt: skip


def test_a_lost_corner_keeps_its_place_for_ten_minutes(
    open_page: Open, case: UUID, services: Services, clock: Clock
) -> None:
    def queued_at() -> datetime:
        with services.db.read() as tx:
            row = tx.get(Consultation, case)
            assert row is not None
            return row.queued_at

    before = queued_at()
    for minutes, keeps in ((10, True), (11, False)):
        anna = open_page(cast.ANNA)
        anna.join(case, f"a{minutes}")
        clock.forward(seconds=1)
        anna.socket.disconnect()
        clock.forward(minutes=minutes)
        service.give_back(services, cast.VERA.who, case)
        assert (queued_at() == before) is keeps
        service.take(services, cast.VERA.who, case)


def test_the_first_heard_of_either_side_starts_the_call_once(open_page: Open, case: UUID, services: Services) -> None:
    anna, vera = open_page(cast.ANNA), open_page(cast.VERA)
    anna.join(case, "a1")
    vera.join(case, "v1")
    vera.heard("call:heard")
    for _ in range(2):
        anna.say("call:heard", case, audio=True, video=False)
    with services.db.read() as tx:
        row = tx.get(Consultation, case)
        steps = tx.scalars(select(CallStep.kind).where(CallStep.consultation_id == case, CallStep.role == "clerk"))
        assert row is not None
        assert (row.state, list(steps)) == ("in_call", ["joined", "heard"])

    assert vera.heard("call:heard") == [{"call_id": str(case), "audio": True, "video": False}] * 2


@pytest.mark.parametrize(
    ("event", "document"),
    [
        ("call:join", {}),
        ("call:join", {"page": "x" * 41}),
        ("call:join", {"page": 5}),
        ("call:signal", {"round": -1}),
        ("call:signal", {"round": 10**30}),
        ("call:signal", {"description": "offer"}),
        ("call:signal", {"page": "p", "joke": 1}),
        ("call:heard", {"audio": "loud"}),
        ("call:step", {}),
        ("call:step", {"kind": "no_such"}),
        ("call:step", {"kind": "video", "reason": "because"}),
        ("call:code", {"commit": "short"}),
        ("call:code", {"nonce": "Z" * 32}),
        ("call:caption", {"text": "x" * 301}),
        ("call:photo_ask", {"photo_id": "x"}),
        ("call:minute", {"id": str(UUID(int=1)), "minute": 0, "seconds": -1}),
    ],
)
def test_a_message_of_another_shape_is_refused(
    open_page: Open, case: UUID, event: str, document: dict[str, Any]
) -> None:
    vera = open_page(cast.VERA)
    assert vera.join(case, "v1")["ok"]

    assert vera.say(event, case, **document)["error"] == "body_invalid"


@pytest.mark.parametrize("document", [None, "x", [], {"call_id": "x"}, {"call_id": str(UUID(int=5)), "page": "p"}])
def test_a_call_that_is_none_is_refused(open_page: Open, document: Any) -> None:
    answer = open_page(cast.VERA).socket.emit("call:join", document, callback=True)

    assert answer["error"] in ("body_invalid", "not_found")


def test_the_way_into_a_call_comes_to_members_only(open_page: Open, case: UUID, clock: Clock) -> None:
    way = {
        "ok": True, "kind": "p2p", "ice_servers": [], "policy": "all",
        "expires_at": iso(clock() + timedelta(hours=1)),
    }  # fmt: skip

    assert open_page(cast.VERA).say("call:servers", case) == {**way, "phone": "+78160000000"}
    assert open_page(cast.ANNA).say("call:servers", case)["phone"] == "+78162000000"
    assert open_page(cast.GLEB).say("call:servers", case) == {"error": "not_found"}


def test_only_the_region_watches_its_queue(open_page: Open, case: UUID) -> None:
    room = {"room": f"queue:{cast.LAKE}"}
    assert open_page(cast.VERA).socket.emit("watch", room, callback=True) == {"ok": True}

    for person in (cast.GLEB, cast.ANNA, cast.GALINA):
        assert open_page(person).socket.emit("watch", room, callback=True)["error"] == "forbidden"


def test_a_case_given_back_ends_the_talk_for_both_and_costs_the_corner_no_place(
    open_page: Open, case: UUID, services: Services
) -> None:
    anna, vera = open_page(cast.ANNA), open_page(cast.VERA)
    anna.join(case, "a1")
    vera.join(case, "v1")
    service.give_back(services, cast.VERA.who, case)

    for side in (anna, vera):
        assert [document["consultation_id"] for document in side.heard("call:ended")] == [str(case)]
    assert anna.say("call:leave", case) == {"ok": True}
    with services.db.read() as tx:
        assert service.corner_left_at(tx, case) is None, "it was sent out and has not gone"
