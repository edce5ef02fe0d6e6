"""The live line of a page: python-socketio with the browser's cookies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import socketio

from tests.journey.browser import Browser, PageWrong

Listener = Callable[[str, dict[str, Any]], Coroutine[Any, Any, None]]


class Line:
    """One Socket.IO connection. News wakes those who wait; `listener` gets every event."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.listener: Listener | None = None
        self.news: list[str] = []
        self._bell = asyncio.Event()
        self._heard: set[asyncio.Task[None]] = set()
        self.client.on("*", self._hear)

    @classmethod
    async def of(cls, browser: Browser, *rooms: str) -> Line:
        """Connect with a browser's session and watch the rooms. Raises PageWrong when one is refused."""
        line = cls()
        await line.client.connect(
            str(browser.client.base_url), headers={"Cookie": browser.cookies}, transports=["websocket"], wait_timeout=10
        )
        for room in rooms:
            answer = await line.ask("watch", {"room": room})
            if not answer.get("ok"):
                raise PageWrong(f"{browser.name} may not watch {room.partition(':')[0]}: {answer}")
        return line

    async def ask(self, event: str, document: dict[str, Any]) -> dict[str, Any]:
        """Send an event and return the server's answer."""
        answer = await self.client.call(event, document, timeout=10)
        return answer if isinstance(answer, dict) else {}

    async def send(self, event: str, document: dict[str, Any]) -> None:
        """Send an event of the call. Raises PageWrong when the server refuses it."""
        answer = await self.ask(event, document)
        if not answer.get("ok"):
            raise PageWrong(f"{event} was refused: {answer}")

    async def wait(self, seconds: float) -> None:
        """Wait for the next news, at most so long."""
        self._bell.clear()
        try:
            await asyncio.wait_for(self._bell.wait(), seconds)
        except TimeoutError:
            return

    async def close(self) -> None:
        await self.client.disconnect()

    async def _hear(self, event: str, document: Any = None) -> None:
        self.news.append(event)
        self._bell.set()
        if self.listener is not None and isinstance(document, dict):
            # Not awaited here: a listener that asks the server would wait for the answer behind itself.
            task = asyncio.ensure_future(self.listener(event, document))
            self._heard.add(task)
            task.add_done_callback(self._heard.discard)
