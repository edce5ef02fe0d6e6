"""Text travels packed: on a village line a page's weight is its waiting time. Static files are packed once and kept; our
own scripts leave their comments at home, which are a quarter of their weight and say nothing to a browser.
"""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, request

LEVEL, LEVEL_ONCE = 6, 9  # of an answer, of a file that is packed once
WORTH_IT = 600  # bytes; below that the header costs more than it saves
# Whole lines only; an empty one stays, so that an error names the line that the source has.
COMMENT = re.compile(rb"^[ \t]*(?://.*|/\*(?:[^*]|\*(?!/))*\*/[ \t]*)$", re.MULTILINE)
TEXTS = (
    "text/",
    "application/json",
    "application/javascript",
    "application/manifest+json",
    "application/wasm",
    "image/svg",
)


def register(app: Flask, static: Path) -> None:
    """Pack every textual answer for browsers that take it."""

    @app.after_request
    def pack(response: Response) -> Response:
        if response.status_code != 200 or "Content-Encoding" in response.headers:
            return response
        if not (response.mimetype or "").startswith(TEXTS):
            return response
        response.vary.add("Accept-Encoding")
        if "gzip" not in request.headers.get("Accept-Encoding", "").lower():
            return response
        packed = _packed_answer(response, static)
        if packed is not None:
            response.direct_passthrough = False
            response.set_data(packed)
            response.headers["Content-Encoding"] = "gzip"
        return response


def _packed_answer(response: Response, static: Path) -> bytes | None:
    if request.path.startswith("/static/") or request.path == "/sw.js":
        path = static / request.path.removeprefix("/static/").lstrip("/")
        return _packed_file(path, path.stat().st_mtime_ns) if path.is_file() else None
    if response.is_streamed or (response.content_length or 0) < WORTH_IT:
        return None
    return gzip.compress(response.get_data(), LEVEL, mtime=0)


@lru_cache(maxsize=256)
def _packed_file(path: Path, _changed_ns: int) -> bytes:
    return gzip.compress(as_sent(path), LEVEL_ONCE, mtime=0)


def as_sent(path: Path) -> bytes:
    """Return a static file as it is packed."""
    is_ours = path.suffix == ".js" and "vendor" not in path.parts
    return without_comments(path.read_bytes()) if is_ours else path.read_bytes()


def without_comments(script: bytes) -> bytes:
    """Return a script with empty lines where it had comments of whole lines."""
    return COMMENT.sub(lambda found: b"\n" * found[0].count(b"\n"), script)
