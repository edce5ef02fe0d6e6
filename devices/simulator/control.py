"""The simulated meters' buttons, over HTTP on loopback: measure, and say how you are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from devices.simulator.models import FAULTS, ValuesRefused
from devices.simulator.rig import Rig

MAX_BODY_BYTES = 10_000


class Buttons:
    """Handlers of the control address."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    async def status(self, request: web.Request) -> web.Response:
        """Tell what each meter is doing."""
        return web.json_response({"meters": self.rig.status(), "faults": faults_table()})

    async def measure(self, request: web.Request) -> web.Response:
        """Take one measurement; the answer says what the display shows."""
        try:
            meter, values, fault = _read(await request.json())
            if meter not in self.rig.meters:
                raise ValuesRefused(f"meters are {', '.join(self.rig.meters)}")
            shown = await self.rig.meters[meter].take(values, fault)
        except ValuesRefused as error:
            return web.json_response({"error": "values_refused", "detail": str(error)}, status=422)
        except ValueError:
            return web.json_response({"error": "not_json"}, status=400)
        return web.json_response({"meter": meter, "values": shown, "fault": fault})


def faults_table() -> list[dict[str, object]]:
    """Return every fault with the meters that can have it."""
    return [{"name": name, "meters": list(kinds), "what": what} for name, (kinds, what) in FAULTS.items()]


def _read(document: object) -> tuple[str, Mapping[str, float] | None, str | None]:
    """Return meter, values and fault of a request. Raises ValuesRefused."""
    if not isinstance(document, dict) or not isinstance(document.get("meter"), str):
        raise ValuesRefused("tell which meter")
    values, fault = document.get("values"), document.get("fault")
    if values is not None and not (isinstance(values, dict) and all(_is_number(value) for value in values.values())):
        raise ValuesRefused("values are numbers by name, or null")
    if fault is not None and not isinstance(fault, str):
        raise ValuesRefused("fault is a name, or null")
    return document["meter"], values or None, fault or None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@asynccontextmanager
async def serve_control(rig: Rig, port: int = 0) -> AsyncIterator[str]:
    """Yield the address of the buttons, on loopback."""
    buttons = Buttons(rig)
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.get("/status", buttons.status), web.post("/measure", buttons.measure)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
