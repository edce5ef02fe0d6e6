"""Addresses of static files that change with their contents, so that a browser keeps them for good and asks for nothing
twice.

Our own scripts import each other by relative address, so they share one mark in their path: `/static/js/v-<mark>/...`.
A file that nothing imports by address carries its own hash: `/static/vendor/idb.js?v=<hash>`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from posixpath import dirname, normpath
from typing import Any

from flask import Flask, Response, g, request
from markupsafe import Markup

SCRIPTS = "/static/js/"
MARKED = re.compile(r"/static/js/v-([0-9a-f]{12})/")
PARTS = ("js", "vendor", "icons", "manifest.webmanifest")
IMPORT = re.compile(r"""^import (?:[^"]* from )?"([^"]+)";""", re.MULTILINE)
# As in templates/parts/importmap.html; the barcode scanner is fetched on its own, see static/js/delivery/scan.js.
BARE = {
    "socket.io-client": "vendor/socket.io.esm.min.js",
    "idb": "vendor/idb.js",
    "uplot": "vendor/uplot.esm.min.js",
}
# Together they weigh more than many a script. The last two serve to ask again, which nobody does for a marked file.
NEEDLESS = ("Content-Disposition", "Accept-Ranges", "Expires", "ETag", "Last-Modified")
FOR_GOOD, ASK = "public, max-age=31536000, immutable", "no-cache"


def register(app: Flask, static: Path) -> None:
    """Give templates `asset(path)` and `script(path)`, answer marked addresses, say how long each file may be kept."""
    mark = build_mark(static)
    app.jinja_env.globals.update(
        asset=lambda path: address(static, mark, path), script=lambda path: _script(static, mark, path)
    )
    app.wsgi_app = _unmarked(app.wsgi_app)  # type: ignore[method-assign]

    @app.after_request
    def say_how_long(response: Response) -> Response:
        if request.path.startswith("/static/"):
            # An old page's mark gets today's script, which must not be kept under the old address.
            is_named = request.environ.get("telemed.mark") == mark or "v" in request.args
            keeps = is_named and response.status_code in (200, 304)
            response.headers["Cache-Control"] = FOR_GOOD if keeps else ASK
            for name in NEEDLESS if keeps else NEEDLESS[:3]:
                response.headers.pop(name, None)
        return response


def address(static: Path, mark: str, path: str) -> str:
    """Return under which address a page asks for a static file."""
    if path.startswith("js/"):
        return f"{SCRIPTS}v-{mark}/{path.removeprefix('js/')}"
    return f"/static/{path}?v={_digest(static / path)}"


def _script(static: Path, mark: str, path: str) -> Markup:
    """Return the tag of a script, behind links to all that it needs: else each import costs a way there and back."""
    told: set[str] = g.setdefault("preloaded", set())
    new = [needed for needed in _needs(static, path) if needed not in told]
    told.update(new)
    link, tag = Markup('<link rel="modulepreload" href="{}">'), Markup('<script type="module" src="{}"></script>')
    return Markup().join(
        [*(link.format(address(static, mark, one)) for one in new), tag.format(address(static, mark, path))]
    )


@lru_cache(maxsize=256)
def _needs(static: Path, script: str) -> tuple[str, ...]:
    """Return all files that a script imports, and those that they import; what it imports only when needed is left out."""
    found: dict[str, None] = {}
    ahead = [script]
    while ahead:
        path = ahead.pop(0)
        if path not in BARE.values():
            for name in IMPORT.findall((static / path).read_text(encoding="utf-8")):
                needed = BARE.get(name) or _file_of(name, path)
                if needed not in found:
                    found[needed] = None
                    ahead.append(needed)
    return tuple(found)


def _file_of(name: str, importer: str) -> str:
    return f"js/{name}" if name.startswith("lib/") else normpath(f"{dirname(importer)}/{name}")


def build_mark(static: Path) -> str:
    """Tell one state of everything that pages load from another."""
    seen = hashlib.sha256()
    for part in PARTS:
        files = [static / part] if (static / part).is_file() else sorted((static / part).rglob("*"))
        for path in files:
            if path.is_file() and path.suffix != ".gz":
                seen.update(f"{path.relative_to(static)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return seen.hexdigest()[:12]


def _unmarked(wsgi_app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if found := MARKED.match(path):
            environ = {**environ, "PATH_INFO": SCRIPTS + path[found.end() :], "telemed.mark": found[1]}
        return wsgi_app(environ, start_response)

    return serve


@lru_cache(maxsize=512)
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10] if path.is_file() else "0"
