"""The arithmetic of pack, dose and days: it is done before a prescription is signed, from the words of the directions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.errors import Invalid
from telemed.prescription import doses, service
from telemed.prescription.catalogue import medicines
from telemed.services import Services
from tests import cast
from tests.make import Hands
from tests.prescription import made

VERA = cast.VERA.who
OPIOID, TABLET, COUNTED, GEL = "morphalgin-10", "lorizapril-10", "pregabelin-75", "ibuprol-gel"


@pytest.mark.parametrize(
    ("directions", "a_day"),
    [
        ("1 таблетка утром", 1), ("утром", 1), ("по одной утром после еды", 1), ("1 таблетка утром после завтрака", 1),
        ("по 1/2 таблетки утром и вечером", 1), ("½ таблетки 3 раза в день", 1.5), ("по полтаблетки на ночь", 0.5),
        ("1,5 таблетки утром", 1.5), ("1 1/2 таблетки утром", 1.5), ("1 таблетка утром и 2 вечером", 3),
        ("утром 1 таблетка, вечером 2", 3), ("утром и вечером по 2 таблетки", 4), ("1-0-1", 2), ("1-1-1-2", 5),
        ("1 таб. 2 раза в день", 2), ("2 т 3 р/д", 6), ("дважды в день по две таблетки", 4),
        ("2 раза в день утром и вечером", 2),
        ("каждые 8 часов по 1 таблетке", 3), ("1 капсула в 8:00 и 20:00", 2), ("через день по 1 таблетке", 0.5),
        ("по 1 таблетке за 30 минут до еды 3 раза в день", 3), ("по десять в день", 10), ("10 в день", 10),
        ("по 10 таблеток в сутки", 10), ("10 таб/сут", 10), ("4 раза в сутки по 2,5 таблетки", 10),
        ("по 10 таблеток в день 300 дней", 10), ("300 дней по 10 таблеток ежедневно", 10), ("20 мг утром", 2),
        ("по 1 таблетке 10 мг утром", 1), ("па 1 таблетцы раніцай і ўвечары", 2), ("па 2 таблеткі 2 разы ў дзень", 4),
        ("дзесяць таблетак у дзень", 10), ("One tablet in the morning", 1), ("ten a day", 10),
        ("take 10 tablets daily", 10),
        ("one tablet twice a day for 10 days", 2), ("1 tablet every 6 hours", 4), ("half a tablet at bedtime", 0.5),
        ("1 tab bid", 2), ("½ таблетки на ночь 1 раз в 3 дня", 1 / 6), ("1 таблетка каждые 2 дня", 0.5),
        ("по 2 таб. 1 раз в неделю", 2 / 7), ("по 1 таб 2р/д № 20", 2), ("one tablet every 3 days", 1 / 3),
        ("по 10 табл. ежедн.", 10), ("по 1 таб. в 8.00, 14.00, 20.00", 3),
    ],
)  # fmt: skip
def test_directions_are_read_in_the_words_that_doctors_write(directions: str, a_day: float) -> None:
    found = doses.dose_of(directions, "10 mg")

    assert found is not None
    assert (found.least, found.most) == pytest.approx((a_day, a_day))


@pytest.mark.parametrize(
    ("directions", "least", "most"),
    [
        ("1-2 таблетки 3 раза в день", 3, 6), ("1 или 2 таблетки утром", 1, 2),
        ("при боли, не более 4 таблеток в сутки", 0, 4),
        ("по 1 таблетке до 4 раз в день", 0, 4), ("1 tablet for pain, at most 3 a day", 0, 3),
    ],
)  # fmt: skip
def test_a_span_stays_a_span(directions: str, least: float, most: float) -> None:
    assert doses.dose_of(directions) == doses.Dose(least, most)


@pytest.mark.parametrize(
    "directions",
    ["по схеме", "первые 3 дня по 1, затем по 2", "как обычно", "take as directed", "по 10 таблеток", "2 мл утром",
     "k3j2h1g9f8d7s6a5p4o3", "5 мкг утром", "-", "1 таблетка утром, потом по 2"],
)  # fmt: skip
def test_what_is_not_certain_is_no_number(directions: str) -> None:
    assert doses.dose_of(directions, "10 mg") is None


def fault(code: str, quantity: int, directions: str, days: int) -> str | None:
    found = doses.sum_of({"code": code, "quantity": quantity, "directions": directions, "days": days}, medicines()[code])
    assert found is not None
    return found.fault


@pytest.mark.parametrize(
    ("code", "quantity", "directions", "days", "expected"),
    [
        (OPIOID, 1, "10 в день", 300, "packs_too_few"),  # 20 pieces, 3,000 wanted
        (OPIOID, 1, "по 10 таблеток в день", 2, None),
        (OPIOID, 1, "по 10 таблеток в день", 3, "packs_too_few"),
        (OPIOID, 12, "1 таблетка утром", 5, "packs_too_many"),
        (OPIOID, 1, "по схеме", 10, "dose_needed"),
        (COUNTED, 1, "как обычно", 14, "dose_needed"),  # counted by quantity: never without a dose
        (COUNTED, 2, "1 капсула 2 раза в день", 14, None),
        (OPIOID, 1, "по 10 таблеток в день 300 дней", 2, "days_differ"),
        (OPIOID, 1, "при боли, не более 4 таблеток в сутки", 5, None),
        (OPIOID, 1, "не более 10 в день", 300, "packs_too_few"),
        (OPIOID, 6, "при боли, не более 4 таблеток в сутки", 5, "packs_too_many"),
        (TABLET, 2, "1 таблетка утром", 60, None),
        (TABLET, 2, "1 таблетка утром", 61, "packs_too_few"),
        (TABLET, 2, "1 таблетка утром", 31, None),  # the second pack is begun
        (TABLET, 2, "1 таблетка утром", 30, "packs_too_many"),
        (TABLET, 1, "½ таблетки утром", 60, None),
        (TABLET, 1, "1-2 таблетки утром", 30, None),  # the fewest are there
        (TABLET, 1, "как обычно", 30, None),  # about one a day: the doctor's words stand
        (TABLET, 1, "как обычно", 300, "dose_unclear"),
        (TABLET, 12, "как обычно", 3, "dose_unclear"),
    ],
)
def test_packs_dose_and_days_must_fit(
    code: str, quantity: int, directions: str, days: int, expected: str | None
) -> None:
    assert fault(code, quantity, directions, days) == expected


def test_what_is_not_counted_in_pieces_has_no_sum() -> None:
    item = {"code": GEL, "quantity": 1, "directions": "тонким слоем 2 раза в день", "days": 300}

    assert doses.sum_of(item, medicines()[GEL]) is None


@pytest.mark.parametrize("days", range(1, 366, 13))
@pytest.mark.parametrize("a_day", [1, 2, 3, 10])
def test_of_all_numbers_of_packs_just_the_fitting_one_passes(days: int, a_day: int) -> None:
    """Whatever the numbers are: too few is refused, a whole pack too many is refused, and one number is right."""
    passing = [packs for packs in range(1, 400) if fault(OPIOID, packs, f"по {a_day} таблетки в день", days) is None]

    assert passing == [-(-days * a_day // 20)]


# --- at the signature ---------------------------------------------------------------------------------------------


@pytest.fixture
def opioid(services: Services, hands: Hands) -> UUID:
    items: list[dict[str, Any]] = [{"code": OPIOID, "quantity": 1, "directions": "по 10 таблеток в день", "days": 300}]
    return service.draft(services, VERA, made.case(hands), items, made.IN_PERSON)


def test_no_press_signs_what_does_not_add_up(services: Services, opioid: UUID) -> None:
    shown = service.read_prescription(services, VERA, opioid)
    with pytest.raises(Invalid) as refused:
        service.sign(services, VERA, opioid, shown.content_hash)

    assert refused.value.fields == {"quantity-1": "packs_too_few"}
    assert service.read_prescription(services, VERA, opioid).state == "draft"


def test_the_page_shows_the_sum_and_no_button_before_it_is_right(
    services: Services, opioid: UUID, sign_in: Any
) -> None:
    vera: FlaskClient = sign_in(cast.VERA)
    shown = service.read_prescription(services, VERA, opioid)
    page = vera.get(f"/consultations/{shown.consultation_id}/prescription").text

    assert "20 pieces · a day: 10 · enough for 2 days" in page
    assert "The packs are not enough for so many days at this dose." in page
    assert f"/prescriptions/{opioid}/sign" not in page
    answer = vera.post(f"/prescriptions/{opioid}/sign", data={"content_hash": shown.content_hash})
    assert answer.status_code == 422
    assert "The packs are not enough" in answer.text
    assert "300" in answer.text  # the form with what was typed, to be corrected

    right = [{"code": OPIOID, "quantity": 1, "directions": "по 10 таблеток в день", "days": 2}]
    service.change_draft(services, VERA, opioid, right, made.IN_PERSON)
    assert f"/prescriptions/{opioid}/sign" in vera.get(f"/consultations/{shown.consultation_id}/prescription").text


def test_what_was_signed_before_stays_as_it_is(services: Services, hands: Hands, opioid: UUID) -> None:
    """A prescription of an older release is read and verified whatever its sums are."""
    fitting = [{"code": OPIOID, "quantity": 1, "directions": "по 10 таблеток в день", "days": 2}]
    service.change_draft(services, VERA, opioid, fitting, made.IN_PERSON)
    service.sign(services, VERA, opioid, service.read_prescription(services, VERA, opioid).content_hash)
    shown = service.read_prescription(services, VERA, opioid)

    assert (shown.state, shown.is_verified, shown.faults) == ("signed", True, {})
