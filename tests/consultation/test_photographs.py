"""Photographs of the call: sealed, cleaned, stored once whichever way they came, and shown to the doctor alone."""

from __future__ import annotations

import base64
from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from telemed.consultation import service
from telemed.consultation.models import CallPhoto
from telemed.consultation.photo import clean_jpeg
from telemed.ids import new_id
from telemed.services import Services
from tests import cast

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
TABLE = b"\xff\xdb\x00\x05abc"
PLACE_AND_CAMERA = b"\xff\xe1\x00\x0cExif\x00\x00GPS!" + b"\xff\xfe\x00\x06home"
SCAN = b"\xff\xda\x00\x04\x01\x02picture\xff\x00more\xff\xd9"
PHOTO = b"\xff\xd8" + PLACE_AND_CAMERA + TABLE + SCAN + b"hidden after the end"
CLEAN = b"\xff\xd8" + TABLE + SCAN


def test_only_the_picture_stays_of_a_photograph() -> None:
    assert clean_jpeg(PHOTO) == CLEAN
    assert clean_jpeg(CLEAN) == CLEAN


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"\xff\xd8", PHOTO[:-25], b"\xff\xd8\xff\xdb\x00\x01", CLEAN + bytes(300_000)]
)
def test_what_is_no_photograph_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not_a_photo"):
        clean_jpeg(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_cleaned_or_refused(tail: bytes) -> None:
    try:
        assert clean_jpeg(b"\xff\xd8" + tail).startswith(b"\xff\xd8")
    except ValueError as error:
        assert str(error) == "not_a_photo"  # noqa: PT017


def body(photo_id: UUID, content: bytes = PHOTO) -> dict[str, str]:
    return {"photo_id": str(photo_id), "jpeg": base64.b64encode(content).decode()}


def test_either_page_brings_it_once_and_the_doctor_sees_it(sign_in: SignIn, case: UUID, services: Services) -> None:
    path, photo_id = f"/api/v1/consultations/{case}/photographs", new_id()
    anna, vera = sign_in(cast.ANNA), sign_in(cast.VERA)
    assert [side.post(path, json=body(photo_id)).status_code for side in (anna, vera)] == [200, 200]

    [photo] = vera.get(path).get_json()["photos"]
    shown = vera.get(photo["url"])
    assert (shown.data, shown.mimetype, shown.headers["Cache-Control"]) == (CLEAN, "image/jpeg", "no-store")
    with services.db.read() as tx:
        row = tx.get(CallPhoto, photo_id)
        assert row is not None
        assert row.image is not None
        assert b"picture" not in row.image


def test_who_gave_the_photograph_never_sees_it_again(sign_in: SignIn, case: UUID) -> None:
    path, photo_id = f"/api/v1/consultations/{case}/photographs", new_id()
    anna = sign_in(cast.ANNA)
    assert anna.post(path, json=body(photo_id)).status_code == 200

    assert anna.get(path).status_code == 403
    assert anna.get(f"{path}/{photo_id}.jpg").status_code == 403
    for outsider in (cast.GLEB, cast.GALINA, cast.BORIS):
        assert sign_in(outsider).get(f"{path}/{photo_id}.jpg").status_code in (403, 404)
        assert sign_in(outsider).post(path, json=body(new_id())).status_code in (403, 404)


def test_a_photograph_is_refused_by_shape_by_number_and_after_the_talk(
    sign_in: SignIn, case: UUID, services: Services, queue_up: Callable[..., UUID]
) -> None:
    path, anna = f"/api/v1/consultations/{case}/photographs", sign_in(cast.ANNA)
    assert anna.post(path, json=body(new_id(), b"no picture")).status_code == 422
    assert anna.post(path, json={**body(new_id()), "jpeg": "§"}).status_code == 422
    ids = [new_id() for _ in range(20)]
    assert {anna.post(path, json=body(one)).status_code for one in ids} == {200}
    assert anna.post(path, json=body(new_id())).get_json()["error"] == "too_many_photos"
    other = queue_up(cast.IVAN)
    service.take(services, cast.VERA.who, other)
    assert anna.post(f"/api/v1/consultations/{other}/photographs", json=body(ids[0])).status_code == 409

    service.end(services, cast.VERA.who, case, "not_reached")
    assert anna.post(path, json=body(ids[0])).get_json()["error"] == "no_call_now"
