"""How set-up shows progress, runs commands and turns their failures into one sentence. Standard library only."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

DISK_FULL = "the disk is full; free about 1.5 GB and run the same command again."
NO_NETWORK = (
    "the package index cannot be reached; connect this machine to the network "
    "(or set your mirror for pip and npm) and run the same command again."
)

_DISK_WORDS = ("No space left on device", "ENOSPC", "Disk quota exceeded", "EDQUOT")
_NETWORK_WORDS = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "Failed to establish a new connection",
    "Network is unreachable",
    "ConnectTimeoutError",
    "Read timed out",
    "Connection refused",
    "ProxyError",
    "getaddrinfo",
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
)
_HASH_WORDS = ("DO NOT MATCH THE HASHES", "EINTEGRITY")
_TICK_S = {True: 1.0, False: 20.0}  # a terminal rewrites its line; a log gets a new one, so rarely


class SetupRefused(Exception):
    """Stop set-up. The message is one sentence that says what to do."""


class CommandFailed(Exception):
    """A command ended badly; `output` holds all it said."""

    def __init__(self, command: list[str], code: int, output: str) -> None:
        super().__init__(f"{command[0]} ended with {code}")
        self.output = output


class Steps:
    """Prints one line per step with its seconds. `note` shows how far the running step is."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.done = 0
        self._note = ""

    def note(self, text: str) -> None:
        self._note = text

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show `name` while the block runs, then how long it took."""
        started, over, live = time.monotonic(), threading.Event(), sys.stdout.isatty()
        self._note = ""

        def tick() -> None:
            while not over.wait(_TICK_S[live]):
                seconds = f"{time.monotonic() - started:.0f} s"
                print(
                    f"{chr(13) if live else ''}  {name} ... {self._note} {seconds}   ",
                    end="" if live else "\n",
                    flush=True,
                )

        if live:
            print(f"  {name} ...", end="", flush=True)
        ticker = threading.Thread(target=tick, daemon=True)
        ticker.start()
        try:
            yield
        except BaseException:
            if live:
                print(flush=True)
            raise
        finally:
            over.set()
            ticker.join()
        self.done += 1
        print(
            f"{chr(13) if live else ''}  {name}: {time.monotonic() - started:.1f} s{' ' * 30 if live else ''}",
            flush=True,
        )

    def run(
        self,
        command: list[str],
        on_line: Callable[[str], None] | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Return what `command` printed. Raises CommandFailed; everything is also written to the log."""
        return run_logged(command, self.log, on_line, env, timeout_s, cwd)


def run_logged(
    command: list[str],
    log: Path,
    on_line: Callable[[str], None] | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    cwd: Path | None = None,
) -> str:
    """Return what `command` printed, line by line through `on_line`. Raises CommandFailed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    with (
        log.open("a", encoding="utf-8", errors="replace") as kept,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=env,
            cwd=cwd,
        ) as running,
    ):
        kept.write(f"$ {' '.join(command)}\n")
        timer = threading.Timer(timeout_s, running.kill) if timeout_s else None
        if timer:
            timer.start()
        try:
            for line in running.stdout or ():
                kept.write(line)
                lines.append(line)
                if on_line:
                    on_line(line)
            code = running.wait()
        except BaseException:
            running.terminate()
            raise
        finally:
            if timer:
                timer.cancel()
    if code:
        raise CommandFailed(command, code, "".join(lines))
    return "".join(lines)


def sentence(failed: CommandFailed, what: str) -> str:
    """Say what to do about a failed command in one sentence."""
    said = failed.output
    if any(word in said for word in _DISK_WORDS):
        return DISK_FULL
    if any(word in said for word in _NETWORK_WORDS):
        return NO_NETWORK
    if any(word in said for word in _HASH_WORDS):
        return (
            f"{what}: a download differs from its lock file; clear the download cache and run the same command again."
        )
    if missing := re.search(r"No matching distribution found for (\S+)", said):
        return (
            f"{what}: {missing[1]} was not found; check that this machine reaches the package index, and use "
            "Python 3.11 to 3.13 on Linux or macOS (TELEMED_PYTHON names another interpreter)."
        )
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
    return f"{what} failed ({last[:200]}); read .venv/setup.log for the whole of it."
