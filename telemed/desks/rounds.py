"""The dispatcher's desk and the postman's round."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from telemed.delivery import service as delivery
from telemed.errors import Conflict, Invalid
from telemed.ids import parse_id
from telemed.rules_typed import Unreadable, read_day, tidy
from telemed.web import words
from telemed.web.guard import guard, services, who
from telemed.web.words import say_code

pages = Blueprint("rounds", __name__)


@pages.get("/dispatch")
@guard("parcel.list")
def desk() -> ResponseReturnValue:
    """Show the region's parcels by what is to be done with them."""
    return _desk()


@pages.post("/dispatch/assign")
@guard("parcel.assign")
def assign() -> ResponseReturnValue:
    """Put the ticked parcels on a postman's round."""
    chosen = [parcel_id for text in request.form.getlist("parcels") if (parcel_id := parse_id(text))]
    try:
        if not chosen:
            raise Invalid(fields={"parcels": "choose_a_parcel"})
        for parcel_id in chosen:
            delivery.assign(services(), who(), parcel_id, parse_id(request.form.get("postman_id")), _day())
    except Invalid as error:
        return _desk(error.faults), 422
    except Conflict as error:
        flash(say_code(error.code), "error")
        return redirect(url_for("rounds.desk"))
    flash(say_code("parcels_are_assigned"), "success")
    return redirect(url_for("rounds.desk"))


@pages.post("/parcels/<uuid:parcel_id>/take-off")
@guard("parcel.assign")
def take_off(parcel_id: UUID) -> ResponseReturnValue:
    """Take a parcel off the round that it was put on by mistake."""
    return _then("parcel_is_off_the_round", lambda: delivery.take_off(services(), who(), parcel_id))


@pages.post("/dispatch/rounds/<uuid:round_id>/give")
@guard("parcel.assign")
def give_round(round_id: UUID) -> ResponseReturnValue:
    """Hand a whole round over to its postman."""
    return _then("parcels_are_given", lambda: delivery.give_round(services(), who(), round_id))


@pages.post("/parcels/<uuid:parcel_id>/give")
@guard("parcel.assign")
def give(parcel_id: UUID) -> ResponseReturnValue:
    """Hand one parcel over to its postman."""
    return _then("parcels_are_given", lambda: delivery.give(services(), who(), parcel_id))


@pages.post("/parcels/<uuid:parcel_id>/take-back")
@guard("parcel.take_back")
def take_back(parcel_id: UUID) -> ResponseReturnValue:
    """Take a parcel back for good."""
    return _then("parcel_is_back", lambda: delivery.take_back(services(), who(), parcel_id))


@pages.post("/parcels/<uuid:parcel_id>/take-again")
@guard("parcel.take_back")
def take_again(parcel_id: UUID) -> ResponseReturnValue:
    """Take a parcel back for another try."""
    return _then("parcel_waits_again", lambda: delivery.take_again(services(), who(), parcel_id))


@pages.post("/parcels/<uuid:parcel_id>/lost")
@guard("parcel.take_back")
def lose(parcel_id: UUID) -> ResponseReturnValue:
    """Declare a parcel lost."""
    return _then("parcel_is_lost", lambda: delivery.lose(services(), who(), parcel_id))


@pages.get("/round")
@guard("round.read")
def my_round() -> ResponseReturnValue:
    """Give the postman's phone its page: a shell without anybody's data, which the phone may keep."""
    g.needs_wasm = True
    return render_template("desks/rounds/my_round.html", zone=words.own_zone())


def _then(done: str, deed: Callable[[], object]) -> ResponseReturnValue:
    try:
        deed()
        flash(say_code(done), "success")
    except Conflict as error:
        flash(say_code(error.code), "error")
    return redirect(url_for("rounds.desk"))


def _day() -> date | None:
    text = tidy(request.form.get("day", ""))
    try:
        return read_day(text) if text else None
    except Unreadable as error:
        raise Invalid(fields={"day": error.code}) from None


def _desk(fields: dict[str, str] | None = None) -> str:
    shown = delivery.parcels_for_dispatch(services(), who())
    return render_template(
        "desks/rounds/desk.html",
        dispatch=shown,
        postmen=shown.postmen,
        days=[shown.today + timedelta(days=n) for n in range(4)],
        fields=fields or {},
        typed=request.form,
        ticked=request.form.getlist("parcels"),
        room=f"dispatch:{who().region_id}",
        has_errors=bool(fields),
    )
