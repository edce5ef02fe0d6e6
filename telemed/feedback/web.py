"""Pages of feedback: rating by a one-time token, complaints."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField, RadioField, TextAreaField

from telemed.errors import Invalid, NotFound
from telemed.feedback import rules, service
from telemed.ids import parse_id
from telemed.web import words
from telemed.web.forms import PageForm, at_most, optional, required
from telemed.web.guard import guard, services, who

pages = Blueprint("feedback", __name__)


class RatingForm(PageForm):
    token = HiddenField()
    score = RadioField(
        "How was it?",
        [required()],
        coerce=int,
        choices=[(5, "Very good"), (4, "Good"), (3, "So-so"), (2, "Bad"), (1, "Very bad")],
    )
    helped = RadioField(
        "Did it help?",
        [optional()],
        choices=[("yes", "Yes"), ("partly", "Partly"), ("no", "No"), ("too_early", "Too early to say")],
    )
    words = TextAreaField("In your own words", [optional(), at_most(rules.WORDS_MAX)])


class ComplaintForm(PageForm):
    category = RadioField("What is it about?", [required()], choices=[])
    text = TextAreaField("What happened?", [required(), at_most(rules.WORDS_MAX)])


class ReplyForm(PageForm):
    text = TextAreaField("Your reply", [required(), at_most(rules.WORDS_MAX)])


@pages.get("/rate")
@guard("rating.give")
def rate_page() -> ResponseReturnValue:
    """Show the rating page; the token comes in the address's fragment, which no log sees."""
    return render_template("feedback/rate.html", form=RatingForm())


@pages.post("/rate")
@guard("rating.give")
def rate() -> ResponseReturnValue:
    """Store a rating."""
    form = RatingForm()
    if not form.validate_on_submit():
        return render_template("feedback/rate.html", form=form), 422
    try:
        service.rate(services(), form.token.data or "", form.score.data, form.helped.data, form.words.data or "")
    except Invalid as error:
        form.take(error)
        return render_template("feedback/rate.html", form=form), 422
    except NotFound as error:
        form.form_errors.append(error.code)
        return render_template("feedback/rate.html", form=form), 404
    return render_template("feedback/thanks.html")


@pages.get("/complaints/new")
@guard("complaint.file")
def complain_page() -> ResponseReturnValue:
    """Show the complaint form."""
    return render_template("feedback/complain.html", form=_complaint_form())


@pages.post("/complaints/new")
@guard("complaint.file")
def complain() -> ResponseReturnValue:
    """Register a complaint of the patient, or of the patient the clerk writes for."""
    form = _complaint_form()
    patient_id = who().patient_id or parse_id(request.form.get("patient_id"))
    if patient_id is None:
        raise NotFound()
    if not form.validate_on_submit():
        return render_template("feedback/complain.html", form=form), 422
    try:
        number = service.file_complaint(services(), who(), patient_id, form.category.data, form.text.data or "")
    except Invalid as error:
        form.take(error)
        return render_template("feedback/complain.html", form=form), 422
    return render_template("feedback/complained.html", number=number, days=rules.REPLY_WITHIN_DAYS)


@pages.get("/complaints")
@guard("complaint.list")
def complaints() -> ResponseReturnValue:
    """Show the region's complaints with their clocks."""
    return render_template("feedback/complaints.html", complaints=service.complaints(services(), who()))


@pages.post("/complaints/<uuid:complaint_id>/reply")
@guard("complaint.answer")
def reply(complaint_id: UUID) -> ResponseReturnValue:
    """Answer a complaint."""
    form = ReplyForm()
    if not form.validate_on_submit():
        flash("Write a reply of at most 1000 characters.", "warn")
        return redirect(url_for("feedback.complaints"))
    service.answer_complaint(services(), who(), complaint_id, form.text.data or "")
    flash("The reply is stored; the patient sees it.", "ok")
    return redirect(url_for("feedback.complaints"))


def _complaint_form() -> ComplaintForm:
    form = ComplaintForm()
    form.category.choices = [(category, words.say_code(f"complaint_{category}")) for category in rules.CATEGORIES]
    return form
