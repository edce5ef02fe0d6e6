"""Servers of a figure: ours as `app.py serve` runs it, and a bare one behind the same gunicorn as its yardstick."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from tests import run_clock

ROOT = Path(__file__).parent.parent
STARTS_WITHIN_S = 30
BARE = """
from gunicorn.app.base import BaseApplication
import os
import sys


class Server(BaseApplication):
    def load_config(self):
        threads = int(sys.argv[2])
        for name, value in {"bind": [f"127.0.0.1:{sys.argv[1]}"], "worker_class": "gthread", "workers": 1,
                            "threads": threads, "worker_connections": threads + 200, "keepalive": 5, "timeout": 0,
                            "graceful_timeout": 2, "loglevel": "error", "post_worker_init": self.announce}.items():
            self.cfg.set(name, value)

    def announce(self, _worker):
        open(sys.argv[3], "w").write(str(os.getpid()))

    def load(self):
        return app


Server().run()
"""
Found = TypeVar("Found")


@dataclass(frozen=True)
class Running:
    """A server and its worker, whose processor time is what a request costs."""

    address: tuple[str, int]
    pid: int

    def cpu_s(self) -> float:
        """Return the processor seconds that the worker has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def ours(folder: Path, **settings: str) -> Iterator[Running]:
    """Run the product's server on a prepared data folder."""
    own = {
        "TELEMED_DEMO": "1", "TELEMED_DATA_DIR": str(folder),
        "TELEMED_MEDIA_URL": "http://127.0.0.1:9",  # nobody calls here, and a media process would take a core to start
    }  # fmt: skip
    environment = run_clock.environment(**own | settings)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py"), "serve"], env=environment, stdout=log, stderr=log
        )
        try:
            run = until(lambda: json.loads((folder / "server" / "run.json").read_text()))
            parts = urlsplit(run["url"])
            yield Running((str(parts.hostname), int(parts.port or 0)), int(run["pid"]))
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def bare(folder: Path, application: str, threads: int = 64) -> Iterator[Running]:
    """Run `application`, the source of a WSGI `app`, behind gunicorn as ours is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script, pid = folder / "bare.py", folder / "bare.pid"
    pid.unlink(missing_ok=True)
    script.write_text(application + BARE)
    process = subprocess.Popen([sys.executable, str(script), str(port), str(threads), str(pid)])
    try:
        worker = until(lambda: int(pid.read_text()))
        until(lambda: socket.create_connection(("127.0.0.1", port)).close() or True)
        yield Running(("127.0.0.1", port), worker)
    finally:
        process.terminate()
        process.wait(20)


def until(look: Callable[[], Found]) -> Found:
    """Return what `look()` gives as soon as it gives anything."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            return look()
        except (OSError, ValueError, KeyError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
