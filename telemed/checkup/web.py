"""Posts of the check-up; the screen itself is put together in the clerk's desk (desks/counter.py)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from telemed.checkup import rules, service, service_simulated
from telemed.errors import Conflict, Invalid
from telemed.patients import service as patients
from telemed.web import words
from telemed.web.errors import last_word
from telemed.web.guard import guard, services, who
from telemed.web.patience import within

pages = Blueprint("checkup", __name__)
RED_WAIT_S = 2.0  # so long a red card may wait for its answers to be stored
YES_NO: dict[str, dict[str, bool | None]] = {
    "fasting": {"yes": True, "no": False, "unknown": None}, "known_hypertension": {"yes": True, "no": False}
}  # fmt: skip
TEXT_LABELS = {
    "medicines": "Which medicines does the patient take?", "allergies": "Allergies?",
    "question": "What does the patient want to ask the doctor?",
}  # fmt: skip


@pages.get("/visits/<uuid:visit_id>/questions")
@guard("visit.answer")
def questions(visit_id: UUID) -> ResponseReturnValue:
    """Show the questions before the numbers."""
    return _questions(visit_id, {}, {})


@pages.post("/visits/<uuid:visit_id>/questions")
@guard("visit.answer")
def answer(visit_id: UUID) -> ResponseReturnValue:
    """Store the answers; one red flag leads to the red card at once, and waits for nothing on its way."""
    answers, faults = _answers()
    if faults:
        return _questions(visit_id, answers, faults), 422
    try:
        is_red = _keep(visit_id, partial(service.answer_questions, services(), who(), visit_id, answers))
    except Invalid as error:
        return _questions(visit_id, answers, error.faults), 422
    return redirect(url_for("counter.emergency" if is_red else "counter.visit", visit_id=visit_id))


@pages.get("/visits/<uuid:visit_id>/correct")
@guard("visit.answer")
def correct(visit_id: UUID) -> ResponseReturnValue:
    """Ask again what was answered wrongly. What was said before is not shown to who stands at the counter."""
    return _correction(visit_id, {})


@pages.post("/visits/<uuid:visit_id>/correct")
@guard("visit.answer")
def store_correction(visit_id: UUID) -> ResponseReturnValue:
    """Store what is said anew; both stay for the doctor."""
    changes = _changes()
    try:
        is_red = _keep(visit_id, partial(service.correct_answers, services(), who(), visit_id, changes))
    except Invalid as error:
        return _correction(visit_id, error.faults), 422
    except Conflict as error:
        if _has_red_flag():
            raise  # the red card, whatever the visit's state
        return _given_back(visit_id, error, {name: changes.get(name, "") for name in rules.TEXTS})
    if not is_red:
        flash("The correction is kept. The doctor sees both.", "success")
    return redirect(url_for("counter.emergency" if is_red else "counter.visit", visit_id=visit_id))


def _keep(visit_id: UUID, store: Callable[[], bool]) -> bool:
    """Store answers; with a red flag among them give up waiting soon, as the card needs nobody's answer."""
    return within(RED_WAIT_S, store) if _has_red_flag() else store()


def _has_red_flag() -> bool:
    return any(request.form.get(f"symptom-{code}") == "yes" for code in rules.RED_FLAGS)


@last_word("checkup.answer", "checkup.store_correction")
def show_card_alone(code: str) -> str | None:
    """Show the red card by the form alone, whatever went wrong with it: nobody has been told. Of a form that could not be
    read at all nobody knows whether a red flag was in it: it counts as one.
    """
    try:
        if not _has_red_flag():
            return None
    except HTTPException:
        pass
    visit_id = (request.view_args or {}).get("visit_id")
    return render_template("checkup/emergency.html", visit_id=visit_id, is_late=code == "not_stored_yet")


@pages.post("/visits/<uuid:visit_id>/complete")
@guard("visit.answer")
def complete(visit_id: UUID) -> ResponseReturnValue:
    """Add the answers that were left empty."""
    texts = {name: request.form.get(name, "").strip() for name in rules.TEXTS}
    try:
        service.complete_answers(services(), who(), visit_id, {name: text for name, text in texts.items() if text})
    except Invalid as error:
        visit = service.visit_view(services(), who(), visit_id)
        patient = patients.patient_card(services(), who(), visit.patient_id)
        page = render_template(
            "checkup/complete.html", visit_id=visit_id, typed=texts, faults=error.faults, patient=patient
        )
        return page, error.status
    except Conflict as error:
        return _given_back(visit_id, error, texts)
    return redirect(url_for("counter.visit", visit_id=visit_id))


def _given_back(visit_id: UUID, error: Conflict, typed: dict[str, str]) -> ResponseReturnValue:
    """Give words back that the visit does not take now; where there are none, say why on its page."""
    if not any(typed.values()):
        flash(words.say_code(error.code, **error.facts), "warn")
        return redirect(url_for("counter.visit", visit_id=visit_id))
    given = [(words.say(label), typed[name]) for name, label in TEXT_LABELS.items()]
    page = render_template(
        "parts/given_back.html", code=error.code, given=given, back_text=words.say("Back to the visit"),
        back=url_for("counter.visit", visit_id=visit_id),
    )  # fmt: skip
    return page, error.status


