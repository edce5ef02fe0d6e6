"""Security headers: nothing inline, nothing foreign. The one import map stands here by its hash."""

from __future__ import annotations

import base64
import hashlib
import re

from flask import Flask, Response, g, request

IMPORT_MAP = re.compile(r"<script type=\"importmap\">(.*?)</script>", re.DOTALL)


def import_map_hash(page: str) -> str:
    """Return the CSP source of the import map in a page. It is the same in all pages until the next release."""
    found = IMPORT_MAP.search(page)
    assert found is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"


def register(app: Flask, *, https: bool, template: str) -> None:
    """Add the headers to every answer."""
    scripts = f"script-src 'self' {import_map_hash(app.jinja_env.get_template(template).render())}"

    @app.after_request
    def add(response: Response) -> Response:
        response.headers.pop("Server", None)
        if request.path.startswith("/static/") and response.mimetype != "text/html":
            return _bare(response)
        # WebAssembly is for the barcode scanner alone; the page asks for it.
        script = f"{scripts} 'wasm-unsafe-eval'" if g.get("needs_wasm") else scripts
        headers = response.headers
        headers.setdefault(
            "Content-Security-Policy",
            f"default-src 'none'; {script.strip()}; style-src 'self'; img-src 'self' data: blob:; "
            "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; font-src 'none'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        )
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault(
            "Permissions-Policy",
            "camera=(self), microphone=(self), fullscreen=(self), display-capture=(), geolocation=(), payment=(), usb=()",
        )
        if https:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        headers.setdefault("Cache-Control", "no-store")
        return response


def _bare(response: Response) -> Response:
    """Give a script or style sheet the two headers that mean something there: the others weigh more than many a script."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    return response
