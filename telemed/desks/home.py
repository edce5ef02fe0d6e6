"""Home: each role is sent to its own desk."""

from __future__ import annotations

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from telemed.web.guard import guard, who

pages = Blueprint("home", __name__)
DESKS = {
    "patient": "my.page",
    "clerk": "counter.desk",
    "doctor": "doctor.desk",
    "pharmacist": "pharmacy.desk",
    "dispatcher": "rounds.desk",
    "postman": "rounds.my_round",
    "coordinator": "coordinator.desk",
    "admin": "coordinator.system",
    "auditor": "coordinator.audit",
}


@pages.get("/")
@guard("page.public")
def open_home() -> ResponseReturnValue:
    """Send the user to the desk of the role, or to sign-in."""
    return redirect(url_for(DESKS.get(who().role or "", "sign_in.form")))
