"""Who may do what: default deny, every cell of the table told, refusals audited."""

from __future__ import annotations

from itertools import combinations

import pytest
from sqlalchemy import select

from telemed.access import audit
from telemed.access.decide import decide
from telemed.access.models import AuditRow
from telemed.access.relations import NOBODY, Subject
from telemed.access.roles import ACTIONS, ANYONE, ROLES, alternatives, conditions_of
from telemed.errors import Forbidden, NotFound, SignInNeeded
from telemed.services import Services
from tests import cast

CLINICAL = ("reading.read", "consultation.read_note", "visit.read_answers", "prescription.read", "order.read_items")
EVERYBODY = [*ROLES, None]


@pytest.mark.parametrize("action", ACTIONS)
def test_every_cell_of_the_table_is_allowed_only_on_its_condition(action: str) -> None:
    for role in EVERYBODY:
        ways = conditions_of(action, role)
        names = sorted({name for way in ways for name in way})

        for held in (set(chosen) for size in range(len(names) + 1) for chosen in combinations(names, size)):
            expected = any(way <= held for way in ways)
            assert decide(role, action, held.__contains__).allowed == expected, (role, action, held)


def test_an_action_that_is_not_in_the_table_is_denied_to_everybody() -> None:
    assert not any(decide(role, "patient.sell", lambda _relation: True).allowed for role in EVERYBODY)


@pytest.mark.parametrize("action", CLINICAL)
@pytest.mark.parametrize("role", ["clerk", "dispatcher", "postman", "coordinator", "admin", "auditor", "gateway"])
def test_nobody_but_doctor_patient_and_pharmacist_reads_clinical_data(action: str, role: str) -> None:
    assert conditions_of(action, role) == ()


def test_a_condition_reads_as_written() -> None:
    assert alternatives("own_branch+open_visit | own") == (frozenset({"own_branch", "open_visit"}), frozenset({"own"}))
    assert all(key == ANYONE or key in ROLES for row in ACTIONS.values() for key in row)


def test_a_relation_that_nobody_registered_denies(services: Services) -> None:
    services.relations.pop("own_branch")

    with pytest.raises(NotFound), services.act(cast.ANNA.who, "patient.find", Subject(branch_id=cast.OZERKI)):
        pass


def last_row(services: Services) -> AuditRow:
    with services.db.read() as tx:
        return tx.scalars(select(AuditRow).order_by(AuditRow.no.desc()).limit(1)).one()


def test_the_own_branch_is_open_and_another_looks_missing(services: Services) -> None:
    with services.act(cast.ANNA.who, "patient.find", Subject(branch_id=cast.OZERKI)):
        pass
    assert (last_row(services).action, last_row(services).allowed) == ("patient.find", True)

    with pytest.raises(NotFound), services.act(cast.ANNA.who, "patient.find", Subject(branch_id=cast.SOSNOVO)):
        pass
    row = last_row(services)
    assert (row.actor_id, row.allowed, row.reason) == (cast.ANNA.id, False, "relation")
    assert row.subject == {"branch_id": str(cast.SOSNOVO)}


def test_another_role_is_forbidden_and_nobody_must_sign_in(services: Services) -> None:
    with pytest.raises(Forbidden), services.act(cast.FEDOR.who, "patient.find", Subject(branch_id=cast.OZERKI)):
        pass
    with pytest.raises(SignInNeeded), services.act(NOBODY, "patient.find", Subject(branch_id=cast.OZERKI)):
        pass


def test_work_that_fails_leaves_neither_change_nor_audit_row(services: Services) -> None:
    before = last_row(services).no if has_rows(services) else 0

    with pytest.raises(ZeroDivisionError), services.act(cast.ANNA.who, "patient.find", Subject(branch_id=cast.OZERKI)):
        raise ZeroDivisionError

    assert (last_row(services).no if has_rows(services) else 0) == before
    with services.db.read() as tx:
        assert audit.first_broken(tx) is None


def has_rows(services: Services) -> bool:
    with services.db.read() as tx:
        return tx.scalar(select(AuditRow.no).limit(1)) is not None
