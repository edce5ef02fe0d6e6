"""Who listens while a paired meter is away: a wish for notifications that outlives the link. Linux only.

BlueZ takes such a wish up again as soon as the meter is back and the link is encrypted, before it tells anybody that the
link stands. What a cuff sends in that moment it would else confirm and drop.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

log = logging.getLogger(__name__)

CALL_WITHIN_S = 5.0
BLUEZ, CHARACTERISTIC, PROPERTIES = "org.bluez", "org.bluez.GattCharacteristic1", "org.freedesktop.DBus.Properties"
DBUS, DBUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"


class Ears:
    """The characteristics that are listened to, whether or not their meters are there."""

    def __init__(self) -> None:
        self._bus: MessageBus | None = None
        self._kept: set[str] = set()
        self._heard: list[tuple[str, bytes]] | None = None
        self._device = ""

    async def keep(self, path: str) -> None:
        """Go on listening to this characteristic when the link is over. What goes wrong is no loss: then only what comes
        after the meter was called on is heard.
        """
        with suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(CALL_WITHIN_S):
                bus = await self._open()
                if path not in self._kept:
                    rule = f"type='signal',interface='{PROPERTIES}',path='{path}'"
                    await _call(bus, DBUS, DBUS_PATH, DBUS, "AddMatch", "s", [rule])
                # Each time: what was forgotten and paired anew has the same path and no wish of ours any more.
                if await _call(bus, BLUEZ, path, CHARACTERISTIC, "StartNotify"):
                    self._kept.add(path)

    @contextmanager
    def hearing(self, device: str) -> Iterator[list[tuple[str, bytes]]]:
        """Yield where the values of this device go that come while the block runs, each with its characteristic's path."""
        heard = self._heard = []
        self._device = device + "/"
        try:
            yield heard
        finally:
            self._heard = None

    def close(self) -> None:
        """Listen no more."""
        if self._bus is not None:
            self._bus.disconnect()
        self._bus, self._kept = None, set()

    async def _open(self) -> MessageBus:
        if self._bus is None or not self._bus.connected:
            self._kept.clear()
            named = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
            bus = MessageBus(named) if named else MessageBus(bus_type=BusType.SYSTEM)
            self._bus = await bus.connect()
            self._bus.add_message_handler(self._on_message)
        return self._bus

    def _on_message(self, message: Message) -> None:
        is_change = message.message_type is MessageType.SIGNAL and message.member == "PropertiesChanged"
        if not is_change or self._heard is None or message.path not in self._kept:
            return
        changes: dict[str, Any] = message.body[1]
        if message.body[0] == CHARACTERISTIC and "Value" in changes and message.path.startswith(self._device):
            self._heard.append((message.path, bytes(changes["Value"].value)))


async def _call(
    bus: MessageBus, to: str, path: str, interface: str, member: str, signature: str = "", body: list[Any] | None = None
) -> bool:
    """Say whether it was done."""
    call = Message(destination=to, path=path, interface=interface, member=member, signature=signature, body=body or [])
    reply = await bus.call(call)
    return reply is not None and reply.message_type is not MessageType.ERROR
