"""The pharmacist's desk through forms."""

from __future__ import annotations

from typing import Any

import pytest

from telemed.ids import new_id
from tests import cast
from tests.delivery.conftest import post  # noqa: F401 - the fixture
from tests.delivery.made import Post
from tests.prescription import made


def test_an_empty_pharmacy_says_what_comes_next(sign_in: Any) -> None:
    assert "New orders appear here by themselves" in sign_in(cast.DINA).get("/pharmacy").text


def test_the_pharmacist_packs_an_order(post: Post, sign_in: Any) -> None:  # noqa: F811
    parcel_id = post.parcel()
    order_id = post.now(parcel_id).order_id
    browser = sign_in(cast.DINA)
    desk = browser.get("/pharmacy").text
    form = {"items": ["lorizapril-10", "acesal-75"], "packs": "3", "weight_g": "240"}
    after = browser.post(f"/orders/{order_id}/pack", data=form, follow_redirects=True).text

    assert f"/orders/{order_id}" in desk
    assert "Packed. The dispatcher sees the parcel now." in after
    assert (post.now(parcel_id).state, post.now(parcel_id).weight_g) == ("packed", 240)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"items": ["lorizapril-10"]}, "Not every medicine is ticked"),
        ({"packs": "4"}, "Count again"),
        ({"packs": ""}, "Fill this in"),
        ({"weight_g": "heavy"}, "number in figures"),
        ({"weight_g": "9999999"}, "too small or too large"),
    ],
)
def test_a_wrong_count_comes_back_with_its_words(
    post: Post, sign_in: Any, change: dict[str, Any], says: str  # noqa: F811
) -> None:
    parcel_id = post.parcel()
    form = {"items": ["lorizapril-10", "acesal-75"], "packs": "3", "weight_g": "240", **change}
    answer = sign_in(cast.DINA).post(f"/orders/{post.now(parcel_id).order_id}/pack", data=form)

    assert answer.status_code == 422
    assert says in answer.text
    assert post.now(parcel_id).state == "ordered"


def test_a_repeated_packing_is_told_and_harmless(post: Post, sign_in: Any) -> None:  # noqa: F811
    order_id = post.now(post.parcel("packed")).order_id
    form = {"items": ["lorizapril-10", "acesal-75"], "packs": "3", "weight_g": "240"}
    page = sign_in(cast.DINA).post(f"/orders/{order_id}/pack", data=form, follow_redirects=True).text

    assert "already packed" in page


def test_a_collected_order_is_given_against_the_slip(post: Post, sign_in: Any) -> None:  # noqa: F811
    parcel_id = post.parcel(items=made.INSULIN)
    order_id = post.now(parcel_id).order_id
    secret = post.secret(parcel_id)
    post.pack(order_id)
    browser = sign_in(cast.DINA)
    wrong = browser.post(f"/orders/{order_id}/collect", data={"code": "12345"})
    browser.post(f"/orders/{order_id}/collect", data={"code": f"{secret[:16].upper()} {secret[16:]}"})

    assert (wrong.status_code, "does not belong to this parcel" in wrong.text) == (422, True)
    assert (post.now(parcel_id).state, post.now(parcel_id).verified) == ("collected", True)


@pytest.mark.parametrize("person", [cast.EGOR, cast.FEDOR, cast.ANNA, cast.VERA, cast.GALINA, cast.OLEG])
def test_nobody_else_opens_an_order(post: Post, sign_in: Any, person: Any) -> None:  # noqa: F811
    order_id = post.now(post.parcel()).order_id
    browser = sign_in(person)

    assert browser.get("/pharmacy").status_code == 403
    assert browser.get(f"/orders/{order_id}").status_code == 403
    assert browser.post(f"/orders/{order_id}/pack").status_code == 403


def test_unknown_orders_are_not_found(sign_in: Any) -> None:
    assert sign_in(cast.DINA).get(f"/orders/{new_id()}").status_code == 404
