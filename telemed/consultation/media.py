"""The media process: one asyncio loop of its own, so that packets do not wait for web requests nor the reverse.

Its control API listens on the loopback only and knows one caller, the server, by a shared secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import signal
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiortc import RTCIceServer

from telemed.consultation.media_check import LineCheck
from telemed.errors import StartRefused

CHECKS_MOST = 8
CHECK_LIVES_S = 20.0
RESULTS_MOST = 200
BODY_MOST_BYTES = 64 * 1024
ID_MOST = 64
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Checks:
    """The line checks in progress, and the newest results."""

    def __init__(self, ice_servers: list[RTCIceServer], lives_s: float = CHECK_LIVES_S) -> None:
        self.ice_servers, self.lives_s = ice_servers, lives_s
        self.open: dict[str, LineCheck] = {}
        self.closed: OrderedDict[str, LineCheck] = OrderedDict()
        self.counts = {"started": 0, "done": 0, "failed": 0, "refused": 0}
        self._ends: dict[str, asyncio.Task[None]] = {}

    async def answer(self, check_id: str, sdp: str) -> str:
        """Return the answer of a new check. Raises _Busy when the limit is reached, ValueError on a bad offer."""
        await self.end(check_id)
        if len(self.open) >= CHECKS_MOST:
            self.counts["refused"] += 1
            raise _Busy
        check = self.open[check_id] = LineCheck(self.ice_servers)
        self.counts["started"] += 1
        self._ends[check_id] = asyncio.ensure_future(self._end_in_time(check_id, check))
        try:
            return await check.answer(sdp)
        except Exception as error:  # aiortc's parser raises many kinds; all of them mean a broken offer
            await self.end(check_id)
            raise ValueError("offer_invalid") from error

    def find(self, check_id: str) -> LineCheck | None:
        """Return a check in progress or a finished one, else None."""
        return self.open.get(check_id) or self.closed.get(check_id)

    async def report(self, check_id: str, figures: dict[str, object]) -> dict[str, object]:
        """Return the result of a check with the page's figures. Raises LookupError when there is none to finish,
        ValueError when no connection came about.
        """
        check = self.find(check_id)
        if check is None or check.state == "failed":
            raise LookupError(check_id)
        return await check.report(figures)

    async def end(self, check_id: str) -> bool:
        """Close a check and keep what it found. False when there is none."""
        check = self.open.pop(check_id, None)
        if check is None:
            return False
        timer = self._ends.pop(check_id)
        if timer is not asyncio.current_task():
            timer.cancel()
        self.closed[check_id] = check  # before it closes, which takes a while: its result may be asked for meanwhile
        self.closed.move_to_end(check_id)
        while len(self.closed) > RESULTS_MOST:
            self.closed.popitem(last=False)
        await check.close()
        self.counts[check.state] += 1
        return True

    async def end_all(self) -> None:
        """Close every check."""
        for check_id in list(self.open):
            await self.end(check_id)

    async def _end_in_time(self, check_id: str, check: LineCheck) -> None:
        """End the check when it is done, when its page has gone, or when its time is up."""
        deadline = time.monotonic() + self.lives_s
        while time.monotonic() < deadline and check.state == "measuring" and not _is_gone(check):
            await asyncio.sleep(0.25)
        await self.end(check_id)


class _Busy(Exception):
    """The limit of checks is reached."""


def _is_gone(check: LineCheck) -> bool:
    return check.connection.connectionState in ("failed", "closed")


def control(checks: Checks, secret: str) -> web.Application:
    """Return the control API."""

    @web.middleware
    async def only_the_server(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {secret}".encode()):
            return _error(401, "unauthorised")
        return await handler(request)

    app = web.Application(middlewares=[only_the_server], client_max_size=BODY_MOST_BYTES)
    app.router.add_post("/line-check/offer", lambda request: _offer(checks, request))
    app.router.add_post("/line-check/{id}/report", lambda request: _report(checks, request))
    app.router.add_get("/line-check/{id}", lambda request: _result(checks, request))
    app.router.add_delete("/line-check/{id}", lambda request: _delete(checks, request))
    app.router.add_get("/healthz", lambda _request: _say({"ok": True}))
    app.router.add_get("/metrics", lambda _request: _say({"open": len(checks.open), **checks.counts}))
    return app


async def _offer(checks: Checks, request: web.Request) -> web.Response:
    try:
        body = await request.json()
        check_id, sdp = body["check_id"], body["sdp"]
        if not isinstance(check_id, str) or not isinstance(sdp, str) or not 0 < len(check_id) <= ID_MOST:
            raise ValueError("offer_invalid")
        return web.json_response({"type": "answer", "sdp": await checks.answer(check_id, sdp)})
    except _Busy:
        return _error(503, "media_busy")
    except (ValueError, KeyError, TypeError):
        return _error(422, "offer_invalid")


async def _report(checks: Checks, request: web.Request) -> web.Response:
    try:
        body = await request.json()
        if not isinstance(body, dict):
            raise ValueError("report_invalid")
        return web.json_response({"result": await checks.report(request.match_info["id"], body)})
    except LookupError:
        return _error(404, "not_found")
    except ValueError:
        return _error(409, "line_check_failed")


async def _result(checks: Checks, request: web.Request) -> web.Response:
    check = checks.find(request.match_info["id"])
    if check is None:
        return _error(404, "not_found")
    return web.json_response({"state": check.state, "result": check.result})


async def _delete(checks: Checks, request: web.Request) -> web.Response:
    ended = await checks.end(request.match_info["id"])
    return web.Response(status=204) if ended else _error(404, "not_found")


async def _say(document: dict[str, object]) -> web.Response:
    return web.json_response(document)


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"error": code}, status=status)


async def run_media(
    data_dir: Path, host: str, port: int, secret: str, stop: asyncio.Event, ice_servers: list[RTCIceServer] | None = None
) -> None:
    """Serve until `stop` is set; say in run.json where. Raises StartRefused when the port is taken."""
    checks = Checks(ice_servers or [])
    runner = web.AppRunner(control(checks, secret), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, shutdown_timeout=1)
        try:
            await site.start()
        except OSError:
            raise StartRefused(f"Port {port} on {host} is taken; the media process cannot listen there.") from None
        listening = runner.addresses[0]
        _write_run_file(data_dir / "media", f"http://{listening[0]}:{listening[1]}")
        await stop.wait()
    finally:
        await checks.end_all()
        await runner.cleanup()


def serve(data_dir: Path, host: str, port: int, secret: str) -> None:
    """Run the media process until SIGTERM or Ctrl-C. Raises StartRefused without a secret or with a taken port."""
    if not secret:
        raise StartRefused("Set TELEMED_MEDIA_SECRET: without it anybody on this machine could steer the media process.")
    asyncio.run(_until_told(data_dir, host, port, secret))


async def _until_told(data_dir: Path, host: str, port: int, secret: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, stop.set)
    await run_media(data_dir, host, port, secret, stop)


def _write_run_file(folder: Path, url: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".run.{os.getpid()}"
    draft.write_text(json.dumps({"pid": os.getpid(), "url": url}))
    draft.replace(folder / "run.json")
