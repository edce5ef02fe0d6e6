"""A radio for bleak that exists only in memory: its scanner and client over a bumble host.

Everything from HCI upwards really runs: link layer, ATT, pairing with key exchange. Only the air is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError, BleakGATTProtocolError
from bleak.uuids import normalize_uuid_str
from bumble.att import ATT_Error
from bumble.core import UUID, AdvertisingData, InvalidStateError, ProtocolError
from bumble.core import ConnectionError as LinkError
from bumble.core import TimeoutError as LinkTimeout
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration, Peer
from bumble.hci import Address, HCI_Error
from bumble.keys import MemoryKeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.tcp_client import open_tcp_client_transport

from devices.pairing import Ask, OpenAgent
from devices.transport import Radio

CENTRAL_ADDRESS = "F0:F0:F0:F0:F0:F0"
LARGEST_MTU = 247
POWER_ON_WITHIN_S = 10.0
CONNECT_TO_HCI_WITHIN_S = 5.0
CONNECT_WITHIN_S = 4.0  # a meter that is there answers at once
HANG_UP_WITHIN_S = 5.0

# ATT answers that say "encrypt first"; an operating system pairs by itself then, so this radio does too.
SECURITY_ERRORS = {0x05, 0x08, 0x0C, 0x0F}
INSUFFICIENT_AUTHENTICATION = 0x05
LINK_LOST = "disconnected during GATT operation"
NAMES = (AdvertisingData.Type.COMPLETE_LOCAL_NAME, AdvertisingData.Type.SHORTENED_LOCAL_NAME)
LISTS_OF_SERVICES = (
    AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.Type.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
)

Result = TypeVar("Result")


def uuid_text(uuid: UUID) -> str:
    """Return bleak's form of a UUID."""
    return normalize_uuid_str(uuid.to_hex_str("-").lower())


