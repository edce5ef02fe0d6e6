"""Every route, every role, bad input of every kind: a clear refusal, never a fault of ours, never a foreign object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from flask import Response
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.routing import Rule

from telemed.access.models import AuditRow
from telemed.access.roles import is_open_to
from telemed.booking.models import Booking
from telemed.bootstrap import Application
from telemed.checkup.models import Visit
from telemed.consultation import service as consultation
from telemed.consultation.models import Consultation
from telemed.ids import new_id
from telemed.patients.models import Patient
from telemed.web.guard import action_of
from tests import cast
from tests.make import Hands

ROOT = Path(__file__).parent.parent.parent
TEXTS = (
    "", "   ", "x" * 5000, "\x00", "-1", "9" * 40, "1e400", "NaN", "01.01.0001", "31.12.9999", "2026-02-30T25:61Z",
    str(UUID(int=0)), "../../etc/passwd", "<script>", "🦊", "' or 1=1 --",
)  # fmt: skip
DOCUMENTS: tuple[Any, ...] = ([], "x", 5, None, True, {}, {"unknown": 1}, [[[]]] * 3)
BYTES = (b"{", b"\xff\xfe", b"[" * 20_000, b'{"a": 1e999}', b'{"a": "\\ud800"}')
NAMES = sorted(
    {
        name
        for path in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r'name="([a-z_]+(?:-1)?)"', path.read_text(encoding="utf-8"))
    }
    | {"family_name", "given_name", "birth_date", "phone", "snils", "policy", "day", "starts_at", "ends_at", "version"}
    | {"patient_id", "doctor_id", "booking_id", "invitation_id", "slot_minutes", "code-1", "quantity-1", "days-1"}
)
ROLES: dict[str, cast.Person | cast.Villager | None] = {
    "nobody": None, "patient": cast.MARIA, "clerk": cast.ANNA, "doctor": cast.VERA, "pharmacist": cast.DINA,
    "dispatcher": cast.EGOR, "postman": cast.FEDOR, "coordinator": cast.GALINA, "admin": cast.OLEG,
    "auditor": cast.TAMARA,
}  # fmt: skip
FAR = cast.Villager(
    "ostap", "Дубов", "Остап", "Ильич", date(1944, 3, 1), "+79210000077", "", "", cast.RECHNOYE, sex="male"
)
# What ends the session would make the rest of the walk a stranger's.
LEFT_OUT = {"sign_in.sign_out", "sign_in.one_click", "static"}


@pytest.fixture
def client(request: pytest.FixtureRequest, application: Application, sign_in: Any) -> FlaskClient:
    person = ROLES[request.param]
    return application.app.test_client() if person is None else sign_in(person)  # type: ignore[no-any-return]


@pytest.fixture
def objects(hands: Hands) -> dict[str, UUID]:
    """One of everything near at hand, and the same far away in the River region."""
    with hands.services.db.write() as tx:
        hands._patient(tx, FAR)
    found = {}
    for where, villager, doctor in (("near", cast.MARIA, cast.VERA), ("far", FAR, cast.GLEB)):
        found[f"{where} patient"] = villager.id
        found[f"{where} booking"] = hands.booking(villager, doctor)
        found[f"{where} visit"] = visit = hands.visit(villager, state="ready")
        with hands.services.db.write() as tx:
            case_id = consultation.queue_case(hands.services, tx, visit, "YELLOW")
        assert case_id is not None
        found[f"{where} case"] = case_id
    return found


def routes(application: Application, role: str, method: str) -> Iterator[Rule]:
    for rule in application.app.url_map.iter_rules():
        action = action_of(application.app.view_functions[rule.endpoint])
        if method not in (rule.methods or ()) or rule.endpoint in LEFT_OUT or action is None:
            continue
        if is_open_to(action, None if role == "nobody" else role):
            yield rule


def address(rule: Rule, value: str) -> str:
    return re.sub(r"<[^>]+>", quote(value, safe=""), rule.rule)


def is_fit(answer: Response, rule: Rule) -> str | None:
    """Return what is wrong with an answer, or None."""
    if answer.status_code >= 500 and answer.status_code != 503:
        return f"{rule.rule}: {answer.status_code}"
    if answer.status_code < 400:
        return None
    if rule.rule.startswith("/api/"):
        said = answer.get_json(silent=True)
        return None if isinstance(said, dict) and isinstance(said.get("error"), str) else f"{rule.rule}: no typed error"
    return None if "<h1" in answer.get_data(as_text=True) else f"{rule.rule}: {answer.status_code} without a page"


@pytest.mark.parametrize("client", sorted(ROLES), indirect=True)
def test_a_form_never_breaks_the_server(
    request: pytest.FixtureRequest, application: Application, client: FlaskClient, objects: dict[str, UUID]
) -> None:
    role = request.node.callspec.params["client"]
    faults = []
    for rule in routes(application, role, "POST"):
        for number, text in enumerate(TEXTS):
            target = list(objects.values())[number % 4] if number % 2 else new_id()
            answer = client.post(address(rule, str(target)), data=dict.fromkeys(NAMES, text))
            faults.append(is_fit(answer, rule))

    assert faults, "somebody may do something here"
    assert sorted({fault for fault in faults if fault}) == []


@pytest.mark.parametrize("client", sorted(ROLES), indirect=True)
def test_a_json_body_never_breaks_the_server(
    request: pytest.FixtureRequest, application: Application, client: FlaskClient, objects: dict[str, UUID]
) -> None:
    role = request.node.callspec.params["client"]
    faults = []
    for rule in routes(application, role, "POST"):
        if not rule.rule.startswith("/api/"):
            continue
        model = getattr(application.app.view_functions[rule.endpoint], "body", None)
        names = list(model.model_fields) if model else ["items", "events", "epoch"]
        path = address(rule, str(objects["near case"]))
        wrong = [dict.fromkeys(names, value) for value in (*DOCUMENTS, *TEXTS, -1, 1e300, 10**30)]
        faults += [is_fit(client.post(path, json=document), rule) for document in (*DOCUMENTS, *wrong)]
        faults += [is_fit(client.post(path, data=body, content_type="application/json"), rule) for body in BYTES]

    assert faults, "somebody may do something here"
    assert sorted({fault for fault in faults if fault}) == []


@pytest.mark.parametrize("client", sorted(ROLES), indirect=True)
def test_a_strange_address_never_breaks_the_server(
    request: pytest.FixtureRequest, application: Application, client: FlaskClient
) -> None:
    role = request.node.callspec.params["client"]
    faults = []
    for rule in routes(application, role, "GET"):
        for text in TEXTS[2:]:
            query = "&".join(f"{name}={quote(text[:200])}" for name in NAMES)
            faults.append(is_fit(client.get(f"{address(rule, text[:200] or 'x')}?{query}"), rule))
            faults.append(is_fit(client.get(f"{address(rule, str(new_id()))}?{query}"), rule))

    assert faults, "somebody may do something here"
    assert sorted({fault for fault in faults if fault}) == []


@pytest.mark.parametrize("client", sorted(set(ROLES) - {"nobody"}), indirect=True)
def test_no_address_shows_another_regions_object(
    request: pytest.FixtureRequest, application: Application, client: FlaskClient, objects: dict[str, UUID]
) -> None:
    role = request.node.callspec.params["client"]
    shown = {
        f"{rule.rule} {name}"
        for rule in routes(application, role, "GET")
        if "<uuid:" in rule.rule
        for name, target in objects.items()
        if name.startswith("far") and client.get(address(rule, str(target))).status_code == 200
    }

    assert shown == set()


@pytest.mark.parametrize("client", sorted(set(ROLES) - {"nobody"}), indirect=True)
def test_what_a_role_may_not_do_is_refused_by_every_route(
    request: pytest.FixtureRequest, application: Application, client: FlaskClient, objects: dict[str, UUID]
) -> None:
    role = request.node.callspec.params["client"]
    own = {(rule.endpoint, method) for method in ("GET", "POST") for rule in routes(application, role, method)}
    answers, before = {}, refused_by_role(application)
    for rule in application.app.url_map.iter_rules():
        view = application.app.view_functions[rule.endpoint]
        if action_of(view) is None or getattr(view, "machine", False):
            continue
        for method in {"GET", "POST"} & (rule.methods or set()):
            if (rule.endpoint, method) not in own and rule.endpoint not in LEFT_OUT:
                answer = client.open(address(rule, str(objects["near visit"])), method=method)
                answers[f"{method} {rule.rule}"] = answer.status_code

    assert answers, "every role has something that it may not do"
    assert {name: status for name, status in answers.items() if status != 403} == {}
    assert refused_by_role(application) - before == len(answers), "each try is in the audit trail"


def refused_by_role(application: Application) -> int:
    with application.services.db.read() as tx:
        return len(tx.scalars(select(AuditRow.no).where(AuditRow.reason == "role")).all())


@pytest.mark.parametrize("client", sorted(ROLES), indirect=True)
def test_no_form_is_taken_without_its_token(
    request: pytest.FixtureRequest, application: Application, client: FlaskClient
) -> None:
    application.app.config["WTF_CSRF_ENABLED"] = True
    role = request.node.callspec.params["client"]
    taken = {}
    for rule in routes(application, role, "POST"):
        if getattr(application.app.view_functions[rule.endpoint], "machine", False):
            continue
        answer = client.post(address(rule, str(new_id())), data={"csrf_token": "made up"})
        if answer.status_code not in (400, 403, 422) or "csrf" not in answer.get_data(as_text=True).lower():
            taken[rule.rule] = answer.status_code

    assert taken == {}


@pytest.mark.parametrize("client", ["clerk", "doctor"], indirect=True)
def test_no_post_changes_an_object_of_another_region(
    request: pytest.FixtureRequest, application: Application, client: FlaskClient, objects: dict[str, UUID]
) -> None:
    role = request.node.callspec.params["client"]
    typed = {"kind": "glucose", "outcome": "advised", "identified_by": "document", "assessment": "x", "allergies": "x"}
    before = far_rows(application, objects)
    taken = [
        rule.rule
        for rule in routes(application, role, "POST")
        if "<uuid:" in rule.rule
        for name, target in objects.items()
        if name.startswith("far") and client.post(address(rule, str(target)), data=typed).status_code == 200
    ]

    assert taken == []
    assert far_rows(application, objects) == before


def far_rows(application: Application, objects: dict[str, UUID]) -> list[list[Any]]:
    """Return all columns of what lies in the River region."""
    kinds = {"patient": Patient, "booking": Booking, "visit": Visit, "case": Consultation}
    with application.services.db.read() as tx:
        rows = [tx.get_one(kind, objects[f"far {name}"]) for name, kind in kinds.items()]
        return [[getattr(row, column.key) for column in type(row).__mapper__.columns] for row in rows]
