"""Pages of patients: find, register, one patient's page, consents, the card."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, HiddenField, RadioField

from telemed.access import accounts
from telemed.errors import Conflict, Invalid
from telemed.ids import new_id, parse_id
from telemed.patients import rules, service, service_index
from telemed.patients.fields import BirthField
from telemed.patients.rules_search import read_search
from telemed.web.forms import PageForm, TextField, at_most, optional, required
from telemed.web.guard import guard, services, who
from telemed.web.sign_in import with_session
from telemed.web.squares import square_svg
from telemed.web.words import say_code

pages = Blueprint("patients", __name__)


def yes_or_no(label: str) -> RadioField:
    """Return a question that has no answer until a person gives one: silence is never a consent."""
    return RadioField(label, [required()], choices=[("yes", "Yes"), ("no", "No")])


class FindForm(PageForm):
    """`text` takes anything scanned or typed; the other fields add one fact more."""

    text = TextField("Card, phone, document number or name", optional(), at_most(300))
    number = TextField("Phone, SNILS or policy number", optional(), at_most(40))
    card = TextField("Code of the card", optional(), at_most(300))
    name = TextField("Family name, given name, patronymic", optional(), at_most(200))
    born = BirthField("Birth date", optional())

    def search(self) -> dict[str, Any]:
        """Return what is asked for: the one field's meaning, completed by the others."""
        read = read_search(self.text.data or "")
        return {
            "number": self.number.data or read.number, "card": self.card.data or read.card,
            "name": self.name.data or read.name, "born": self.born.data or read.born,
        }  # fmt: skip

    def show(self, search: dict[str, Any]) -> None:
        """Put what was understood into its own fields: the person sees it and can add to it."""
        self.text.data, self.text.raw_data = "", None
        for name, value in search.items():
            self[name].data, self[name].raw_data = value, None


class PatientForm(PageForm):
    patient_id = HiddenField()
    family_name = TextField("Family name", required(), at_most(rules.NAME_MAX))
    given_name = TextField("Given name", required(), at_most(rules.NAME_MAX))
    patronymic = TextField("Patronymic", optional(), at_most(rules.NAME_MAX))
    birth_date = BirthField("Birth date", required())
    sex = RadioField("Sex", [required()], choices=[("female", "Woman"), ("male", "Man")])
    phone = TextField("Phone", required(), at_most(40))
    snils = TextField("SNILS", optional(), at_most(20))
    policy = TextField("Policy number", optional(), at_most(30))
    address = TextField("Address", required(), at_most(rules.ADDRESS_MAX))
    postal_index = TextField("Postal index", optional(), at_most(10))
    language = RadioField(
        "Language", [required()], default="ru", choices=[("ru", "Русский"), ("be", "Беларуская"), ("en", "English")]
    )
    type_size = RadioField(
        "Type size", [required()], default="large",
        choices=[("normal", "Normal"), ("large", "Large"), ("huge", "Huge")],
    )  # fmt: skip
    hard_of_hearing = BooleanField("Hard of hearing")
    consent_care = yes_or_no("code:consent_care")
    consent_telemedicine = yes_or_no("code:consent_telemedicine")
    consent_delivery = yes_or_no("code:consent_delivery")
    consent_notifications = yes_or_no("code:consent_notifications")

    def consents(self) -> tuple[str, ...]:
        """Return the purposes the patient said yes to."""
        return tuple(purpose for purpose in rules.PURPOSES if self[f"consent_{purpose}"].data == "yes")

    def search(self, document: str) -> dict[str, Any]:
        """Return what names the person elsewhere: name, birth date and that document's number."""
        names = (self[name].data or "" for name in ("family_name", "given_name", "patronymic"))
        name = " ".join(name for name in names if name)
        return {"name": name, "born": self.birth_date.data, "number": self[document].data or "", "card": ""}

    def patient(self) -> service.NewPatient:
        """Return what was typed."""
        names = (
            "family_name", "given_name", "patronymic", "sex", "phone", "snils", "policy", "address", "postal_index",
            "language", "type_size",
        )  # fmt: skip
        return service.NewPatient(
            **{name: self[name].data or "" for name in names}, birth_date=self.birth_date.data,
            hard_of_hearing=self.hard_of_hearing.data, consents=self.consents(),
        )  # fmt: skip


class CardForm(PageForm):
    token = TextField("Code of the card", required(), at_most(200))


@pages.get("/patients")
@guard("patient.find")
def find() -> ResponseReturnValue:
    """Show the search for one patient."""
    return _find_page(FindForm(), 200)


@pages.post("/patients")
@guard("patient.find")
def found() -> ResponseReturnValue:
    """Find one patient by anything scanned or typed; several are shown masked, to be told apart by one fact more."""
    form = FindForm()
    if not form.validate_on_submit():
        return _find_page(form, 422)
    search = form.search()
    try:
        people = service.find_people(services(), who(), **search)
    except service.KnownElsewhere as known:
        form.show(search)
        return _find_page(form, 409, there=services().place_of(known.branch_id), search=search)
    except (Invalid, Conflict) as error:
        form.show(search)
        form.take(error) if isinstance(error, Invalid) else form.form_errors.append(error.code)
        return _find_page(form, error.status)
    if len(people) == 1:
        return redirect(url_for("patients.page", patient_id=people[0].id))
    if people:
        form.show(search)
        return _find_page(form, 200, people=people)
    sought, form.text.data, form.text.raw_data = form.text.data, "", None  # the next scan must not join this one
    return _find_page(form, 404, nobody=True, sought=sought)


