"""Work that a page does not wait for: what saves a life is shown in time, whatever holds up the rest."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import TypeVar

from telemed.errors import Unavailable

Result = TypeVar("Result")


def within(wait_s: float, work: Callable[[], Result]) -> Result:
    """Return what `work` returns, or raise what it raises. Raises Unavailable("not_stored_yet") when it takes longer: it
    goes on all the same, and may still be done. `work` runs in a thread of its own, outside the request.
    """
    done: list[Result] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:  # handed over to whoever waits
            failed.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(wait_s)
    if failed:
        raise failed[0]
    if not done:
        raise Unavailable("not_stored_yet")
    return done[0]
