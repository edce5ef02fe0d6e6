"""A small `org.bluez` on a private D-Bus over a bumble central: bleak's own BlueZ backend runs on it unmodified.

It answers in BlueZ's words, confirms indications before the client hears of them, as bluetoothd does, and can be told
to fail. One client at a time.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bleak.assigned_numbers import gatt_char_props_to_strs
from bumble.att import ATT_Error
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, Peer
from bumble.pairing import PairingConfig, PairingDelegate
from dbus_fast import Message, MessageType, NameFlag, Variant
from dbus_fast.aio import MessageBus

from devices.simulator.radio import uuid_text

OBJECTS, PROPERTIES = "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Properties"
ADAPTER, DEVICE, SERVICE = "org.bluez.Adapter1", "org.bluez.Device1", "org.bluez.GattService1"
CHARACTERISTIC, DESCRIPTOR = "org.bluez.GattCharacteristic1", "org.bluez.GattDescriptor1"
HCI = "/org/bluez/hci0"
NEEDS_SECURITY = {0x05, 0x0C, 0x0F}
ABORTED = "le-connection-abort-by-local"
STALE = "stale"  # instead of the text of a failure: the object is gone


class DBusFailure(Exception):
    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(name)
        self.name, self.text = name if "." in name else "org.bluez.Error." + name, text


def att_failure(code: int) -> DBusFailure:
    """Return what bluetoothd makes of an ATT error."""
    if code in NEEDS_SECURITY:
        return DBusFailure("NotPermitted", "Not paired")
    if code == 0xFD:
        return DBusFailure("ImproperlyConfigured", "Improperly configured")
    return DBusFailure("Failed", f"Operation failed with ATT error: 0x{code:02x}")


@dataclass
class Known:
    """A device that was seen, and its link."""

    address: Any
    connection: Connection | None = None
    peer: Peer | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    notified: dict[str, Callable[[bytes], None]] = field(default_factory=dict)


class TypedPasskey(PairingDelegate):
    """Asks the agent that is registered on the bus."""

    def __init__(self, bluez: MiniBlueZ, path: str) -> None:
        super().__init__(PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY)
        self._bluez, self._path = bluez, path

    async def get_number(self) -> int | None:
        body = await self._bluez.ask_agent("RequestPasskey", self._path)
        return body[0] if body else None


class MiniBlueZ:
    """`failures` are the words with which the next connects fail; `connects` counts all of them. A device whose address is
    in `forgotten` is gone each time that somebody calls. `identities`: the true addresses, which a pairing tells, of
    devices that show themselves under another.
    """

    def __init__(self, radio: Device) -> None:
        self.radio = radio
        self.objects: dict[str, dict[str, dict[str, Variant]]] = {}
        self.devices: dict[str, Known] = {}
        self.agent: tuple[str, str] | None = None
        self.failures: list[str] = []
        self.forgotten: set[str] = set()
        self.identities: dict[str, str] = {}
        self.sessions: dict[str, set[str]] = {}  # who wants notifications of a characteristic; outlives the link
        self.handles: dict[str, int] = {}
        self.connects = 0
        self.removed = 0
        self._tasks: set[asyncio.Task[None]] = set()
        radio.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        radio.pairing_config_factory = self._pairing

    def _pairing(self, connection: Connection) -> PairingConfig:
        path = next(path for path, known in self.devices.items() if known.connection is connection)
        delegate = TypedPasskey(self, path) if self.agent else PairingDelegate()
        address = PairingConfig.AddressType.RANDOM
        return PairingConfig(sc=True, mitm=False, bonding=True, delegate=delegate, identity_address_type=address)

    async def start(self, bus_address: str) -> None:
        self.bus = await MessageBus(bus_address=bus_address).connect()
        self.bus.add_message_handler(self._on_message)
        self._add("/org/bluez", {"org.bluez.AgentManager1": {}}, quiet=True)
        adapter = {
            "Address": Variant("s", "F0:F0:F0:F0:F0:F0"), "Name": Variant("s", "mini"), "Alias": Variant("s", "mini"),
            "Powered": Variant("b", True), "Discovering": Variant("b", False), "Pairable": Variant("b", True),
            "UUIDs": Variant("as", []), "Roles": Variant("as", ["central"]),
        }  # fmt: skip
        self._add(HCI, {ADAPTER: adapter}, quiet=True)
        match = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"
        await self.bus.call(
            Message("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch",
                    signature="s", body=[match])
        )  # fmt: skip
        await self.bus.request_name("org.bluez", NameFlag.DO_NOT_QUEUE)

    def switch(self, *, is_on: bool) -> None:
        """Switch the adapter on or off, as somebody at the computer does."""
        self._set(HCI, ADAPTER, Powered=Variant("b", is_on))

    # --- objects

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        signal = Message(
            message_type=MessageType.SIGNAL,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body,
        )
        self.bus.send(signal)

    def _add(self, path: str, interfaces: dict[str, dict[str, Variant]], quiet: bool = False) -> None:
        self.objects[path] = interfaces
        if not quiet:
            self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces])

    def _remove(self, path: str) -> None:
        for below in [other for other in self.objects if other == path or other.startswith(path + "/")]:
            self._signal("/", OBJECTS, "InterfacesRemoved", "oas", [below, list(self.objects.pop(below))])

    def _set(self, path: str, interface: str, **changes: Variant) -> None:
        if path in self.objects:
            self.objects[path][interface].update(changes)
            self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, changes, []])

    def _on_advertisement(self, seen: Any) -> None:
        address = seen.address.to_string(False)
        path = f"{HCI}/dev_{address.replace(':', '_')}"
        raw = seen.data.get(AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, raw=True) or b""
        uuids = [uuid_text(UUID.from_bytes(raw[at : at + 2])) for at in range(0, len(raw), 2)]
        name = (seen.data.get(AdvertisingData.COMPLETE_LOCAL_NAME, raw=True) or b"").decode()
        if path in self.objects:
            self._set(path, DEVICE, RSSI=Variant("n", -50), UUIDs=Variant("as", uuids))
            return
        self.devices[path] = Known(seen.address)
        is_bonded = str(seen.address) in getattr(self.radio.keystore, "all_keys", {})
        true_address = self.identities.get(address, address) if is_bonded else address
        told = {"Address": true_address, "AddressType": "random", "Name": name, "Alias": name}
        flags = ("Paired", "Bonded", "Connected", "Trusted", "ServicesResolved")
        properties = {key: Variant("s", value) for key, value in told.items()}
        properties |= {key: Variant("b", False) for key in flags}
        properties |= {key: Variant("b", is_bonded) for key in ("Paired", "Bonded")}
        properties |= {"Adapter": Variant("o", HCI), "UUIDs": Variant("as", uuids), "RSSI": Variant("n", -50)}
        self._add(path, {DEVICE: properties})

    # --- messages

    def _on_message(self, message: Message) -> bool | None:
        if message.member == "NameOwnerChanged" and message.body[2] == "":
            self._spawn(self._client_died(message.body[0]))
        if message.message_type is not MessageType.METHOD_CALL or message.interface == "org.freedesktop.DBus.Peer":
            return None
        self._spawn(self._answer(message))
        return True

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _client_died(self, name: str) -> None:
        """The links of a killed client are hung up, so the meter keeps what was not confirmed."""
        for path in list(self.sessions):
            self.sessions[path].discard(name)
            if not self.sessions[path]:
                del self.sessions[path]
        if name.startswith(":"):
            for known in self.devices.values():
                if known.notified and known.connection:
                    await known.connection.disconnect()

    async def _answer(self, message: Message) -> None:
        try:
            signature, body = await self._call(message)
            reply = Message.new_method_return(message, signature, body)
        except DBusFailure as error:
            reply = Message.new_error(message, error.name, error.text)
        except ATT_Error as error:
            failure = att_failure(int(error.error_code))
            reply = Message.new_error(message, failure.name, failure.text)
        except Exception as error:
            reply = Message.new_error(message, "org.bluez.Error.Failed", repr(error))
        self.bus.send(reply)

    async def _call(self, message: Message) -> tuple[str, list[Any]]:
        member, path = message.member, message.path
        if member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [self.objects]
        if path not in self.objects:
            raise DBusFailure("org.freedesktop.DBus.Error.UnknownObject", "no such object")
        if member == "Set":
            self._set(path, message.body[0], **{message.body[1]: message.body[2]})
            return "", []
        handler = (
            self._on_manager if path.count("/") < 4 else self._on_device if path.count("/") == 4 else self._on_gatt
        )
        return await handler(member, path, message)

    async def _on_manager(self, member: str, path: str, message: Message) -> tuple[str, list[Any]]:
        if member == "RegisterAgent":
            self.agent = (message.sender or "", message.body[0])
        elif member == "UnregisterAgent":
            self.agent = None
        elif member == "StartDiscovery":
            await self.radio.start_scanning(filter_duplicates=False)
        elif member == "StopDiscovery":
            await self.radio.stop_scanning()
        elif member == "RemoveDevice":
            await self._forget(message.body[0])
        elif member not in ("RequestDefaultAgent", "SetDiscoveryFilter"):
            raise DBusFailure("NotSupported", member or "")
        return "", []

    async def _forget(self, path: str) -> None:
        known = self.devices.pop(path, None)
        if known is None:
            raise DBusFailure("DoesNotExist", "Does Not Exist")
        self.removed += 1
        if known.connection:
            await known.connection.disconnect()
        if self.radio.keystore:
            await self.radio.keystore.delete(str(known.address))
        self._remove(path)

    async def ask_agent(self, member: str, path: str) -> list[Any] | None:
        if self.agent is None:
            return None
        reply = await self.bus.call(
            Message(self.agent[0], self.agent[1], "org.bluez.Agent1", member, signature="o", body=[path])
        )
        return None if reply is None or reply.message_type is MessageType.ERROR else reply.body

    # --- devices

    async def _on_device(self, member: str, path: str, message: Message) -> tuple[str, list[Any]]:
        known = self.devices[path]
        if member == "Connect":
            await self._connect(path, known)
        elif member == "Disconnect" and known.connection:
            await known.connection.disconnect()
        elif member == "Pair":
            await self._pair(path, known)
        return "", []

    async def _connect(self, path: str, known: Known) -> None:
        self.connects += 1
        is_forgotten = known.address.to_string(False) in self.forgotten
        if self.failures or is_forgotten:
            failure = STALE if is_forgotten else self.failures.pop(0)
            if failure == STALE:
                self._remove(path)
                raise DBusFailure("org.freedesktop.DBus.Error.UnknownObject", "no such object")
            if failure == ABORTED:  # BlueZ was connected for a moment and says so; bleak waits for it
                self._set(path, DEVICE, Connected=Variant("b", True))
                self._set(path, DEVICE, Connected=Variant("b", False))
            raise DBusFailure("Failed", failure)
        try:
            connection = await self.radio.connect(known.address, timeout=10)
        except Exception as error:
            raise DBusFailure("Failed", ABORTED) from error
        known.connection, known.peer = connection, Peer(connection)
        known.attributes, known.notified = {}, {}
        if str(connection.peer_address) in getattr(self.radio.keystore, "all_keys", {}):
            self._take_up_sessions(path, known)
        self._set(path, DEVICE, Connected=Variant("b", True))
        connection.once(connection.EVENT_DISCONNECTION, lambda reason: self._gone(path, known))
        self._spawn(self._resolve(path, known, connection))

    def _take_up_sessions(self, path: str, known: Known) -> None:
        """Listen for those who wanted it before the link broke, as bluetoothd does for a paired device that is back."""
        for below in self.sessions:
            if below.startswith(path + "/"):
                known.notified[below] = self._teller(below)
                subscribers = known.peer.gatt_client.indication_subscribers
                subscribers.setdefault(self.handles[below], set()).add(known.notified[below])

    def _teller(self, path: str) -> Callable[[bytes], None]:
        def on_value(value: bytes) -> None:
            changes = {"Value": Variant("ay", bytes(value))}
            self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [CHARACTERISTIC, changes, []])

        return on_value

    def _gone(self, path: str, known: Known) -> None:
        known.connection = None
        known.notified = {}
        for below in [other for other in self.objects if other.startswith(path + "/")]:
            self._remove(below)
        self._set(path, DEVICE, Connected=Variant("b", False), ServicesResolved=Variant("b", False))

    async def _resolve(self, path: str, known: Known, connection: Connection) -> None:
        """Encrypt with a known key, find the services. A key the meter has lost ends the link, as in the kernel."""
        try:
            if self.radio.keystore and await self.radio.keystore.get(str(connection.peer_address)):
                await connection.encrypt()
            await known.peer.request_mtu(247)
            await known.peer.discover_all()
        except Exception:
            with suppress(Exception):
                await connection.disconnect()
            return
        if known.connection is connection:
            for service in known.peer.services:
                self._show(path, known, service)
            self._set(path, DEVICE, ServicesResolved=Variant("b", True))

    def _show(self, path: str, known: Known, service: Any) -> None:
        at = f"{path}/service{service.handle:04x}"
        told = {"UUID": Variant("s", uuid_text(service.uuid)), "Device": Variant("o", path)}
        self._add(at, {SERVICE: told | {"Primary": Variant("b", True), "Includes": Variant("ao", [])}})
        for child in service.characteristics:
            below = f"{at}/char{child.handle - 1:04x}"
            known.attributes[below] = child
            flags = sorted(gatt_char_props_to_strs(int(child.properties)))
            told = {
                "UUID": Variant("s", uuid_text(child.uuid)), "Service": Variant("o", at), "Value": Variant("ay", b""),
                "Notifying": Variant("b", False), "Flags": Variant("as", flags), "MTU": Variant("q", 247),
            }  # fmt: skip
            self._add(below, {CHARACTERISTIC: told})
            for leaf in child.descriptors:
                known.attributes[f"{below}/desc{leaf.handle:04x}"] = leaf
                told = {"UUID": Variant("s", uuid_text(leaf.type)), "Characteristic": Variant("o", below)}
                self._add(f"{below}/desc{leaf.handle:04x}", {DESCRIPTOR: told | {"Value": Variant("ay", b"")}})

    async def _pair(self, path: str, known: Known) -> None:
        if known.connection is None:
            await self._connect(path, known)
        try:
            await known.connection.pair()
        except Exception as error:
            raise DBusFailure("AuthenticationFailed", "Authentication Failed") from error
        shown = known.address.to_string(False)
        true_address = Variant("s", self.identities.get(shown, shown))
        self._set(path, DEVICE, Address=true_address, Paired=Variant("b", True), Bonded=Variant("b", True))

    # --- characteristics

    async def _on_gatt(self, member: str, path: str, message: Message) -> tuple[str, list[Any]]:
        device = "/".join(path.split("/")[:5])
        known = self.devices[device]
        attribute, peer = known.attributes.get(path), known.peer
        if attribute is None or known.connection is None or peer is None:
            raise DBusFailure("Failed", "Not connected")
        if member == "ReadValue":
            return "ay", [bytes(await self._secured(device, known, lambda: peer.read_value(attribute)))]
        if member == "WriteValue":
            value = bytes(message.body[0])
            await self._secured(device, known, lambda: peer.write_value(attribute, value, True))
        elif member == "StartNotify":
            self.sessions.setdefault(path, set()).add(message.sender or "")
            self.handles[path] = attribute.handle
            before = known.notified.get(path)
            # one callback for all attempts, or the one after pairing delivers everything twice
            if before is None or before in peer.gatt_client.indication_subscribers.get(attribute.handle, ()):
                peer.gatt_client.indication_subscribers.get(attribute.handle, set()).discard(before)
                on_value = known.notified[path] = self._teller(path)
                await self._secured(device, known, lambda: peer.subscribe(attribute, on_value))
            self._set(path, CHARACTERISTIC, Notifying=Variant("b", True))
        elif member == "StopNotify":
            known.notified.pop(path, None)
            await peer.unsubscribe(attribute)
        return "", []

    async def _secured(self, device: str, known: Known, make: Callable[[], Awaitable[Any]]) -> Any:
        """Do it; pair by itself and do it again when the meter demands it, as bluetoothd does."""
        try:
            return await make()
        except ATT_Error as error:
            if int(error.error_code) not in NEEDS_SECURITY or known.connection is None or known.connection.is_encrypted:
                raise
        await self._pair(device, known)
        return await make()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.bus.disconnect()


@asynccontextmanager
async def private_bus() -> AsyncIterator[str]:
    """Yield the address of a D-Bus of our own."""
    daemon = await asyncio.create_subprocess_exec(
        "dbus-daemon", "--session", "--nofork", "--print-address=1", "--address=unix:tmpdir=/tmp",
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert daemon.stdout is not None
    try:
        async with asyncio.timeout(10):
            address = (await daemon.stdout.readline()).decode().strip()
        yield address
    finally:
        daemon.terminate()
        await daemon.wait()
