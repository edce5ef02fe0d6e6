"""The coordinator chooses by which guideline a branch measures; visits that begin later follow it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from telemed.branches.models import Branch
from telemed.checkup import service
from telemed.ids import new_id
from telemed.services import Services
from tests import cast

PAGE = "/region/rules"
SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


def rule_of(services: Services, branch_id: object) -> str | None:
    with services.db.read() as tx:
        return tx.get_one(Branch, branch_id).series_rule


def test_a_branch_follows_the_chosen_rule_from_the_next_visit_on(services: Services, sign_in: SignIn) -> None:
    before = service.open_visit(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, "document")
    galina = sign_in(cast.GALINA)
    page = galina.post(PAGE, data={"branch": str(cast.OZERKI), "rule": "acc-aha-2025"}, follow_redirects=True).text
    assert service.visit_view(services, cast.ANNA.who, before).protocol == "demo-1", "a visit ends as it began"
    service.close_visit(services, cast.ANNA.who, before)
    after = service.open_visit(services, cast.ANNA.who, cast.IVAN.id, cast.OZERKI, "document")

    assert service.visit_view(services, cast.ANNA.who, after).protocol == "acc-aha-2025-demo"
    assert page.count("chosen for this branch") == 1


def test_all_branches_of_the_region_and_no_other_take_a_rule(services: Services, sign_in: SignIn) -> None:
    galina = sign_in(cast.GALINA)
    galina.post(PAGE, data={"branch": "all", "rule": "ish-2020"})
    assert [rule_of(services, one) for one in (cast.OZERKI, cast.SOSNOVO, cast.RECHNOYE)] == ["ish-2020", "ish-2020", None]

    galina.post(PAGE, data={"branch": "all", "rule": ""})
    assert rule_of(services, cast.OZERKI) is None, "the usual one again"


def test_the_page_says_each_rule_in_figures(sign_in: SignIn) -> None:
    page = sign_in(cast.GALINA).get(PAGE).text

    assert "5 min of rest, 3 readings, 1 min apart" in page
    assert "differ by more than 10 mmHg" in page
    assert "One is enough below 130/85" in page


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"branch": str(cast.OZERKI), "rule": "by-heart"}, 422),
        ({"branch": str(cast.OZERKI)}, 422),
        ({"branch": "nowhere", "rule": ""}, 404),
        ({"branch": str(new_id()), "rule": ""}, 404),
        ({"branch": str(cast.RECHNOYE), "rule": "ish-2020"}, 404),
    ],
)
def test_unknown_rules_and_foreign_branches_change_nothing(
    services: Services, sign_in: SignIn, form: dict[str, str], status: int
) -> None:
    assert sign_in(cast.GALINA).post(PAGE, data=form).status_code == status
    assert {rule_of(services, one) for one in cast.BRANCHES} == {None}


def test_the_guideline_is_no_clerks_choice(sign_in: SignIn) -> None:
    assert sign_in(cast.ANNA).post(PAGE, data={"branch": str(cast.OZERKI), "rule": ""}).status_code == 403
