"""Nine digits that a patient can say: checked only by the server, at an end after five wrong ones, on the slip alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from telemed.delivery import rules, service
from telemed.errors import Invalid
from telemed.patients import service as patients
from telemed.services import Services
from tests import cast
from tests.delivery.made import DINA, FEDOR, Post
from tests.prescription import made


def others(code: str, count: int) -> list[str]:
    """Return well-formed codes that are not this one."""
    stems = (f"{int(code[:8]) + n:08d}"[-8:] for n in range(1, count + 1))
    return [stem + rules.damm_digit(stem) for stem in stems]


def test_the_right_code_proves_the_hand_over(post: Post) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()

    assert post.sync(phone, post.event(1, parcel_id, proof=post.code(parcel_id))) == [("applied", None)]
    assert (post.now(parcel_id).state, post.now(parcel_id).verified) == ("delivered", True)


def test_after_five_wrong_codes_the_code_has_ended_and_the_square_has_not(post: Post) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    code = post.code(parcel_id)
    wrong = [post.event(n, parcel_id, proof=text) for n, text in enumerate(others(code, 5), 1)]

    assert post.sync(phone, *wrong) == [("rejected", "code_wrong")] * 5
    assert post.sync(phone, post.event(6, parcel_id, proof=code)) == [("rejected", "code_ended")]
    assert post.sync(post.phone(), post.event(1, parcel_id, proof=code)) == [("rejected", "code_ended")]
    assert post.sync(phone, post.event(7, parcel_id, proof=post.secret(parcel_id))) == [("applied", None)]
    assert post.now(parcel_id).verified is True


def test_a_mistyped_code_is_no_try(post: Post) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    code = post.code(parcel_id)
    slip = code[:8] + str((int(code[8]) + 1) % 10)

    assert post.sync(phone, *(post.event(n, parcel_id, proof=slip) for n in range(1, 9))) == [
        ("rejected", "code_mistyped")
    ] * 8
    assert post.sync(phone, post.event(9, parcel_id, proof=code)) == [("applied", None)]


def test_sending_a_wrong_code_again_is_not_another_try(post: Post) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    event = post.event(1, parcel_id, proof=others(post.code(parcel_id), 1)[0])
    for _ in range(9):
        post.sync(phone, event)

    assert post.now(parcel_id).code_wrong == 1


def test_two_phones_at_once_have_five_tries_together(post: Post) -> None:
    parcel_id, phones = post.parcel("given"), [post.phone() for _ in range(4)]
    wrong = others(post.code(parcel_id), 12)

    def try_three(n: int) -> list[tuple[str, Any]]:
        return post.sync(phones[n], *(post.event(k, parcel_id, proof=wrong[3 * n + k - 1]) for k in (1, 2, 3)))

    with ThreadPoolExecutor(4) as pool:
        answers = [code for batch in pool.map(try_three, range(4)) for _status, code in batch]

    assert (answers.count("code_wrong"), answers.count("code_ended")) == (5, 7)


def test_the_pharmacy_counts_wrong_codes_too(post: Post, services: Services) -> None:
    parcel_id = post.parcel(items=made.INSULIN)
    order_id = post.now(parcel_id).order_id
    post.pack(order_id)
    code = post.code(parcel_id)
    for text in others(code, 5):
        with pytest.raises(Invalid) as refused:
            service.hand_to_patient(services, DINA, order_id, text)
        assert refused.value.fields == {"code": "code_wrong"}
    with pytest.raises(Invalid) as refused:
        service.hand_to_patient(services, DINA, order_id, code)

    assert refused.value.fields == {"code": "code_ended"}
    assert post.now(parcel_id).state == "collect_ready"


@pytest.mark.parametrize("groups", ["{0} {1} {2}", "{0}-{1}-{2}", " {0}.{1}.{2} ", "{0}\u00a0{1}\u2011{2}", "{0}{1}{2}"])
def test_a_collected_order_is_proved_by_the_spoken_code(post: Post, sign_in: Any, groups: str) -> None:
    parcel_id = post.parcel(items=made.INSULIN)
    order_id = post.now(parcel_id).order_id
    post.pack(order_id)
    code = post.code(parcel_id)
    sign_in(cast.DINA).post(f"/orders/{order_id}/collect", data={"code": groups.format(code[:3], code[3:6], code[6:])})

    assert (post.now(parcel_id).state, post.now(parcel_id).verified) == ("collected", True)


@pytest.mark.parametrize("typed", ["12345678", "1234567890", "12345678x", "№ 17400111000015", "١٢٣٤٥٦٧٨٩"])
def test_what_has_not_nine_digits_is_no_try(post: Post, services: Services, typed: str) -> None:
    parcel_id = post.parcel(items=made.INSULIN)
    order_id = post.now(parcel_id).order_id
    post.pack(order_id)
    with pytest.raises(Invalid) as refused:
        service.hand_to_patient(services, DINA, order_id, typed)

    assert (refused.value.fields, post.now(parcel_id).code_wrong) == ({"code": "proof_wrong"}, 0)


def test_a_parcel_of_an_earlier_release_gets_its_code_with_the_slip(post: Post, services: Services) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    secret = post.secret(parcel_id)
    with services.db.write() as tx:
        parcel = post.now(parcel_id)
        services.vault.seal(tx, parcel, "proof", {"secret": secret})
        tx.merge(parcel)
    code = post.code(parcel_id)

    assert post.secret(parcel_id) == secret
    assert post.code(parcel_id) == code
    assert post.sync(phone, post.event(1, parcel_id, proof=code)) == [("applied", None)]


def test_the_code_of_an_erased_patient_proves_nothing(post: Post, services: Services) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    code = post.code(parcel_id)
    patients.erase_patient(services, cast.MARIA.id)

    assert post.sync(phone, post.event(1, parcel_id, proof=code)) == [("rejected", "code_wrong")]
    assert post.sync(phone, post.event(2, parcel_id)) == [("applied", None)]


def test_the_code_stands_on_the_patients_slip_and_page_alone(post: Post, services: Services, sign_in: Any) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    code = post.code(parcel_id)
    spoken = f"{code[:3]} {code[3:6]} {code[6:]}"
    assert spoken in sign_in(cast.MARIA).get("/my").text
    assert spoken in sign_in(cast.ANNA).get(f"/parcels/{parcel_id}/slip").text
    fedor = sign_in(cast.FEDOR)
    fedor.post("/api/v1/delivery/phones", json={"device_id": str(phone)})
    elsewhere = [
        fedor.get(f"/api/v1/delivery/round?device_id={phone}").text,
        fedor.get("/round").text,
        sign_in(cast.EGOR).get("/dispatch").text,
        sign_in(cast.DINA).get(f"/orders/{post.now(parcel_id).order_id}").text,
        repr(service.round_of(services, FEDOR)),
        repr(vars(post.now(parcel_id))),
    ]

    assert [text for text in elsewhere if code in text or spoken in text] == []