class MemoryScanner(BaseBleakScanner):
    """bleak's scanner over the host in `device`; a subclass for each radio sets it."""

    device: Device

    def __init__(self, detection_callback: Any, service_uuids: Any, scanning_mode: str, **kwargs: Any) -> None:
        super().__init__(detection_callback, service_uuids)
        self._is_active = scanning_mode == "active"

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        name, services = None, []
        for kind, value in advertisement.data.ad_structures:
            if kind in NAMES:
                name = value.decode("utf-8", "replace")
            if kind in LISTS_OF_SERVICES:
                pairs = (value[start : start + 2] for start in range(0, len(value), 2))
                services += [uuid_text(UUID.from_bytes(pair)) for pair in pairs]
        if not self.is_allowed_uuid(services):
            return
        data = AdvertisementData(name, {}, {}, services, None, advertisement.rssi, (advertisement,))
        address = advertisement.address.to_string(False)
        device = self.create_or_update_device(address, address, name or "", advertisement.address, data)
        self.call_detection_callbacks(device, data)

    async def start(self) -> None:
        """Begin to listen."""
        self.seen_devices.clear()
        self.device.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        await self.device.start_scanning(active=self._is_active, filter_duplicates=False)

    async def stop(self) -> None:
        """Stop listening."""
        self.device.remove_listener(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        if self.device.is_scanning:
            await self.device.stop_scanning()


class MemoryClient(BaseBleakClient):
    """bleak's client over the host in `device`; a subclass for each radio sets it."""

    device: Device

    def __init__(self, address_or_ble_device: BLEDevice | str, *, services: Any = None, **kwargs: Any) -> None:
        super().__init__(address_or_ble_device, **kwargs)
        known = address_or_ble_device if isinstance(address_or_ble_device, BLEDevice) else None
        self._target: Address = known.details if known else Address(str(address_or_ble_device))
        self._name = known.name if known else None
        self._wanted = services
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._lost: asyncio.Future[None] | None = None

    @property
    def name(self) -> str:
        """The advertised name, else the address."""
        return self._name or self.address.replace(":", "-")

    @property
    def mtu_size(self) -> int:
        """The MTU agreed on."""
        return self._connection.att_mtu if self._connection else 23

    @property
    def is_connected(self) -> bool:
        """Whether the link stands."""
        return self._connection is not None

    async def connect(self, pair: bool, **kwargs: Any) -> None:
        """Connect, encrypt when bonded, discover everything. Raises BleakError, TimeoutError."""
        if self.is_connected:
            raise BleakError("already connected")
        try:
            async with asyncio.timeout(kwargs.get("timeout", self._timeout)):
                connection = await self.device.connect(self._target, timeout=CONNECT_WITHIN_S)
                self._lost = asyncio.get_running_loop().create_future()
                self._connection, self._peer = connection, Peer(connection)
                connection.once(connection.EVENT_DISCONNECTION, lambda reason: self._on_lost(connection))
                if pair or await self._is_bonded(connection):
                    await self.pair()
                await self._until_lost(self._peer.request_mtu(LARGEST_MTU))
                await self._until_lost(self._peer.discover_all())  # type: ignore[no-untyped-call]
                self.services = self._collect(self._peer)
        except (LinkError, LinkTimeout, ProtocolError, InvalidStateError, HCI_Error) as error:
            await self.disconnect()
            raise BleakError(f"connect failed: {type(error).__name__}") from error
        except BaseException:
            await self.disconnect()
            raise

    async def _is_bonded(self, connection: Connection) -> bool:
        keys = self.device.keystore
        return keys is not None and await keys.get(str(connection.peer_address)) is not None

    def _on_lost(self, connection: Connection) -> None:
        if self._connection is not connection:
            return
        self._connection, self.services = None, None
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        if self._disconnected_callback:
            self._disconnected_callback()

    def _collect(self, peer: Peer) -> BleakGATTServiceCollection:
        found = BleakGATTServiceCollection()
        for number, service in enumerate(peer.services):
            if self._wanted and uuid_text(service.uuid) not in self._wanted:
                continue
            entry = BleakGATTService(service, service.handle or number, uuid_text(service.uuid))
            found.add_service(entry)
            for characteristic in service.characteristics:
                properties = list(gatt_char_props_to_strs(int(characteristic.properties)))
                child = BleakGATTCharacteristic(
                    characteristic,
                    characteristic.handle,
                    uuid_text(characteristic.uuid),
                    properties,
                    lambda: self.mtu_size - 3,
                    entry,
                )
                found.add_characteristic(child)
                for descriptor in characteristic.descriptors:
                    found.add_descriptor(
                        BleakGATTDescriptor(descriptor, descriptor.handle, uuid_text(descriptor.type), child)
                    )
        return found

    async def _until_lost(self, work: Awaitable[Result]) -> Result:
        """Return what one procedure gives; raise BleakError at once when the link breaks instead of waiting 30 s."""
        if self._lost is None or self._lost.done():
            if asyncio.iscoroutine(work):
                work.close()
            raise BleakError(LINK_LOST)
        task = asyncio.ensure_future(work)
        both: set[asyncio.Future[Any]] = {task, self._lost}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
        if task.cancelled() or not task.done():  # bumble cancels what waits on a lost link
            raise BleakError(LINK_LOST)
        return task.result()

    async def _attribute(self, make: Callable[[Peer], Awaitable[Result]]) -> Result:
        """Run one ATT procedure; pair and try once more when the meter demands an encrypted link."""
        for has_paired in (False, True):
            if self._peer is None or self._connection is None:
                raise BleakError("Not connected")
            try:
                return await self._until_lost(make(self._peer))
            except ATT_Error as error:
                if has_paired or error.error_code not in SECURITY_ERRORS or self._connection.is_encrypted:
                    raise BleakGATTProtocolError(error.error_code) from error
            except ProtocolError as error:
                raise BleakError(f"GATT failed: {error.error_name}") from error
            await self.pair()
        raise BleakError("unreachable")

    async def disconnect(self) -> None:
        """Hang up. Does nothing when the link is gone already."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self.services = None
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        try:
            async with asyncio.timeout(HANG_UP_WITHIN_S):
                await connection.disconnect()
        except (TimeoutError, HCI_Error, LinkError, ProtocolError, InvalidStateError):
            pass  # the other side was faster
        if self._disconnected_callback:
            self._disconnected_callback()

    async def pair(self, *args: Any, **kwargs: Any) -> None:
        """Make the link encrypted: with the known key, else by pairing anew. Raises BleakError."""
        connection, keys = self._connection, self.device.keystore
        if connection is None or keys is None:
            raise BleakError("Not connected")
        try:
            if await self._is_bonded(connection):
                await self._until_lost(connection.encrypt())
            else:
                await self._until_lost(connection.pair())
        except (ProtocolError, HCI_Error) as error:
            raise BleakGATTProtocolError(INSUFFICIENT_AUTHENTICATION) from error

    async def unpair(self) -> None:
        """Forget the key of this meter."""
        await self.disconnect()
        if self.device.keystore is not None:
            await self.device.keystore.delete(str(self._target))

    async def read_gatt_char(self, characteristic: BleakGATTCharacteristic, **kwargs: Any) -> bytearray:
        """Return the value of a characteristic."""
        return bytearray(await self._attribute(lambda peer: peer.read_value(characteristic.obj)))

    async def read_gatt_descriptor(self, descriptor: BleakGATTDescriptor, **kwargs: Any) -> bytearray:
        """Return the value of a descriptor."""
        return bytearray(await self._attribute(lambda peer: peer.read_value(descriptor.obj)))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: Any, response: bool) -> None:
        """Write a characteristic."""
        await self._attribute(lambda peer: peer.write_value(characteristic.obj, bytes(data), response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: Any) -> None:
        """Write a descriptor."""
        await self._attribute(lambda peer: peer.write_value(descriptor.obj, bytes(data), True))

    async def start_notify(self, characteristic: BleakGATTCharacteristic, callback: Any, **kwargs: Any) -> None:
        """Subscribe. One callback object for both attempts, or a retry after pairing delivers everything twice."""

        def on_value(value: bytes) -> None:
            callback(bytearray(value))

        await self._attribute(lambda peer: peer.subscribe(characteristic.obj, on_value))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """Unsubscribe."""
        await self._attribute(lambda peer: peer.unsubscribe(characteristic.obj))


class TypedPasskey(PairingDelegate):
    """Our side of a pairing in which the meter shows a number and we type it."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY)
        self._ask = ask

    async def get_number(self) -> int | None:
        return await self._ask()


def agent_of(device: Device) -> OpenAgent:
    """Return who answers passkeys on this radio; without one, only meters that want none are paired with."""

    def pair_plainly(connection: Connection) -> PairingConfig:
        return PairingConfig(
            sc=True,
            mitm=False,
            bonding=True,
            delegate=PairingDelegate(),
            identity_address_type=PairingConfig.AddressType.RANDOM,
        )

    @asynccontextmanager
    async def answering(address: str, ask: Ask) -> AsyncIterator[None]:
        def pair(connection: Connection) -> PairingConfig:
            if connection.peer_address.to_string(False) != address:
                return pair_plainly(connection)
            return PairingConfig(
                sc=True,
                mitm=False,
                bonding=True,
                delegate=TypedPasskey(ask),
                identity_address_type=PairingConfig.AddressType.RANDOM,
            )

        device.pairing_config_factory = pair
        try:
            yield
        finally:
            device.pairing_config_factory = pair_plainly

    device.pairing_config_factory = pair_plainly
    return answering


def radio_over(device: Device) -> Radio:
    """Return a radio whose central is this bumble device, already powered on."""
    scanner = type("RadioScanner", (MemoryScanner,), {"device": device})
    client = type("RadioClient", (MemoryClient,), {"device": device})

    def who(seen: BLEDevice, data: AdvertisementData) -> tuple[str, bool]:
        keys = device.keystore.all_keys if isinstance(device.keystore, MemoryKeyStore) else {}
        return seen.address, str(seen.details) in keys

    return Radio(scanner, client, agent_of(device), who)


@asynccontextmanager
async def open_radio(address: str) -> AsyncIterator[Radio]:
    """Yield the radio behind HOST:PORT of running simulated meters; its `lost` is set when they stop.

    Raises OSError, TimeoutError when nobody answers there.
    """
    async with asyncio.timeout(CONNECT_TO_HCI_WITHIN_S):
        transport = await open_tcp_client_transport(address)
    try:
        configuration = DeviceConfiguration(name="corner", address=Address(CENTRAL_ADDRESS))
        device = Device.from_config_with_hci(configuration, transport.source, transport.sink)
        device.keystore = MemoryKeyStore()
        async with asyncio.timeout(POWER_ON_WITHIN_S):
            await device.power_on()
        radio = radio_over(device)
        transport.source.terminated.add_done_callback(lambda ended: radio.lost.set())
        yield radio
    finally:
        await transport.close()
