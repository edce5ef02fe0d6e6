"""Pages of feedback: rating by a one-time token, complaints."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField, RadioField, SelectChoice, TextAreaField

from telemed.errors import Conflict, Invalid, NotFound
from telemed.feedback import rules, service
from telemed.ids import new_id, parse_id
from telemed.web import words
from telemed.web.forms import PageForm, at_most, optional, required
from telemed.web.guard import guard, services, who

pages = Blueprint("feedback", __name__)
SCORES = (("5", "Very good"), ("4", "Good"), ("3", "So-so"), ("2", "Bad"), ("1", "Very bad"))
HELPED = (("yes", "Yes"), ("partly", "Partly"), ("no", "No"), ("too_early", "Too early to say"))


# The service judges choices: WTForms would answer with its own English sentence instead of a code.
class RatingForm(PageForm):
    token = HiddenField()
    score = RadioField(
        "How was it?",
        [required()],
        choices=[SelectChoice(*score) for score in SCORES],
        validate_choice=False,
    )
    helped = RadioField(
        "Did it help?",
        [optional()],
        choices=[SelectChoice(*answer) for answer in HELPED],
        validate_choice=False,
    )
    words = TextAreaField("In your own words", [optional(), at_most(rules.WORDS_MAX)])

    def chosen_score(self) -> int | None:
        """Return the score, or None for what is none."""
        return int(self.score.data) if self.score.data in {str(score) for score in rules.SCORES} else None


class ComplaintForm(PageForm):
    """`complaint_id` is made with the page, so that a second press registers nothing twice."""

    complaint_id = HiddenField()
    category = RadioField("What is it about?", [required()], choices=[], validate_choice=False)
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
        service.rate(services(), form.token.data or "", form.chosen_score(), form.helped.data, form.words.data or "")
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
    """Show the complaint form; a clerk comes here from the patient's page."""
    if who().patient_id is None and parse_id(request.args.get("patient_id")) is None:
        flash("Find the patient first; the complaint is written from the patient's page.", "warn")
        return redirect(url_for("patients.find"))
    form = _complaint_form()
    form.complaint_id.data = str(new_id())
    return render_template("feedback/complain.html", form=form)


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
        number = service.file_complaint(
            services(), who(), patient_id, form.category.data, form.text.data or "", parse_id(form.complaint_id.data)
        )
    except Invalid as error:
        form.take(error)
        return render_template("feedback/complain.html", form=form), 422
    except Conflict as error:
        form.form_errors.append(error.code)
        return render_template("feedback/complain.html", form=form), 409
    return render_template("feedback/complained.html", number=number, days=rules.REPLY_WITHIN_DAYS)


@pages.get("/complaints")
@guard("complaint.list")
def complaints() -> ResponseReturnValue:
    """Show the region's complaints with their clocks."""
    return _complaints_page()


@pages.post("/complaints/<uuid:complaint_id>/reply")
@guard("complaint.answer")
def reply(complaint_id: UUID) -> ResponseReturnValue:
    """Answer a complaint."""
    form = ReplyForm()
    if not form.validate_on_submit():
        return _complaints_page(complaint_id, form), 422
    try:
        service.answer_complaint(services(), who(), complaint_id, form.text.data or "")
    except Invalid as error:
        form.take(error)
        return _complaints_page(complaint_id, form), 422
    except Conflict as error:  # another page has answered it
        page = render_template(
            "parts/given_back.html", code=error.code, given=[(words.say("Your reply"), form.text.data)],
            back=url_for("feedback.complaints"), back_text=words.say("Complaints"),
        )  # fmt: skip
        return page, error.status
    flash("The reply is stored; the patient sees it.", "success")
    return redirect(url_for("feedback.complaints"))


def _complaints_page(refused: UUID | None = None, form: ReplyForm | None = None) -> str:
    """Return the list; a refused reply stands in its complaint with what is wrong."""
    found = service.complaints(services(), who())
    return render_template("feedback/complaints.html", complaints=found, refused=refused, form=form)


def _complaint_form() -> ComplaintForm:
    form = ComplaintForm()
    form.category.choices = [
        SelectChoice(category, words.say_code(f"complaint_{category}")) for category in rules.CATEGORIES
    ]
    return form
