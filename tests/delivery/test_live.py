"""Who may listen to parcels, dispatch and pharmacy."""

from __future__ import annotations

from typing import Any

import pytest

from telemed.bootstrap import Application
from telemed.delivery import service
from tests import cast
from tests.delivery.made import EGOR, Post


@pytest.mark.parametrize(
    ("person", "room", "may"),
    [
        (cast.EGOR, f"dispatch:{cast.LAKE}", True),
        (cast.EGOR, f"dispatch:{cast.RIVER}", False),
        (cast.EGOR, f"pharmacy:{cast.LAKE}", False),
        (cast.DINA, f"pharmacy:{cast.LAKE}", True),
        (cast.DINA, f"pharmacy:{cast.RIVER}", False),
        (cast.FEDOR, f"dispatch:{cast.LAKE}", False),
        (cast.MARIA, f"parcel:{cast.known_id('no parcel')}", False),
    ],
)
def test_a_room_opens_to_its_own_people(
    application: Application, sign_in: Any, person: Any, room: str, may: bool
) -> None:
    socket = application.io.test_client(application.app, flask_test_client=sign_in(person))
    answer = socket.emit("watch", {"room": room}, callback=True)

    assert (answer == {"ok": True}) is may


def test_the_patient_and_the_dispatcher_hear_when_a_parcel_moves(
    application: Application, sign_in: Any, post: Post
) -> None:
    parcel_id = post.parcel("packed")
    service.assign(application.services, EGOR, parcel_id, cast.FEDOR.id)
    sockets = {}
    for person, room in ((cast.MARIA, f"parcel:{parcel_id}"), (cast.EGOR, f"dispatch:{cast.LAKE}")):
        sockets[person] = application.io.test_client(application.app, flask_test_client=sign_in(person))
        assert sockets[person].emit("watch", {"room": room}, callback=True) == {"ok": True}
    foreign = application.io.test_client(application.app, flask_test_client=sign_in(cast.IVAN))
    refused = foreign.emit("watch", {"room": f"parcel:{parcel_id}"}, callback=True)
    service.give(application.services, EGOR, parcel_id)
    heard = [[news["name"] for news in socket.get_received()] for socket in sockets.values()]

    assert refused == {"error": "forbidden"}
    assert heard == [["parcel:moved"], ["parcel:moved"]]
    assert foreign.get_received() == []
