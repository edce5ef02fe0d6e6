"""The counter: the clerk's part of the story, and the patient's own page."""

from __future__ import annotations

from tests.journey.scene import Scene


async def register(scene: Scene) -> str:
    """The clerk registers a patient."""
    raise NotImplementedError


async def invite(scene: Scene) -> str:
    raise NotImplementedError


async def book(scene: Scene) -> str:
    raise NotImplementedError


async def open_visit(scene: Scene) -> str:
    raise NotImplementedError


async def answer(scene: Scene) -> str:
    raise NotImplementedError


async def measure(scene: Scene) -> str:
    raise NotImplementedError


async def open_my_page(scene: Scene) -> str:
    raise NotImplementedError
