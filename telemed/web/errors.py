"""Errors at the edge, mapped once: a page in the user's words, JSON with a stable code, or a socket answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, current_app, g, jsonify, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from telemed.access.roles import is_open_to
from telemed.errors import Invalid, SignInNeeded, StillWorking, TelemedError, TooMany
from telemed.web.forms import is_own_path
from telemed.web.guard import action_of, who

log = structlog.get_logger()
HTTP_CODES = {
    400: "body_invalid",
    404: "no_such_page",
    405: "method_not_allowed",
    413: "too_large",
    415: "body_invalid",
    429: "too_many_attempts",
}


_LAST_WORDS: dict[str, Callable[[str], str | None]] = {}


def last_word(*endpoints: str) -> Callable[[Callable[[str], str | None]], Callable[[str], str | None]]:
    """Let a page of its own be shown for whatever error ends these routes, by what the request itself holds. It gets the
    error's code and returns None where the usual page will do.
    """

    def keep(view: Callable[[str], str | None]) -> Callable[[str], str | None]:
        _LAST_WORDS.update(dict.fromkeys(endpoints, view))
        return view

    return keep


def register(app: Flask) -> None:
    """Hook the three kinds of error into the application."""
    app.register_error_handler(TelemedError, _on_ours)
    app.register_error_handler(CSRFError, _on_csrf)
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(Exception, _on_unexpected)


def as_document(error: TelemedError) -> dict[str, Any]:
    """Return the JSON shape of an error, for HTTP and sockets alike."""
    document: dict[str, Any] = {"error": error.code}
    if isinstance(error, Invalid) and error.fields:
        document["fields"] = error.fields
    facts = {key: value for key, value in error.facts.items() if isinstance(value, int | str | float | bool)}
    return {**document, **facts}


def wants_json() -> bool:
    """Tell whether the caller is a script: an /api/ path, a JSON body, or JSON preferred."""
    if request.path.startswith("/api/") or request.is_json:
        return True
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def _on_ours(error: TelemedError) -> ResponseReturnValue:
    if isinstance(error, SignInNeeded) and not wants_json() and request.method == "GET":
        return redirect(url_for("sign_in.form", next=request.full_path.rstrip("?")))
    document = as_document(error)
    said = error.said if isinstance(error, Invalid) and not wants_json() else error.code
    response = answer(error.status, said, document)
    if isinstance(error, TooMany | StillWorking):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _on_csrf(_error: CSRFError) -> ResponseReturnValue:
    action = action_of(current_app.view_functions[request.endpoint]) if request.endpoint else None
    if action and who().role is None and not is_open_to(action, None):
        return answer(401, "sign_in_needed")  # the session ended: sending once more would never help
    return answer(400, "csrf_expired")


def _on_http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    status = error.code or 500
    if 300 <= status < 400:
        return error.get_response()  # type: ignore[return-value]
    return answer(status, HTTP_CODES.get(status, "body_invalid" if status < 500 else "server_error"))


def _on_unexpected(error: Exception) -> ResponseReturnValue:
    # The one broad handler: nothing of the exception's text leaves, it may hold what somebody typed.
    log.error("web.unexpected", error=type(error).__name__, request_id=g.get("request_id"), exc_info=_is_debug())
    return answer(500, "server_error")


def _is_debug() -> bool:
    return bool(g.get("log_tracebacks", False))


def _back() -> str:
    """Return the page of ours from which the request came, or the desk."""
    came_from = urlsplit(request.referrer or "")
    path = came_from.path + (f"?{came_from.query}" if came_from.query else "")
    return path if came_from.netloc == request.host and is_own_path(path) else "/"


def answer(status: int, code: str, document: dict[str, Any] | None = None) -> Response:
    """Return the error as JSON or as a page."""
    alone = _LAST_WORDS[request.endpoint](code) if request.endpoint in _LAST_WORDS else None
    if alone is not None and not wants_json():
        response = make_response(alone, status)
    elif wants_json():
        body = {**(document or {"error": code}), "request_id": g.get("request_id")}
        response = make_response(jsonify(body), status)
    else:
        response = make_response(render_template("parts/error.html", code=code, status=status, back=_back()), status)
    response.headers["Cache-Control"] = "no-store"
    return response
