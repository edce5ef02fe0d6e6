"""The guard of every page and JSON route: each names one action of the table. The service decides about the object."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import current_app, g
from pydantic import BaseModel

from telemed.access.relations import NOBODY, Principal
from telemed.access.roles import is_open_to
from telemed.errors import Forbidden, SignInNeeded
from telemed.services import Services

P = ParamSpec("P")
R = TypeVar("R")


def services() -> Services:
    """Return the services of the running application."""
    return current_app.extensions["telemed"]  # type: ignore[no-any-return]


def who() -> Principal:
    """Return who asks; set once per request by `telemed.web.sign_in.load`."""
    return g.get("who", NOBODY)  # type: ignore[no-any-return]


def guard(
    action: str, *, machine: bool = False, body: type[BaseModel] | None = None, answer: type[BaseModel] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only roles through that may ever do `action`. `machine` routes prove themselves by signature, not by cookie
    and form token. `body` and `answer` describe JSON for the OpenAPI document.
    """

    def wrap(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if not machine and not is_open_to(action, who().role):
                if who().role is None:
                    raise SignInNeeded()
                services().refuse_role(who(), action)
                raise Forbidden()
            return view(*args, **kwargs)

        guarded.action, guarded.machine = action, machine  # type: ignore[attr-defined]
        guarded.body, guarded.answer = body, answer  # type: ignore[attr-defined]
        return guarded

    return wrap


def action_of(view: Callable[..., Any]) -> str | None:
    """Return the action that a view names, or None."""
    return getattr(view, "action", None)
