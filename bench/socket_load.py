"""The pages of bench/sockets.py, in a process of their own: an order on standard input, the waits on standard output.

It speaks Engine.IO and Socket.IO by hand, because a client library would be busier than the server.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

AT_ONCE = 20  # lines opened together
PAGES_EVERY_S = 0.05
QUIET_PAGES = 100
LATE_S = 5
CANDIDATE = "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.17.1 rport 46154 generation 0"


class Load:
    """All pages of one run. A message carries the moment it was sent; who gets it notes how long that is ago."""

    def __init__(self, order: dict[str, Any], web: aiohttp.ClientSession) -> None:
        self.order, self.web = order, web
        self.base = f"http://{order['host']}:{order['port']}"
        self.waits_ms: list[float] = []
        self.lines: list[tuple[aiohttp.ClientWebSocketResponse, str]] = []
        self.readers: list[asyncio.Task[None]] = []
        self.is_bare = order["kind"] == "bare"

    async def open(self) -> None:
        """Connect and join both sides of every call."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(side: str, token: str, call: str) -> None:
            async with gate:
                line = await (self._bare(side, call) if self.is_bare else self._page(token, call, side))
            self.lines.append((line, call))
            self.readers.append(asyncio.create_task(self._read(line)))

        await asyncio.gather(*(one("ab"[at], call[at], call[2]) for call in self.order["calls"] for at in (0, 1)))

    async def _bare(self, side: str, call: str) -> aiohttp.ClientWebSocketResponse:
        return await self.web.ws_connect(f"{self.base}/{call}/{side}")

    async def _page(self, token: str, call: str, side: str) -> aiohttp.ClientWebSocketResponse:
        headers = {"Cookie": f"telemed_session={token}"}
        line = await self.web.ws_connect(f"{self.base}/socket.io/?EIO=4&transport=websocket", headers=headers)
        await line.receive_str()
        await line.send_str("40")
        await line.receive_str()
        await line.send_str("421" + json.dumps(["call:join", {"call_id": call, "page": f"{side}-{call}"}]))
        while not (answer := await line.receive_str()).startswith("431"):
            if answer == "2":  # a server that is slow to let in must not take us for gone
                await line.send_str("3")
        if '"ok":true' not in answer.replace(" ", ""):
            raise RuntimeError(f"not let in: {answer}")
        return line

    async def _read(self, line: aiohttp.ClientWebSocketResponse) -> None:
        async for message in line:
            if message.data == "2":
                await line.send_str("3")
            elif "sent:" in message.data:
                sent = float(message.data.split("sent:")[1].split(";")[0])
                self.waits_ms.append(1000 * (time.perf_counter() - sent))

    def _message(self, call: str) -> str:
        candidate = {"candidate": CANDIDATE, "usernameFragment": f"sent:{time.perf_counter():.6f};", "sdpMLineIndex": 0}
        document = {"call_id": call, "page": "1-2", "round": 0, "candidate": candidate}
        return json.dumps(document) if self.is_bare else "42" + json.dumps(["call:signal", document])

    async def talk(self) -> int:
        """Send at the ordered rate; return how many were sent."""
        count, begun = self.order["rate"] * self.order["seconds"], time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, begun + number / self.order["rate"] - time.perf_counter()))
            line, call = self.lines[number * 7919 % len(self.lines)]
            if not line.closed:  # what the server cut does not come, and is missed in the count
                await line.send_str(self._message(call))
        deadline = time.perf_counter() + LATE_S
        while len(self.waits_ms) < count and time.perf_counter() < deadline:
            await asyncio.sleep(0.05)
        return count

    async def pages(self, until: asyncio.Event) -> list[float]:
        """Ask for a page again and again; return the waits in ms."""
        waits = []
        while not until.is_set():
            waits.append(await self._asked())
            await asyncio.sleep(PAGES_EVERY_S)
        return waits

    async def _asked(self) -> float:
        begun = time.perf_counter()
        async with self.web.get(self.base + self.order["page"]) as answer:
            await answer.read()
            assert answer.status == 200
        return 1000 * (time.perf_counter() - begun)


async def run(order: dict[str, Any]) -> dict[str, Any]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as web:
        load, over = Load(order, web), asyncio.Event()
        quiet = [await load._asked() for _ in range(QUIET_PAGES)]
        await load.open()
        await asyncio.sleep(2)
        cpu, own, begun = cpu_s(order["pid"]), time.process_time(), time.perf_counter()
        asking = asyncio.create_task(load.pages(over))
        sent = await load.talk()
        cpu, own_share = cpu_s(order["pid"]) - cpu, (time.process_time() - own) / (time.perf_counter() - begun)
        over.set()
        found = {
            "ms": load.waits_ms, "sent": sent, "cpu_s": cpu, "own_share": own_share, "page_ms": await asking,
            "quiet_page_ms": quiet,
        }  # fmt: skip
        for reader in load.readers:
            reader.cancel()
        return found


def cpu_s(pid: int) -> float:
    """Return the processor seconds of another process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard > 0 else 8192, hard))
    json.dump(asyncio.run(run(json.loads(sys.stdin.read()))), sys.stdout)
