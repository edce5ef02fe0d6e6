"""Sign-in and sign-out, language, the shown card, and one-click sign-in in a demo."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response
from wtforms import PasswordField

from telemed import i18n
from telemed.access import accounts
from telemed.access.roles import is_open_to
from telemed.errors import Forbidden, NotFound, TelemedError
from telemed.i18n import in_context
from telemed.web import words
from telemed.web.forms import PageForm, TextField, at_most, is_own_path, required
from telemed.web.guard import action_of, guard, services, who
from telemed.web.live import COOKIE

pages = Blueprint("sign_in", __name__)
YEAR_S = 31_536_000


class SignInForm(PageForm):
    login = TextField(in_context("account", "Name"), required(), at_most(64))
    password = PasswordField("Password", [required(), at_most(256)])


def load(app: Flask) -> None:
    """Find out who asks, before anything else."""

    @app.before_request
    def find_principal() -> None:
        if not request.path.startswith("/static/"):
            g.who = accounts.who_is(services(), request.cookies.get(COOKIE))


@pages.get("/sign-in")
@guard("session.sign_in")
def form() -> ResponseReturnValue:
    """Show the sign-in page; in a demo also one button per role."""
    return _page(SignInForm())


@pages.post("/sign-in")
@guard("session.sign_in")
def submit() -> ResponseReturnValue:
    """Sign in by name and password."""
    form_ = SignInForm()
    if not form_.validate_on_submit():
        return _page(form_), 422
    try:
        token = accounts.sign_in(
            services(), form_.login.data or "", form_.password.data or "", request.remote_addr or ""
        )
    except TelemedError as error:
        form_.form_errors.append(error.code)
        return _page(form_), error.status
    return with_session(redirect(_next_page_of(token)), token)


@pages.post("/sign-in/demo")
@guard("session.sign_in")
def demo() -> ResponseReturnValue:
    """Sign in as one of the demo's people with one click."""
    if not services().demo:
        raise NotFound("no_such_page")
    person = accounts.demo_person(services(), request.form.get("login", ""))
    if person is None:
        raise Forbidden("wrong_password")
    response = with_session(redirect(_next_page_of(person)), person)
    # The demo's people prefer Russian; whoever plays them goes on in the language in which the button was read.
    response.set_cookie("lang", words.lang(), **_kept())
    return response


@pages.post("/sign-out")
@guard("session.sign_out")
def sign_out() -> ResponseReturnValue:
    """End the session and leave nothing in the browser."""
    accounts.sign_out(services(), who())
    session.clear()
    response = redirect(url_for("sign_in.form"))
    response.delete_cookie(COOKIE)
    # "storage" would also wipe a phone's unsent hand-overs; scripts clear their drafts themselves.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@pages.post("/language")
@guard("session.choose_language")
def language() -> ResponseReturnValue:
    """Keep the chosen language, type size and colours in cookies, and go back."""
    response = redirect(_next_page())
    if "lang" in request.form:
        response.set_cookie("lang", i18n.choose([request.form["lang"]]), **_kept())
    seen = words.view_of(f"{request.form.get('type_size', '')}.{request.form.get('theme', '')}")
    if seen:
        response.set_cookie("view", f"{seen.get('type_size', '')}.{seen.get('theme', '')}", **_kept())
    return response


def with_session(response: Response, token: str) -> Response:
    """Set the session cookie on a response; also the form token starts anew."""
    session.clear()
    response.set_cookie(COOKIE, token, httponly=True, samesite="Lax", secure=_secure(), path="/")
    return response


def _kept() -> dict[str, Any]:
    return {"max_age": YEAR_S, "samesite": "Lax", "httponly": True, "secure": _secure()}


def _secure() -> bool:
    return services().settings.is_https


def _next_page_of(token: str) -> str:
    """Return where a new session begins: the page it was asked for, unless that is another role's."""
    target = _next_page()
    try:
        endpoint, _facts = current_app.url_map.bind("").match(urlsplit(target).path, method="GET")
    except HTTPException:
        return url_for("home.open_home")
    action = action_of(current_app.view_functions[endpoint])
    return target if action and is_open_to(action, accounts.who_is(services(), token).role) else url_for("home.open_home")


def _next_page() -> str:
    target = request.values.get("next", "")
    if is_own_path(target):
        return target
    return url_for("home.open_home")


def _page(form_: SignInForm) -> Any:
    people = accounts.demo_people(services()) if services().demo else []
    return render_template("sign_in/form.html", form=form_, people=people, next=request.values.get("next", ""))
