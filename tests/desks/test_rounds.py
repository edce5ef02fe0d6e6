"""The dispatcher's desk through forms."""

from __future__ import annotations

import re
from typing import Any

import pytest

from telemed.access.models import Account
from telemed.ids import new_id
from tests import cast
from tests.delivery.conftest import post  # noqa: F401 - the fixture
from tests.delivery.made import Post
from tests.make import Hands


def test_an_empty_desk_says_what_comes_next(sign_in: Any) -> None:
    assert "Packed parcels appear here by themselves" in sign_in(cast.EGOR).get("/dispatch").text


def test_the_dispatcher_plans_a_round_and_hands_it_over(post: Post, sign_in: Any) -> None:  # noqa: F811
    one, two = post.parcel("packed"), post.parcel("packed", cast.IVAN)
    browser = sign_in(cast.EGOR)
    form = {"parcels": [str(one), str(two)], "postman_id": str(cast.FEDOR.id), "day": "2026-11-23"}
    page = browser.post("/dispatch/assign", data=form, follow_redirects=True).text
    round_id = post.now(one).round_id
    after = browser.post(f"/dispatch/rounds/{round_id}/give", follow_redirects=True).text

    assert "Hand over all 2 parcels" in page
    assert "The postman answers for them now" in after
    assert [post.now(parcel_id).holder for parcel_id in (one, two)] == ["postman", "postman"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"parcels": []}, "Tick at least one parcel"),
        ({"parcels": ["x"]}, "Tick at least one parcel"),
        ({"postman_id": ""}, "Fill this in"),
        ({"postman_id": str(cast.ANNA.id)}, "was not found"),
        ({"day": "yesterday"}, "date as day.month.year"),
        ({"day": "2026-11-01"}, "This date is over"),
        ({"day": "2027-11-01"}, "within two weeks"),
    ],
)
def test_a_wrong_plan_comes_back_with_its_words(
    post: Post, sign_in: Any, change: dict[str, Any], says: str  # noqa: F811
) -> None:
    parcel_id = post.parcel("packed")
    form = {"parcels": [str(parcel_id)], "postman_id": str(cast.FEDOR.id), "day": "2026-11-23", **change}
    answer = sign_in(cast.EGOR).post("/dispatch/assign", data=form)

    assert answer.status_code == 422
    assert says in answer.text
    assert post.now(parcel_id).round_id is None


def test_a_parcel_is_taken_back_once(post: Post, sign_in: Any) -> None:  # noqa: F811
    parcel_id = post.parcel("given")
    browser = sign_in(cast.EGOR)
    first = browser.post(f"/parcels/{parcel_id}/take-back", follow_redirects=True).text
    second = browser.post(f"/parcels/{parcel_id}/take-back", follow_redirects=True).text

    assert "Send it to the pharmacy" in first
    assert "already over" in second
    assert post.now(parcel_id).state == "returned"


def test_a_lost_and_a_waiting_parcel_are_noted(post: Post, sign_in: Any) -> None:  # noqa: F811
    lost, again = post.parcel("given"), post.parcel("given", cast.IVAN)
    browser = sign_in(cast.EGOR)
    browser.post(f"/parcels/{lost}/lost")
    browser.post(f"/parcels/{again}/take-again")

    assert (post.now(lost).state, post.now(again).state) == ("lost", "packed")


def test_a_parcel_is_taken_off_a_round_by_its_button(post: Post, sign_in: Any) -> None:  # noqa: F811
    parcel_id = post.parcel("assigned")
    browser = sign_in(cast.EGOR)
    assert f"/parcels/{parcel_id}/take-off" in browser.get("/dispatch").text
    page = browser.post(f"/parcels/{parcel_id}/take-off", follow_redirects=True).text

    assert "Taken off the round" in page
    assert f'value="{parcel_id}"' in page
    assert post.now(parcel_id).round_id is None


def test_postmen_stand_own_branch_first_and_in_the_order_of_the_language(
    post: Post, sign_in: Any, hands: Hands  # noqa: F811
) -> None:
    post.parcel("packed")
    names = {"Ёлкин": cast.OZERKI, "Елисеев": cast.OZERKI, "Яков": cast.OZERKI, "Антон": cast.SOSNOVO, "Адам": cast.OZERKI}
    for name, branch_id in names.items():
        person = cast.Person(name, "postman", name, branch_id, cast.LAKE)
        hands.add(Account(
            id=person.id, login=person.login, role="postman", display_name=name, password_hash="", branch_id=branch_id,
            region_id=cast.LAKE, language="ru", created_at=hands.clock(),
        ))  # fmt: skip
    browser = sign_in(cast.EGOR)
    browser.set_cookie("lang", "ru")
    options = re.findall(r'<option value="[0-9a-f]{8}-[0-9a-f-]{27}">([^<]+)</option>', browser.get("/dispatch").text)

    own = ["Адам", "Елисеев", "Ёлкин", "Захар Тропин", "Фёдор Дорогин", "Яков"]
    assert options == [*own, "Антон (Отделение 174002)"]


@pytest.mark.parametrize("person", [cast.DINA, cast.FEDOR, cast.ANNA, cast.VERA, cast.OLEG])
def test_nobody_else_dispatches(post: Post, sign_in: Any, person: Any) -> None:  # noqa: F811
    parcel_id = post.parcel("packed")
    browser = sign_in(person)

    assert browser.get("/dispatch").status_code == 403
    assert browser.post(f"/parcels/{parcel_id}/give").status_code == 403
    assert browser.post("/dispatch/assign").status_code == 403


def test_only_a_postman_has_a_round(sign_in: Any) -> None:
    assert sign_in(cast.FEDOR).get("/round").status_code == 200
    assert sign_in(cast.EGOR).get("/round").status_code == 403


def test_unknown_parcels_are_not_found(sign_in: Any) -> None:
    assert sign_in(cast.EGOR).post(f"/parcels/{new_id()}/give").status_code == 404
    assert sign_in(cast.EGOR).post(f"/dispatch/rounds/{new_id()}/give").status_code == 404
