"""The server process: gunicorn in-process with one threaded worker, which also runs the jobs and watches the media
process. Everything that must not cross a fork is made in the worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication

from telemed import commands
from telemed.access import heads
from telemed.bootstrap import ROOT, Application, build
from telemed.command_socket import CommandSocket
from telemed.errors import StartRefused
from telemed.settings import Settings

SPARE_THREADS = 32  # sockets hold a thread each; these stay for HTTP
RESTART_S = 1.0
log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises StartRefused when the port or the data folder is taken."""
    settings.server_dir.mkdir(parents=True, exist_ok=True)
    with only_one(settings):
        _Gunicorn(settings, _listening(settings)).run()


class AlreadyRuns(StartRefused):
    """Another process holds the data folder."""


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Hold the data folder's lock: on SQLite one process writes. Raises AlreadyRuns when it is held."""
    if not settings.is_sqlite:
        yield
        return
    settings.server_dir.mkdir(parents=True, exist_ok=True)
    with (settings.server_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRuns(f"A server already runs on {settings.server_dir}; stop it first.") from None
        yield


def _listening(settings: Settings) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError:
        raise StartRefused(
            f"Port {settings.port} on {settings.host} is taken; set TELEMED_PORT to another, or to 0 for any free one."
        ) from None
    listener.listen(256)
    os.set_inheritable(listener.fileno(), True)
    return listener


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self.settings, self.url = settings, f"http://{host}:{port}"
        self.descriptor = listener.detach()  # gunicorn owns it from here
        self.running: _Running | None = None
        super().__init__()

    def load_config(self) -> None:
        threads = self.settings.max_sockets + SPARE_THREADS
        for name, value in {
            "bind": [f"fd://{self.descriptor}"],
            "worker_class": "gthread",
            "workers": 1,
            "threads": threads,
            "worker_connections": threads + 200,
            "graceful_timeout": 2,
            "timeout": 0,
            "keepalive": 5,
            "loglevel": "error",
            "post_worker_init": lambda _worker: self._announce(),
            "worker_exit": lambda _server, _worker: self._stop(),
            "control_socket_disable": True,
            # Who asks through a proxy is for ProxyFix to find out, and only where one is set; gunicorn would believe every
            # caller of this machine, and take the path of a page from a header of the request.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
        }.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        self.running = _Running(self.settings)
        return self.running.application.app

    def _announce(self) -> None:
        write_run_file(self.settings.server_dir, url=self.url)

    def _stop(self) -> None:
        if self.running is not None:
            self.running.stop()


class _Running:
    """What the worker process runs beside its threads: jobs, the operator's commands, and the media process unless
    one is configured."""

    def __init__(self, settings: Settings) -> None:
        self.media = None if settings.media_url else MediaWatch(settings)
        if self.media is not None:
            settings = replace(settings, media_url=self.media.url, media_secret=self.media.secret)
            self.media.start()
        self.application: Application = build(settings)
        self.application.live.start()
        self.application.worker.start()
        self.commands: CommandSocket | None = None
        if settings.is_sqlite:
            self.commands = CommandSocket(settings.server_dir, partial(commands.run, self.application.services))
            self.commands.start()

    def stop(self) -> None:
        if self.commands is not None:
            self.commands.stop()
        if self.media is not None:
            self.media.stop()
        self.application.live.stop()
        self.application.worker.stop()
        try:
            heads.sign_now(self.application.services)
        finally:
            self.application.close()


class MediaWatch:
    """Start the media process and start it again when it dies. It leaves by itself when our end of its stdin closes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.secret = secrets.token_urlsafe(24)
        self._stop = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Watch in a background thread."""
        threading.Thread(target=self._watch, name="media-watch", daemon=True).start()

    def stop(self) -> None:
        """End the media process."""
        self._stop.set()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
            if self._process.poll() is None:
                self._process.kill()

    def _watch(self) -> None:
        environment = {
            **os.environ,
            "TELEMED_DATA_DIR": str(self.settings.data_dir),
            "TELEMED_MEDIA_SECRET": self.secret,
        }
        command = [sys.executable, str(ROOT / "app.py"), "media", "--port", str(self.port), "--with-parent"]
        while not self._stop.is_set():
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, cwd=ROOT)
            self._process.wait()
            if not self._stop.is_set():
                log.error("media.died", code=self._process.returncode)
                self._stop.wait(RESTART_S)


def free_port() -> int:
    """Return a TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_run_file(folder: Path, **facts: object) -> None:
    """Write `run.json` with this process's pid and facts, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".run.{os.getpid()}"
    draft.write_text(json.dumps({"pid": os.getpid(), **facts}))
    draft.replace(folder / "run.json")


def leave_with_parent() -> None:
    """End this process with SIGTERM when its standard input closes, as it does when the parent is killed."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
