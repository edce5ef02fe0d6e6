"""`Idempotency-Key` at the edge of JSON routes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from flask import request

from telemed.access import answers
from telemed.web.guard import services, who


def once(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the answer of `work`; a repeat under the same key gets the same answer. Raises as `answers.once`."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        return work()
    digest = hashlib.sha256(request.get_data()).hexdigest()
    return answers.once(services(), who(), request.path, key, digest, work)
