"""Sockets: only with a session, rooms only after a check, pushes carry ids, a revoked session is out at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_socketio.test_client import SocketIOTestClient

from telemed.access.accounts import disable_account
from telemed.bootstrap import Application
from telemed.checkup import service as checkup
from telemed.services import Services
from tests import cast
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
