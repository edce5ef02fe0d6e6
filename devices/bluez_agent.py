"""Who answers BlueZ when a meter wants a passkey: our own `org.bluez.Agent1` on the system's D-Bus. Linux only.

Registered for one meter and one minute, so nothing else can ever pair with a branch PC by itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

from dbus_fast import BusType, DBusError, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusObjectPath, DBusSignature, DBusStr, DBusUInt16, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

from devices.pairing import Ask

CALL_WITHIN_S = 5.0
Nothing = Annotated[None, DBusSignature("")]


class AgentRefused(OSError):
    """Ask somebody who knows the machine: BlueZ does not let us answer for passkeys."""


BLUEZ, MANAGER_PATH, MANAGER = "org.bluez", "/org/bluez", "org.bluez.AgentManager1"
AGENT_PATH = "/telemed/agent"
REJECTED, CANCELED = "org.bluez.Error.Rejected", "org.bluez.Error.Canceled"


class PairingAgent(ServiceInterface):
    """Our `org.bluez.Agent1`: types the passkey for one meter and refuses every other device and way of pairing."""

    def __init__(self, address: str, ask: Ask) -> None:
        super().__init__("org.bluez.Agent1")
        self._tail = "dev_" + address.upper().replace(":", "_")
        self._ask = ask

    def _check(self, device: str) -> None:
        if device.rsplit("/", 1)[-1] != self._tail:
            raise DBusError(REJECTED, "this device is not being enrolled")

    @dbus_method()
    async def RequestPasskey(self, device: DBusObjectPath) -> DBusUInt32:
        """Return the passkey that the meter shows."""
        self._check(device)
        passkey = await self._ask()
        if passkey is None:
            raise DBusError(CANCELED, "nobody typed the passkey")
        return passkey

    @dbus_method()
    def RequestAuthorization(self, device: DBusObjectPath) -> Nothing:
        """Allow the meter to pair without a passkey when it has none."""
        self._check(device)

    @dbus_method()
    def AuthorizeService(self, device: DBusObjectPath, uuid: DBusStr) -> Nothing:
        """Allow the meter to use a service."""
        self._check(device)

    @dbus_method()
    def RequestPinCode(self, device: DBusObjectPath) -> DBusStr:
        """Refuse: only devices older than Bluetooth Low Energy ask this."""
        raise DBusError(REJECTED, "no old pairing")

    @dbus_method()
    def RequestConfirmation(self, device: DBusObjectPath, passkey: DBusUInt32) -> Nothing:
        """Refuse: nobody at a branch PC compares two numbers."""
        raise DBusError(REJECTED, "no comparing of numbers")

    @dbus_method()
    def DisplayPasskey(self, device: DBusObjectPath, passkey: DBusUInt32, entered: DBusUInt16) -> Nothing:
        """Do nothing: the meter shows, we type."""

    @dbus_method()
    def DisplayPinCode(self, device: DBusObjectPath, pincode: DBusStr) -> Nothing:
        """Do nothing: the meter shows, we type."""

    @dbus_method()
    def Cancel(self) -> Nothing:
        """Do nothing: the failed pairing is reported where it was asked for."""

    @dbus_method()
    def Release(self) -> Nothing:
        """Do nothing: we let go ourselves."""


@asynccontextmanager
async def open_agent(address: str, ask: Ask) -> AsyncIterator[None]:
    """Answer BlueZ for this device while the block runs. Raises OSError when there is no BlueZ."""
    named = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
    bus = MessageBus(named) if named else MessageBus(bus_type=BusType.SYSTEM)
    async with asyncio.timeout(CALL_WITHIN_S):
        await bus.connect()
    try:
        bus.export(AGENT_PATH, PairingAgent(address, ask))
        await _manager(bus, "RegisterAgent", "os", [AGENT_PATH, "KeyboardOnly"])
        await _manager(bus, "RequestDefaultAgent", "o", [AGENT_PATH])
        yield
    finally:
        with suppress(OSError, EOFError):
            await _manager(bus, "UnregisterAgent", "o", [AGENT_PATH])
        bus.disconnect()


async def _manager(bus: MessageBus, member: str, signature: str, body: list[str]) -> None:
    call = Message(
        destination=BLUEZ, path=MANAGER_PATH, interface=MANAGER, member=member, signature=signature, body=body
    )
    async with asyncio.timeout(CALL_WITHIN_S):
        reply = await bus.call(call)
    if reply is None or reply.message_type is MessageType.ERROR:
        raise AgentRefused(f"{member}: {reply.error_name if reply else 'no answer'}")
