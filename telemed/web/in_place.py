"""Deeds done from the middle of a page that must stay, because a talk runs on it: where a form would lead to an address,
the page's script is told it, and fetches only what has changed. Without the script the same forms lead there themselves.
"""

from __future__ import annotations

from flask import Flask, Response, json, request

HEADER = "X-In-Place"  # a foreign page cannot send it


def register(app: Flask) -> None:
    """Answer a script's form with where it leads, so that what is said there is said once and on the page that shows it."""

    @app.after_request
    def tell_where(response: Response) -> Response:
        if HEADER in request.headers and 300 < response.status_code < 400 and response.location:
            told = json.dumps({"location": response.location})
            del response.headers["Location"]
            response.status_code, response.mimetype = 200, "application/json"
            response.set_data(told)
        return response
