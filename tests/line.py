"""A village line for tests: two sites behind lines of their own and a hub, where the server runs. `line_emulator` is the
fixture; a Chromium started through `browser_wrapper` lives inside its site and has no other way out.

    corner  <-- up/down -->  hub (the machine itself)  <-- up/down -->  doctor

It needs root and TUN. Where they are missing, tests are skipped, and pytest counts and prints that.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from telemed.keeper import at_end

WORKER = Path(__file__).with_name("line_worker.py")
SITES = {"corner": 1, "doctor": 2}
NUMBERS = range(10)  # emulators that may run beside each other on one machine
STOP_S = 10
CHUNK = 65_536


class NoLine(Exception):
    """This machine cannot emulate a line; the text says why."""


@dataclass(frozen=True)
class Shape:
    """What a line does, each way alike. `rtt_ms` is for both ways together; 0 kbit/s is without a limit."""

    kbit_s: float = 0
    rtt_ms: float = 0
    loss_pct: float = 0
    jitter_ms: float = 0
    queue_ms: float = 500
    cut: bool = False

    def order(self) -> dict[str, float]:
        """Return the parameters of one direction as the emulator's process reads them."""
        return {
            "rate": self.kbit_s * 1000, "delay_ms": self.rtt_ms / 2, "loss_pct": self.loss_pct,
            "jitter_ms": self.jitter_ms, "queue_ms": self.queue_ms, "cut": self.cut,
        }  # fmt: skip


CLEAN, CUT = Shape(), Shape(cut=True)
LINES = {
    "clean": CLEAN,
    "1000k-80ms-1": Shape(1000, 80, 1),
    "512k-100ms-2": Shape(512, 100, 2),
    "400k-300ms-5": Shape(400, 300, 5),
    "256k-300ms-5": Shape(256, 300, 5),
    "256k-600ms-10": Shape(256, 600, 10),
    "100k-300ms-5": Shape(100, 300, 5),
    "64k-300ms-2": Shape(64, 300, 2),
    "40k-600ms-5": Shape(40, 600, 5),
}


class LineEmulator:
    """A running emulator. Raises NoLine where this machine cannot have one."""

    def __init__(self, seed: str = "village") -> None:
        refuse_without_means()
        self._lock, self.number = take_number()
        self.label, self.network = f"tmline{self.number}", f"10.{70 + self.number}"
        self.folder = Path(tempfile.mkdtemp(prefix="telemed-line-"))
        at_end("rm", "-rf", self.folder)
        for site in SITES.values():  # its process removes them, unless it was killed with us; never another run's
            at_end("flock", "-n", self._lock.name, "ip", "netns", "delete", f"{self.label}-{site}")
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), self.label, self.network, seed],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._turn = threading.Lock()
        self._forwarder: Forwarder | None = None
        answer = self._answer()
        if "error" in answer:
            self.close()
            raise NoLine(f"the line emulator cannot start: {answer['error']}")

    @property
    def hub(self) -> str:
        """The hub's address, which both sites reach: servers of a test listen there."""
        return f"{self.network}.0.1"

    def address(self, site: str) -> str:
        """Return the only address of a site."""
        return f"{self.network}.{SITES[site]}.2"

    def set(self, site: str, shape: Shape | None = None, *, up: Shape | None = None, down: Shape | None = None) -> None:
        """Change the line of a site, both ways or each; it holds when this returns."""
        number = str(SITES[site])
        ways = {"up": up or shape, "down": down or shape}
        self._order({way: {number: one.order()} for way, one in ways.items() if one is not None})

    def counts(self, site: str) -> dict[str, dict[str, int]]:
        """Return packets sent and lost and bytes carried of each way of a site's line: {"up": {"sent", ...}, ...}."""
        told = self._order({})
        return {way: told[way][str(SITES[site])] for way in ("up", "down")}

    def command(self, site: str) -> list[str]:
        """Return the words to put before a command so that it runs inside a site."""
        return ["ip", "netns", "exec", f"{self.label}-{SITES[site]}"]

    def browser_wrapper(self, site: str, chromium: str) -> str:
        """Return the path of a program that is Chromium inside a site, for Playwright's `executable_path`."""
        path = self.folder / f"chromium-{site}"
        path.write_text(f'#!/bin/sh\nexec {" ".join(self.command(site))} {chromium} "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    def forward(self, port: int) -> str:
        """Lead the hub's `port` to the same port of the loopback, where a demo listens; return its address for sites."""
        if self._forwarder is not None:
            self._forwarder.close()
        self._forwarder = Forwarder(self.hub, port)
        return f"http://{self.hub}:{port}"

    def close(self) -> None:
        """Remove everything: processes inside the sites, namespaces, devices, files. Safe to call twice."""
        if self._forwarder is not None:
            self._forwarder.close()
            self._forwarder = None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        with self._turn:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {"error": "its process ended"}


def refuse_without_means() -> None:
    """Raise NoLine, with the reason, where an emulator cannot be had."""
    if os.name != "posix" or os.geteuid() != 0:
        raise NoLine("the line emulator needs root")
    if not Path("/dev/net/tun").exists():
        raise NoLine("the line emulator needs /dev/net/tun")
    if shutil.which("ip") is None:
        raise NoLine("the line emulator needs the program ip (package iproute2)")


def take_number() -> tuple[IO[str], int]:
    """Return the first free number of an emulator and the file that holds it. Raises NoLine when all are taken."""
    for number in NUMBERS:
        file = (Path(tempfile.gettempdir()) / f"telemed-line-{number}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        return file, number
    raise NoLine("too many line emulators run on this machine")


class Forwarder:
    """Carry TCP from the hub's address to the loopback, where a demo insists on listening. Unshaped: it is the same
    machine.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line-forwarder", daemon=True)
        self._thread.start()
        self._ready.wait(STOP_S)

    def close(self) -> None:
        """Let every connection go."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, self._host, self._port))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:  # the server is down: the page shall see that as it would see it
            writer.close()
            return
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError):
        writer.close()


@pytest.fixture(scope="module")
def line_emulator() -> Iterator[LineEmulator]:
    """Two sites and a hub with clean lines; skipped, with the reason, without root or TUN."""
    try:
        emulator = LineEmulator()
    except NoLine as missing:
        pytest.skip(str(missing))
    yield emulator
    emulator.close()


@pytest.fixture
def lines(line_emulator: LineEmulator) -> Iterator[LineEmulator]:
    """The emulator with clean lines again, before and after each test."""
    for site in SITES:
        line_emulator.set(site, CLEAN)
    yield line_emulator
    for site in SITES:
        line_emulator.set(site, CLEAN)