def _find_page(form: FindForm, status: int, **more: Any) -> ResponseReturnValue:
    shown = service_index.progress(services())
    return render_template("patients/find.html", form=form, progress=shown, facts=rules.FACTS, **more), status


@pages.post("/patients/<uuid:patient_id>/choose")
@guard("patient.choose")
def choose(patient_id: UUID) -> ResponseReturnValue:
    """Open one of several who were found, and record by which fact the clerk knows."""
    try:
        service.choose_person(services(), who(), patient_id, request.form.get("fact", ""))
    except Invalid:
        flash("Choose first by what you know that it is this person, then press the name again.", "warn")
        return redirect(url_for("patients.find"))
    return redirect(url_for("patients.page", patient_id=patient_id))


@pages.post("/patients/take-over")
@guard("patient.take_over")
def take_over() -> ResponseReturnValue:
    """Make the own branch the home of a person of another one, by name, birth date and document."""
    form = FindForm()
    if not form.validate_on_submit():
        return _find_page(form, 422)
    try:
        patient_id = service.take_over(services(), who(), **form.search())
    except (Invalid, Conflict) as error:
        form.take(error) if isinstance(error, Invalid) else form.form_errors.append(error.code)
        return _find_page(form, error.status)
    flash("The record belongs to this branch now.", "success")
    return redirect(url_for("patients.page", patient_id=patient_id))


@pages.get("/patients/new")
@guard("patient.register")
def new() -> ResponseReturnValue:
    """Show the registration form."""
    return render_template("patients/new.html", form=PatientForm(patient_id=str(new_id())))


@pages.post("/patients/new")
@guard("patient.register")
def register() -> ResponseReturnValue:
    """Register a patient, then show the patient's page. Who seems to be in the register is shown first."""
    form = PatientForm()
    if not form.validate_on_submit():
        return render_template("patients/new.html", form=form), 422
    typed = form.patient()
    try:
        patient_id = service.register_patient(
            services(), who(), typed, parse_id(form.patient_id.data), is_sure=request.form.get("sure") == "yes"
        )
    except Invalid as error:
        form.take(error)
        return render_template("patients/new.html", form=form), error.status
    except service.MaybeKnown as known:
        return render_template("patients/new.html", form=form, people=known.people), known.status
    except service.KnownElsewhere as known:
        there, search = services().place_of(known.branch_id), form.search(known.document)
        return render_template("patients/new.html", form=form, there=there, search=search), known.status
    _say_registered(typed)
    return redirect(url_for("patients.page", patient_id=patient_id))


def _say_registered(typed: service.NewPatient) -> None:
    # The same whether a number stands with somebody else or not: whose it is must not be found out by typing it.
    if typed.snils or typed.policy:
        flash(
            "The patient is registered. The numbers are compared with the register; if there is a question, the "
            "coordinator will ask you.",
            "success",
        )
    else:
        flash("The patient is registered.", "success")


@pages.get("/patients/<uuid:patient_id>")
@guard("patient.read")
def page(patient_id: UUID) -> ResponseReturnValue:
    """Show a patient: who it is, consents, and what to do next."""
    card = service.patient_card(services(), who(), patient_id)
    consents = service.consents_of(services(), who(), patient_id)
    undoable = {item.purpose for item in consents if rules.may_undo(item.withdrawn_at, services().clock())}
    return render_template(
        "patients/page.html", patient=card, consents=consents, purposes=rules.PURPOSES, undoable=undoable
    )


@pages.post("/patients/<uuid:patient_id>/consents")
@guard("consent.give")
def consent(patient_id: UUID) -> ResponseReturnValue:
    """Record that the patient agrees, or takes the agreement back: at once, and for half a minute with a way back."""
    purpose = request.form.get("purpose", "")
    try:
        if request.form.get("withdraw"):
            service.withdraw_consent(services(), who(), patient_id, purpose)
        elif request.form.get("undo"):
            service.undo_withdrawal(services(), who(), patient_id, purpose)
        else:
            service.give_consent(services(), who(), patient_id, purpose)
    except Conflict as error:
        flash(say_code(error.code), "error")
    return redirect(url_for("patients.page", patient_id=patient_id))


@pages.post("/patients/<uuid:patient_id>/card")
@guard("patient.issue_card")
def issue_card(patient_id: UUID) -> ResponseReturnValue:
    """Issue a card and show it for printing, this once."""
    token = service.issue_card(services(), who(), patient_id)
    card = service.patient_card(services(), who(), patient_id)
    base = services().settings.public_url or request.host_url.rstrip("/")
    return render_template("patients/card.html", patient=card, svg=square_svg(f"{base}/card#{token}"), token=token)


@pages.get("/card")
@guard("patient.show_card")
def card() -> ResponseReturnValue:
    """Show where a patient's card leads: a script posts the token of the address's fragment."""
    return render_template("patients/show_card.html", form=CardForm())


@pages.post("/card")
@guard("patient.show_card")
def show_card() -> ResponseReturnValue:
    """Open the patient's own pages for who shows a living card."""
    form = CardForm()
    if not form.validate_on_submit():
        return render_template("patients/show_card.html", form=form), 422
    patient_id = service.show_card(services(), form.token.data or "")
    if patient_id is None:
        form.form_errors.append(service.why_no_card(services(), form.token.data or ""))
        return render_template("patients/show_card.html", form=form), 404
    session.clear()
    return with_session(redirect(url_for("my.page")), accounts.open_session(services(), patient_id=patient_id))
