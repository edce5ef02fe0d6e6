"""What the steps of a story share: processes, people's browsers, ids met on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from telemed.demo import PASSWORD
from tests.journey.browser import Browser, Page, PageWrong
from tests.journey.canaries import Canaries, Villager
from tests.journey.processes import Processes
from tests.journey.sockets import Line

Seen = TypeVar("Seen")

LOGINS = {"colleague": "doctor.2"}  # everybody else has the role's own name


@dataclass(frozen=True)
class Limits:
    """How long a step may wait for another part of the system, and how long the call is held."""

    gateway_s: float = 25
    reading_s: float = 25
    job_s: float = 10
    delivered_s: float = 10
    call_s: float = 5

    @classmethod
    def without(cls, part: str | None) -> Limits:
        """Return the limits of a story that has to fail: short only where it waits for the part that is missing."""
        return {"meters": cls(reading_s=8), "sync": cls(delivered_s=3, call_s=1)}.get(part or "", cls())


@dataclass
class Scene:
    """The state of one story."""

    processes: Processes
    canaries: Canaries
    without: str | None
    limits: Limits
    url: str = ""
    people: dict[str, Browser] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    villager: Villager | None = None
    ids: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    funnel: dict[str, int] = field(default_factory=dict)
    typed: dict[str, list[str]] = field(default_factory=dict)

    async def person(self, role: str) -> Browser:
        """Return the browser of `demo.<role>`, signed in by name and password the first time."""
        if role not in self.people:
            browser = self.people[role] = Browser(self.url, role)
            page = await browser.open("/sign-in")
            login = LOGINS.get(role, f"demo.{role}")
            await browser.submit(page.form("/sign-in", "password"), page, login=login, password=PASSWORD)
        return self.people[role]

    async def line(self, role: str, *rooms: str) -> Line:
        """Return a new live line of a person's browser, watching the rooms."""
        line = await Line.of(await self.person(role), *rooms)
        self.lines.append(line)
        return line

    async def until(
        self, what: str, look: Callable[[], Awaitable[Seen | None]], limit_s: float, line: Line | None = None
    ) -> Seen:
        """Look until there is something, woken by news where a line is given. Raises PageWrong after `limit_s`."""
        deadline_s = time.monotonic() + limit_s
        while (seen := await look()) is None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise PageWrong(f"waited {limit_s:.0f} s in vain for {what}")
            if line is not None:
                await line.wait(min(left_s, 1.0))
            else:
                await asyncio.sleep(0.15)
        return seen

    async def page_with(self, role: str, path: str, pattern: str, limit_s: float, line: Line | None = None) -> Page:
        """Open a page until its source matches; return it. Raises PageWrong."""
        browser = await self.person(role)

        async def look() -> Page | None:
            page = await browser.open(path)
            return page if page.has(pattern) else None

        return await self.until(f"{pattern!r} on {path}", look, limit_s, line)

    async def close(self) -> None:
        """Hang up and close all browsers."""
        for line in self.lines:
            await line.close()
        for browser in self.people.values():
            await browser.close()
