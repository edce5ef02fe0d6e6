"""The service worker and the manifest of the postman's installable page; both must be served from the root."""

from __future__ import annotations

from flask import Blueprint, Response, current_app
from flask.typing import ResponseReturnValue

from telemed.web.guard import guard

pages = Blueprint("pwa", __name__)


@pages.get("/sw.js")
@guard("page.public")
def service_worker() -> ResponseReturnValue:
    """Serve the service worker; never from a cache, so that an update is seen."""
    response: Response = current_app.send_static_file("sw.js")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Type"] = "text/javascript; charset=utf-8"
    return response
