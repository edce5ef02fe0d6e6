"""The simulated corner: two meters on one link, reachable in process or over TCP HCI from another process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from bumble import ll
from bumble.hci import HCI_ErrorCode
from bumble.link import LocalLink
from bumble.transport.common import StreamPacketSink, StreamPacketSource

from devices.clock import wall_clock
from devices.simulator.models import GlucoseModel, MeterClock, PressureModel
from devices.simulator.peripherals import CornerController, GlucoseMeter, Peripheral, PressureMeter, add_device
from devices.simulator.radio import CENTRAL_ADDRESS, radio_over
from devices.transport import Radio

PRESSURE_ADDRESS = "F1:F1:F1:F1:F1:F1"
GLUCOSE_ADDRESS = "F2:F2:F2:F2:F2:F2"
PRESSURE_NAME = "SIM-BP"
GLUCOSE_NAME = "SIM-GL"


class Rig:
    """Both meters, by kind. Made inside a running loop by `open_rig`."""

    def __init__(self, wall_clock: Callable[[], datetime], seed: int | None) -> None:
        self.link = LocalLink()  # type: ignore[no-untyped-call]
        chance = random.Random(seed)
        pressure = PressureModel(MeterClock(wall_clock), chance)
        glucose = GlucoseModel(MeterClock(wall_clock), chance)
        self.pressure = PressureMeter(
            add_device(self.link, "pressure", PRESSURE_ADDRESS), pressure, PRESSURE_NAME, "SIM-0001"
        )
        self.glucose = GlucoseMeter(
            add_device(self.link, "glucose", GLUCOSE_ADDRESS), glucose, GLUCOSE_NAME, "SIM-0002"
        )
        self.meters: dict[str, Peripheral] = {pressure.kind: self.pressure, glucose.kind: self.glucose}

    def status(self) -> dict[str, dict[str, object]]:
        """Return what each meter is doing, without any value."""
        return {
            kind: {
                "name": meter.name,
                "stored": len(meter.model.memory),
                "sent": meter.sent,
                "unread": meter.has_unread(),
                "connected": meter.connection is not None,
                "clock_error_s": round(meter.model.clock.error.total_seconds()),
            }
            for kind, meter in self.meters.items()
        }

    async def radio(self, address: str = CENTRAL_ADDRESS) -> Radio:
        """Return a radio in this process that sees the meters."""
        device = add_device(self.link, "corner", address)
        await device.power_on()
        return radio_over(device)


@asynccontextmanager
async def open_rig(
    wall_clock: Callable[[], datetime] = wall_clock, seed: int | None = None
) -> AsyncIterator[Rig]:
    """Yield a rig whose meters are switched on."""
    rig = Rig(wall_clock, seed)
    for meter in rig.meters.values():
        await meter.device.power_on()
    try:
        yield rig
    finally:
        for meter in rig.meters.values():
            await meter.stop()


class _HciClient(StreamPacketSource):
    """One gateway on the TCP port: its controller joins the link when it comes and leaves when it goes."""

    def __init__(self, link: LocalLink, present: list[_HciClient]) -> None:
        super().__init__()
        self._link = link
        self._present = present
        self._controller: CornerController | None = None
        self._socket: asyncio.WriteTransport | None = None

    def connection_made(self, transport: Any) -> None:
        for other in list(self._present):  # the radio has one owner; a gateway that restarts is the new one
            other.leave()
        self._socket = transport
        self._controller = CornerController(
            "corner",
            host_source=self,
            host_sink=StreamPacketSink(transport),
            link=self._link,
            public_address=CENTRAL_ADDRESS,
        )
        self._present.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.leave()

    def leave(self) -> None:
        """Break all links of this gateway, as when its power goes."""
        controller, self._controller = self._controller, None
        if controller is None:
            return
        self._present.remove(self)
        for connection in list(controller.le_connections.values()):
            connection.send_ll_control_pdu(ll.TerminateInd(HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR))
        controller.set_packet_sink(None)
        controller.le_legacy_advertiser.stop()
        self._link.remove_controller(controller)
        if self._socket is not None:
            self._socket.close()


@asynccontextmanager
async def serve_hci(rig: Rig, port: int = 0) -> AsyncIterator[str]:
    """Yield HOST:PORT on loopback where a gateway in another process finds the radio."""
    present: list[_HciClient] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _HciClient(rig.link, present), "127.0.0.1", port)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for client in list(present):
            client.leave()
