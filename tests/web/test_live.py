"""Sockets: only with a session, rooms only after a check, pushes carry ids, a revoked session is out at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_type_hints
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from flask_socketio.test_client import SocketIOTestClient

from telemed import prepared
from telemed.access import accounts
from telemed.access.accounts import disable_account
from telemed.access.models import Account
from telemed.bootstrap import Application
from telemed.branches.events import LineMeasured
from telemed.checkup import service as checkup
from telemed.journey import JOURNEY
from telemed.readings.events import TriageChanged
from telemed.services import Services
from telemed.web.live import SOCKETS_A_PERSON
from tests import cast
from tests.conftest import Clock
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
Connect = Callable[[cast.Person], SocketIOTestClient]


@pytest.fixture
def connect(application: Application, sign_in: SignIn) -> Connect:
    def connect(person: cast.Person) -> SocketIOTestClient:
        return application.io.test_client(application.app, flask_test_client=sign_in(person))

    return connect


def ask(socket: SocketIOTestClient, event: str, document: Any) -> Any:
    return socket.emit(event, document, callback=True)


def test_a_stranger_gets_no_socket(application: Application) -> None:
    stranger = application.io.test_client(application.app, flask_test_client=application.app.test_client())

    assert not stranger.is_connected()


def test_a_room_opens_to_its_own_branch_only(connect: Connect) -> None:
    anna, boris = connect(cast.ANNA), connect(cast.BORIS)

    assert ask(anna, "watch", {"room": f"branch:{cast.OZERKI}"}) == {"ok": True}
    assert ask(boris, "watch", {"room": f"branch:{cast.OZERKI}"})["error"] in ("forbidden", "not_found")
    assert ask(boris, "watch", {"room": f"branch:{cast.SOSNOVO}"}) == {"ok": True}


@pytest.mark.parametrize(
    "document",
    [None, {}, [], "branch", {"room": "branch"}, {"room": "admin:1"}, {"room": f"list:{cast.LAKE}"}, {"room": 7}],
)
def test_a_room_that_does_not_exist_is_refused(connect: Connect, document: Any) -> None:
    assert "error" in ask(connect(cast.ANNA), "watch", document)


def test_a_push_carries_ids_and_reaches_watchers_after_the_commit(
    connect: Connect, services: Services, hands: Hands
) -> None:
    visit_id = hands.visit(cast.MARIA)
    anna, boris = connect(cast.ANNA), connect(cast.BORIS)
    ask(anna, "watch", {"room": f"visit:{visit_id}"})

    answers = {"symptoms": ["headache"], "arm": "left", "cuff": "medium", "question": "Секрет-91"}
    checkup.answer_questions(services, cast.ANNA.who, visit_id, answers)

    news = [message for message in anna.get_received() if message["name"] == "visit:changed"]
    assert news[0]["args"][0]["visit_id"] == str(visit_id)
    assert "Секрет-91" not in str(news)
    assert boris.get_received() == []


def test_a_disabled_account_is_out_at_the_next_event(connect: Connect, services: Services) -> None:
    anna = connect(cast.ANNA)
    assert ask(anna, "watch", {"room": f"branch:{cast.OZERKI}"}) == {"ok": True}

    disable_account(services, cast.OLEG.who, cast.ANNA.id)

    assert ask(anna, "watch", {"room": f"branch:{cast.OZERKI}"})["error"] == "sign_in_needed"


def test_one_person_cannot_take_all_sockets(connect: Connect) -> None:
    windows = [connect(cast.ANNA) for _ in range(SOCKETS_A_PERSON)]
    assert all(window.is_connected() for window in windows)

    assert not connect(cast.ANNA).is_connected()
    assert connect(cast.BORIS).is_connected()


def test_news_carries_the_ids_that_the_journey_declares_and_no_more() -> None:
    for kind, pushes in JOURNEY.live.items():
        hints = get_type_hints(kind)
        for push in pushes:
            assert push.ids, kind
            assert {hints[name] for name in push.ids} == {UUID}, kind


def test_a_push_says_nothing_but_ids(connect: Connect, hands: Hands) -> None:
    anna = connect(cast.ANNA)
    ask(anna, "watch", {"room": f"branch:{cast.OZERKI}"})

    visit_id = hands.visit(cast.MARIA)
    with hands.services.db.write() as tx:
        hands.services.publish(tx, TriageChanged(visit_id, cast.MARIA.id, cast.OZERKI, "RED", cast.NOON))

    news = [message["args"][0] for message in anna.get_received() if message["name"] == "triage:changed"]
    assert news == [{"visit_id": str(visit_id), "branch_id": str(cast.OZERKI)}]


def names(socket: SocketIOTestClient) -> list[str]:
    return [message["name"] for message in socket.get_received()]


def say_something(services: Services) -> None:
    """Cause news in Ozerki's room."""
    with services.db.write() as tx:
        services.publish(tx, LineMeasured(cast.OZERKI, "good", cast.NOON))


def test_a_session_that_ended_hears_nothing_more(connect: Connect, services: Services) -> None:
    anna, other = connect(cast.ANNA), connect(cast.ANNA)
    for socket in (anna, other):
        ask(socket, "watch", {"room": f"branch:{cast.OZERKI}"})
    say_something(services)
    assert names(anna) == names(other) == ["branch:changed"]

    anna.flask_test_client.post("/sign-out")
    say_something(services)

    assert names(anna) == []
    assert names(other) == ["branch:changed"]


def test_a_session_that_ended_is_told_and_its_socket_cut(
    application: Application, connect: Connect, services: Services, clock: Clock
) -> None:
    anna, boris, vera = connect(cast.ANNA), connect(cast.BORIS), connect(cast.VERA)
    anna.flask_test_client.post("/sign-out")
    disable_account(services, cast.OLEG.who, cast.BORIS.id)

    application.live.end_dead()

    assert [socket.is_connected() for socket in (anna, boris, vera)] == [False, False, True]
    assert "session:ended" in str(anna.queue)
    assert vera.get_received() == []

    clock.forward(minutes=31)  # nobody touched the page
    application.live.end_dead()

    assert not vera.is_connected()
    assert application.live.sockets == {}


def test_a_clerk_who_moved_to_another_branch_hears_the_old_one_no_more(connect: Connect, services: Services) -> None:
    anna = connect(cast.ANNA)
    ask(anna, "watch", {"room": f"branch:{cast.OZERKI}"})

    with services.db.write() as tx:
        tx.get_one(Account, cast.ANNA.id).branch_id = cast.SOSNOVO
    say_something(services)

    assert names(anna) == []


def test_one_question_serves_all_sockets_of_a_room(
    connect: Connect, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = [connect(cast.ANNA) for _ in range(8)]
    for socket in sockets:
        ask(socket, "watch", {"room": f"branch:{cast.OZERKI}"})
    asked: list[Any] = []
    monkeypatch.setattr(accounts, "ask", lambda *asking: asked.append(asking) or prepared.ask(*asking))

    say_something(services)

    assert all(names(socket) == ["branch:changed"] for socket in sockets)
    assert len(asked) == 1


def test_above_the_cap_no_socket_is_taken_and_one_that_leaves_makes_room(
    application: Application, connect: Connect
) -> None:
    application.services.settings = replace(application.services.settings, max_sockets=2)
    first, second = connect(cast.ANNA), connect(cast.BORIS)
    assert first.is_connected()
    assert second.is_connected()

    assert not connect(cast.VERA).is_connected()

    first.disconnect()
    assert connect(cast.VERA).is_connected()
