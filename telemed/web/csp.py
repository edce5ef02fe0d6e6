"""Security headers: nothing inline, nothing foreign. The one import map stands here by its hash."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from flask import Flask, Response, g, request

IMPORT_MAP = re.compile(rb"<script type=\"importmap\">(.*?)</script>", re.DOTALL)


def import_map_hash(template: Path) -> str:
    """Return the CSP source of the import map in `template`, or an empty string when there is none yet."""
    found = IMPORT_MAP.search(template.read_bytes()) if template.is_file() else None
    if found is None:
        return ""
    return f"'sha256-{base64.b64encode(hashlib.sha256(found.group(1)).digest()).decode()}'"


def register(app: Flask, *, https: bool, template: Path) -> None:
    """Add the headers to every answer."""
    scripts = f"script-src 'self' {import_map_hash(template)}"

    @app.after_request
    def add(response: Response) -> Response:
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
            "Permissions-Policy", "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()"
        )
        if https:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if not request.path.startswith("/static/"):
            headers.setdefault("Cache-Control", "no-store")
        elif "v" not in request.args:
            headers["Cache-Control"] = "no-cache"  # a module under an unchanging name: ask whether it is still the same
        headers.pop("Server", None)
        return response
