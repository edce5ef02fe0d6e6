"""What others would have to repair is not done by one press: the button only opens a question."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import select

from telemed.consultation.models import Consultation
from telemed.patients import service as patients
from telemed.services import Services
from tests import cast
from tests.delivery.conftest import post  # noqa: F401 - the fixture
from tests.delivery.made import Post
from tests.make import Hands
from tests.prescription import made

# Deeds that end something for others, and how their addresses look.
DEEDS = ("/revoke", "/lost", "/take-back", "/forget", "/prescriptions/[^/]+/cancel", "/booking/[^/]+/cancel")


def one_press(page: str) -> list[str]:
    """Return the addresses of such deeds whose form stands open on the page."""
    outside = re.sub(r"<details(?: class=\"asked\")?><summary>.*?</details>", "", page, flags=re.S)
    return [url for url in re.findall(r'<form method="post" action="([^"]+)"', outside) if re.search("|".join(DEEDS), url)]


def asked(page: str, deed: str) -> bool:
    """Tell whether the page asks before it does the deed."""
    question = r'<details class="asked"><summary>[^<]+</summary><p>[^<]+</p><form method="post" action="([^"]+)"'
    found = re.findall(question, page)
    return any(re.search(deed, url) for url in found)


def test_a_gateway_is_shut_out_after_a_question(sign_in: Any, hands: Hands) -> None:
    hands.gateway(b"k" * 32)
    page = sign_in(cast.ANNA).get("/branch").text

    assert asked(page, "/revoke")
    assert one_press(page) == []


@pytest.mark.parametrize("deed", ["/lost", "/take-back"])
def test_a_parcel_is_lost_or_back_after_a_question(post: Post, sign_in: Any, deed: str) -> None:  # noqa: F811
    post.parcel("given")
    page = sign_in(cast.EGOR).get("/dispatch").text

    assert asked(page, deed)


def test_a_new_card_ends_the_old_one_after_a_question(services: Services, sign_in: Any) -> None:
    browser, path = sign_in(cast.ANNA), f"/patients/{cast.MARIA.id}"
    assert not asked(browser.get(path).text, "/card")
    patients.issue_card(services, cast.ANNA.who, cast.MARIA.id)

    assert asked(browser.get(path).text, "/card")


@pytest.mark.parametrize(("person", "path"), [(cast.ANNA, "/day"), (cast.MARIA, "/my")])
def test_a_booked_time_is_given_up_after_a_question(hands: Hands, sign_in: Any, person: Any, path: str) -> None:
    hands.shift()
    hands.booking()
    page = sign_in(person).get(path).text

    assert asked(page, "/cancel")
    assert one_press(page) == []


def test_a_signed_prescription_is_cancelled_after_a_question(post: Post, sign_in: Any) -> None:  # noqa: F811
    post.prescription()
    with post.services.db.read() as tx:
        case_id = tx.scalars(select(Consultation.id)).one()
    page = sign_in(cast.VERA).get(f"/consultations/{case_id}/prescription").text

    assert asked(page, "/cancel")


def test_a_collected_order_is_given_without_its_slip_after_a_question(post: Post, sign_in: Any) -> None:  # noqa: F811
    parcel_id = post.parcel(items=made.INSULIN)
    order_id = post.now(parcel_id).order_id
    post.pack(order_id)
    browser = sign_in(cast.DINA)
    page = browser.get(f"/orders/{order_id}").text
    assert asked(page, "/collect")
    browser.post(f"/orders/{order_id}/collect", data={})

    assert (post.now(parcel_id).state, post.now(parcel_id).verified) == ("collected", False)
