"""The doctor's panel and the print, through forms."""

from __future__ import annotations

import re
from typing import Any

import pytest

from telemed.ids import new_id
from tests import cast
from tests.make import Hands
from tests.prescription import made

FORM: dict[str, Any] = {
    "code-1": "lorizapril-10", "quantity-1": "2", "days-1": "60", "directions-1": "утром",
    "basis": "in_person", "basis_date": "27.03.2026", "basis_clinic": "ЦРБ", "basis_doctor": "Лугова",
}  # fmt: skip


def test_a_doctor_drafts_sees_the_way_and_signs(hands: Hands, sign_in: Any) -> None:
    made.agree(hands)
    case = made.case(hands)
    browser = sign_in(cast.VERA)
    page = browser.post(f"/consultations/{case}/prescription", data=FORM, follow_redirects=True).text
    assert "Goes by post" in page
    prescription_id = re.search(r'data-prescription="([0-9a-f-]{36})"', page)[1]
    content_hash = re.search(r'name="content_hash" value="([0-9a-f]{64})"', page)[1]
    answer = browser.post(
        f"/prescriptions/{prescription_id}/sign", data={"content_hash": content_hash, "next": "/"},
    )  # fmt: skip
    paper = browser.get(f"/prescriptions/{prescription_id}").text

    assert answer.headers["Location"] == "/"
    assert "NOT A LEGAL PRESCRIPTION" in paper
    assert "Lorizapril" in paper
    assert "Ёлкина" in paper


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"quantity-1": "13"}, "too small or too large"),
        ({"quantity-1": "²"}, "number in figures"),
        ({"quantity-1": "9" * 5000}, "number in figures"),
        ({"code-1": "sugar"}, "not in the list"),
        ({"directions-1": ""}, "Fill this in"),
        ({"directions-1": "я" * 301}, "too long"),
        ({"basis_date": "31.02.2026"}, "date as day.month.year"),
        ({"basis_date": "27.03.2027"}, "not come yet"),
        ({"basis": "dream"}, "does not look right"),
        ({"code-2": "lorizapril-10", "quantity-2": "1", "days-2": "1", "directions-2": "x"}, "already in the"),
    ],
)
def test_a_wrong_form_comes_back_with_its_words_and_what_was_typed(
    hands: Hands, sign_in: Any, change: dict[str, str], says: str
) -> None:
    case = made.case(hands)
    answer = sign_in(cast.VERA).post(f"/consultations/{case}/prescription", data={**FORM, **change})

    assert answer.status_code == 422
    assert says in answer.text
    assert 'value="ЦРБ"' in answer.text


def test_an_empty_form_asks_for_a_medicine(hands: Hands, sign_in: Any) -> None:
    answer = sign_in(cast.VERA).post(f"/consultations/{made.case(hands)}/prescription", data={})

    assert answer.status_code == 422


def test_a_changed_draft_is_not_signed_by_the_old_page(hands: Hands, sign_in: Any) -> None:
    case = made.case(hands)
    browser = sign_in(cast.VERA)
    page = browser.post(f"/consultations/{case}/prescription", data=FORM, follow_redirects=True).text
    prescription_id = re.search(r'data-prescription="([0-9a-f-]{36})"', page)[1]
    old = re.search(r'name="content_hash" value="([0-9a-f]{64})"', page)[1]
    browser.post(f"/prescriptions/{prescription_id}/change", data={**FORM, "quantity-1": "3", "content_hash": old})
    page = browser.post(f"/prescriptions/{prescription_id}/sign", data={"content_hash": old}, follow_redirects=True).text

    assert "was changed after this page was opened" in page
    assert "3 packs" in page


def test_a_second_window_does_not_overwrite_the_draft_of_the_first(hands: Hands, sign_in: Any) -> None:
    case = made.case(hands)
    browser = sign_in(cast.VERA)
    page = browser.post(f"/consultations/{case}/prescription", data=FORM, follow_redirects=True).text
    prescription_id = re.search(r'data-prescription="([0-9a-f-]{36})"', page)[1]
    change = f"/prescriptions/{prescription_id}/change"
    seen_by_both = re.search(r'name="content_hash" value="([0-9a-f]{64})"', browser.get(change).text)[1]
    first = {**FORM, "quantity-1": "3", "content_hash": seen_by_both}
    second = {**FORM, "directions-1": "вечером", "content_hash": seen_by_both}
    assert browser.post(change, data=first).status_code == 302
    assert browser.post(change, data=first).status_code == 302, "the same words pressed twice are no quarrel"
    refused = browser.post(change, data=second)

    assert refused.status_code == 409
    assert "changed in another window" in refused.text
    assert "вечером" in refused.text, "what was typed stays in the form"
    assert "3 packs" in refused.text, "what the other window saved is shown"
    form = refused.text[refused.text.index("data-prescription-form") :]
    again = re.search(r'name="content_hash" value="([0-9a-f]{64})"', form)[1]
    assert browser.post(change, data={**second, "content_hash": again}).status_code == 302


def test_a_form_that_is_sent_twice_makes_one_draft(hands: Hands, sign_in: Any) -> None:
    case = made.case(hands)
    browser, target = sign_in(cast.VERA), f"/consultations/{case}/prescription"
    prescription_id = re.search(r'name="prescription_id" value="([0-9a-f-]{36})"', browser.get(target).text)[1]
    form = {**FORM, "prescription_id": prescription_id}
    for _ in range(2):
        page = browser.post(target, data=form, follow_redirects=True).text
    changed = browser.post(target, data={**form, "quantity-1": "3"})

    assert page.count("data-prescription=") == 1
    assert (changed.status_code, changed.text.count("data-prescription=")) == (409, 1)
    assert 'value="3"' in changed.text


def test_a_drafts_number_is_of_no_use_in_another_case(hands: Hands, sign_in: Any) -> None:
    browser, mine, other = sign_in(cast.VERA), made.case(hands), made.case(hands, cast.IVAN)
    form = {**FORM, "prescription_id": str(new_id())}
    assert browser.post(f"/consultations/{mine}/prescription", data=form).status_code == 302

    assert browser.post(f"/consultations/{other}/prescription", data=form).status_code == 409


def test_next_leads_only_to_paths_of_our_own(hands: Hands, sign_in: Any) -> None:
    case = made.case(hands)
    browser = sign_in(cast.VERA)
    for target in ("https://example.org/", "//example.org", "/\\example.org", "/\t/example.org"):
        answer = browser.post(f"/consultations/{case}/prescription", data={**FORM, "next": target})
        assert answer.headers["Location"] == f"/consultations/{case}/prescription"


@pytest.mark.parametrize(
    ("person", "status"), [(cast.ANNA, 403), (cast.DINA, 403), (cast.GLEB, 404), (cast.MARIA, 403), (cast.OLEG, 403)]
)
def test_others_do_not_reach_the_panel(hands: Hands, sign_in: Any, person: Any, status: int) -> None:
    case = made.case(hands)
    assert sign_in(cast.VERA).get(f"/consultations/{case}/prescription").status_code == 200

    assert sign_in(person).get(f"/consultations/{case}/prescription").status_code == status


def test_unknown_prescriptions_are_not_found(sign_in: Any) -> None:
    browser = sign_in(cast.VERA)

    assert browser.get(f"/prescriptions/{new_id()}").status_code == 404
    assert browser.post(f"/prescriptions/{new_id()}/sign").status_code == 404
    assert browser.get("/prescriptions/none").status_code == 404
