"""The phone's JSON: shapes, refusals, bad input."""

from __future__ import annotations

from typing import Any

import pytest

from telemed.ids import new_id
from tests import cast
from tests.delivery.made import Post

SYNC = "/api/v1/delivery/sync"


def registered(browser: Any) -> str:
    device_id = str(new_id())
    assert browser.post("/api/v1/delivery/phones", json={"device_id": device_id}).json["watermark"] == 0
    return device_id


def test_a_phone_reads_its_list_and_syncs(post: Post, sign_in: Any) -> None:
    parcel_id = post.parcel("given")
    browser = sign_in(cast.FEDOR)
    device_id = registered(browser)
    shown = browser.get(f"/api/v1/delivery/round?device_id={device_id}").json
    event = post.event(1, parcel_id, proof=post.secret(parcel_id))
    answer = browser.post(SYNC, json={"device_id": device_id, "epoch": None, "events": [event]}).json

    assert set(shown) == {"postman_id", "epoch", "watermark", "time", "csrf", "parcels"}
    assert set(shown["parcels"][0]) == {
        "parcel_id", "number", "state", "name", "address", "place", "flags", "weight_g", "proof_hash",
    }  # fmt: skip
    assert answer["epoch"] == shown["epoch"]
    assert answer["watermark"] == 1
    assert answer["results"] == [
        {"event_id": event["event_id"], "device_seq": 1, "status": "applied", "code": None, "was": None}
    ]


def test_no_drug_name_reaches_the_postman_or_the_dispatcher(post: Post, sign_in: Any) -> None:
    post.parcel("given")
    post.parcel("packed", cast.IVAN)
    order_id = post.now(post.parcel("ordered", cast.PELAGEYA)).order_id
    browser = sign_in(cast.FEDOR)
    device_id = registered(browser)
    seen = browser.get(f"/api/v1/delivery/round?device_id={device_id}").text + browser.get("/round").text
    seen += sign_in(cast.EGOR).get("/dispatch").text
    names = ("izapril", "изаприл", "acesal", "Ацесал", "таблетка")
    assert any(name in sign_in(cast.DINA).get(f"/orders/{order_id}").text for name in names)

    assert [name for name in names if name in seen] == []


def test_the_rounds_page_itself_holds_nobodys_data(post: Post, sign_in: Any) -> None:
    post.parcel("given")
    page = sign_in(cast.FEDOR).get("/round")

    assert "Ёлкина" not in page.text
    assert "Лесная" not in page.text
    assert "'wasm-unsafe-eval'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (None, 422, "body_invalid"),
        ([], 422, "body_invalid"),
        ({}, 422, "body_invalid"),
        ({"device_id": "x", "epoch": None, "events": []}, 422, "body_invalid"),
        ({"device_id": str(new_id()), "epoch": None, "events": "x"}, 422, "body_invalid"),
        ({"device_id": str(new_id()), "epoch": None, "events": [1]}, 422, "body_invalid"),
        ({"device_id": str(new_id()), "epoch": None, "events": [{}] * 201}, 422, "body_invalid"),
        ({"device_id": str(new_id()), "epoch": None, "events": [], "more": 1}, 422, "body_invalid"),
        ({"device_id": str(new_id()), "epoch": None, "events": []}, 403, "phone_unknown"),
    ],
)
def test_a_wrong_body_gets_a_stable_code(sign_in: Any, body: Any, status: int, code: str) -> None:
    answer = sign_in(cast.FEDOR).post(SYNC, json=body)

    assert (answer.status_code, answer.json["error"]) == (status, code)


@pytest.mark.parametrize("person", [cast.EGOR, cast.ANNA, cast.DINA, cast.VERA, cast.MARIA, cast.OLEG])
def test_only_a_postman_syncs(sign_in: Any, person: Any) -> None:
    browser = sign_in(person)

    assert browser.post(SYNC, json={}).status_code == 403
    assert browser.get(f"/api/v1/delivery/round?device_id={new_id()}").status_code == 403
    assert browser.post("/api/v1/delivery/phones", json={"device_id": str(new_id())}).status_code == 403


def test_nobody_signed_in_is_asked_to_sign_in(application: Any) -> None:
    browser = application.app.test_client()

    assert browser.post(SYNC, json={}).json["error"] == "sign_in_needed"


def test_a_list_needs_a_right_device_id(sign_in: Any) -> None:
    answer = sign_in(cast.FEDOR).get("/api/v1/delivery/round?device_id=1")

    assert (answer.status_code, answer.json["fields"]) == (422, {"device_id": "not_an_id"})


def grouped(code: str) -> str:
    return f"{code[:3]} {code[3:6]} {code[6:]}"


def test_the_slip_shows_number_and_secret_in_large_type(post: Post, sign_in: Any) -> None:
    parcel_id = post.parcel("packed")
    page = sign_in(cast.MARIA).get(f"/parcels/{parcel_id}/slip").text
    secret = post.secret(parcel_id)

    assert "<svg" in page
    assert " ".join(secret[at : at + 4] for at in range(0, 32, 4)) in page
    assert "174001 11<br>00001" in page
    assert grouped(post.code(parcel_id)) in page
    assert grouped(post.code(parcel_id)) in sign_in(cast.MARIA).get("/my").text
    assert sign_in(cast.IVAN).get(f"/parcels/{parcel_id}/slip").status_code == 404
    assert sign_in(cast.FEDOR).get(f"/parcels/{parcel_id}/slip").status_code == 403