@pages.post("/visits/<uuid:visit_id>/measure")
@guard("visit.ask_measurement")
def measure(visit_id: UUID) -> ResponseReturnValue:
    """Ask for the next measurement of a kind."""
    return _step(visit_id, lambda kind: service.ask_measurement(services(), who(), visit_id, kind))


@pages.post("/visits/<uuid:visit_id>/simulate")
@guard("visit.simulate")
def simulate(visit_id: UUID) -> ResponseReturnValue:
    """Let the simulated meter measure; a demo only."""
    fault = request.form.get("fault") or None
    return _step(visit_id, lambda kind: service_simulated.simulate(services(), who(), visit_id, kind, None, fault))


@pages.post("/visits/<uuid:visit_id>/skip")
@guard("visit.ask_measurement")
def skip(visit_id: UUID) -> ResponseReturnValue:
    """Leave out the rest of one kind of measurement."""
    return _step(visit_id, lambda kind: service.skip_step(services(), who(), visit_id, kind))


@pages.post("/visits/<uuid:visit_id>/skip-arm")
@guard("visit.ask_measurement")
def skip_arm(visit_id: UUID) -> ResponseReturnValue:
    """Go on with the other arm only."""
    return _step(visit_id, lambda _kind: service.skip_arm(services(), who(), visit_id))


@pages.post("/visits/<uuid:visit_id>/close")
@guard("visit.close")
def close(visit_id: UUID) -> ResponseReturnValue:
    """End the visit."""
    try:
        service.close_visit(services(), who(), visit_id)
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
        return redirect(url_for("counter.desk"))
    flash("The visit is closed. Thank the patient and wipe the cuff.", "success")
    return redirect(url_for("counter.desk"))


def _step(visit_id: UUID, work: Any) -> ResponseReturnValue:
    try:
        work(request.form.get("kind", ""))
    except (Conflict, Invalid) as error:
        code = error.said if isinstance(error, Invalid) else error.code
        flash(words.say_code(code, **error.facts), "warn")
    return redirect(url_for("counter.visit", visit_id=visit_id))


def _answers() -> tuple[dict[str, Any], dict[str, str]]:
    """Return the typed answers, and what is missing: every symptom needs a yes or a no."""
    form, faults = request.form, {}
    for symptom in rules.SYMPTOMS:
        if form.get(f"symptom-{symptom}") not in ("yes", "no"):
            faults[f"symptom-{symptom}"] = "required"
    if form.get("fasting") not in ("yes", "no", "unknown"):
        faults["fasting"] = "required"
    answers: dict[str, Any] = {
        "symptoms": [symptom for symptom in rules.SYMPTOMS if form.get(f"symptom-{symptom}") == "yes"],
        "fasting": {"yes": True, "no": False}.get(form.get("fasting", "")),
        "known_hypertension": {"yes": True, "no": False}.get(form.get("known_hypertension", "")),
        "arm": form.get("arm", ""),
        "cuff": form.get("cuff", ""),
        **{name: form.get(name, "").strip() for name in ("question", "medicines", "allergies")},
    }
    found = rules.answer_faults(answers) | faults
    if not rules.is_red_flag(answers["symptoms"]):
        return answers, found
    # A red flag is never held up by a question that was left open; what was typed is kept whole.
    return answers | {name: "" for name in found if name in ("arm", "cuff")}, {}


def _changes() -> dict[str, Any]:
    """Return what is answered anew; an answer left as it was is none."""
    form = request.form
    said = {code: form.get(f"symptom-{code}") for code in rules.SYMPTOMS}
    changes: dict[str, Any] = {
        "symptoms": {code: answer == "yes" for code, answer in said.items() if answer in ("yes", "no")}
    }
    for name, values in YES_NO.items():
        if form.get(name) in values:
            changes[name] = values[form[name]]
    typed = {name: form.get(name, "").strip() for name in ("arm", "cuff", *rules.TEXTS)}
    return changes | {name: text for name, text in typed.items() if text}


def _correction(visit_id: UUID, faults: dict[str, str]) -> str:
    visit = service.visit_view(services(), who(), visit_id)
    return render_template(
        "checkup/correct.html", visit=visit, faults=faults, typed=request.form, red_flags=rules.RED_FLAGS,
        patient=patients.patient_card(services(), who(), visit.patient_id), others=rules.OTHER_SYMPTOMS,
    )  # fmt: skip


def _questions(visit_id: UUID, answers: dict[str, Any], faults: dict[str, str]) -> str:
    visit = service.visit_view(services(), who(), visit_id)
    typed = request.form if request.method == "POST" else {}
    return render_template(
        "checkup/questions.html", visit=visit, answers=answers, faults=faults, typed=typed, red_flags=rules.RED_FLAGS,
        patient=patients.patient_card(services(), who(), visit.patient_id), others=rules.OTHER_SYMPTOMS,
        last_arm=service.arm_of_patient(services(), who(), visit_id),
    )  # fmt: skip
