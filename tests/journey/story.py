"""The story: its steps in order. Each step is a function of the scene, with its first sentence as its promise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from tests.journey import clinic, counter, machines, post
from tests.journey.canaries import Canaries
from tests.journey.processes import Processes
from tests.journey.scene import Limits, Scene

Act = Callable[[Scene], Awaitable[str]]
STEPS: tuple[tuple[str, Act], ...] = (
    ("start", machines.start_server),
    ("join gateway", machines.join_gateway),
    ("register", counter.register),
    ("refuse wrong input", counter.refuse),
    ("invite", counter.invite),
    ("book", counter.book),
    ("open visit", counter.open_visit),
    ("answer questions", counter.answer),
    ("check line", clinic.check_line),
    ("measure", counter.measure),
    ("take case", clinic.take_case),
    ("call", clinic.call),
    ("photograph", clinic.photograph),
    ("write note", clinic.write_note),
    ("ask a colleague", clinic.ask_a_colleague),
    ("prescribe", clinic.prescribe),
    ("close visit", counter.close_visit),
    ("pack", post.pack),
    ("give to postman", post.give),
    ("patient's page", counter.open_my_page),
    ("hand over offline", post.hand_over_offline),
    ("sync phone", post.sync),
    ("rate", post.rate),
    ("complain", post.complain),
    ("report", post.report),
)
# The step that a missing part must stop.
STOPS_AT = {"meters": "measure", "media": "check line", "sync": "sync phone"}


class Story:
    """One telling of the story."""

    def __init__(self, processes: Processes, canaries: Canaries, without: str | None, limits: Limits) -> None:
        self.scene = Scene(processes, canaries, without, limits)

    def steps(self) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
        """Return the steps with their names, ready to be awaited in order."""
        return [(name, partial(act, self.scene)) for name, act in STEPS]

    async def close(self) -> None:
        """Hang up and close all browsers."""
        await self.scene.close()
