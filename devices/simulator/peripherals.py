"""The simulated meters as Bluetooth peripherals of bumble: services, pairing, and who hangs up when."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from bumble.att import ATT_Error, Attribute, Bearer, ErrorCode
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import (
    GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
    Characteristic,
    CharacteristicValue,
    Service,
)
from bumble.hci import (
    Address,
    HCI_ErrorCode,
    HCI_LE_Connection_Complete_Event,
    HCI_LE_Create_Connection_Cancel_Command,
    HCI_StatusReturnParameters,
    Role,
)
from bumble.host import Host
from bumble.keys import MemoryKeyStore
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.profiles.battery_service import BatteryService
from bumble.transport.common import AsyncPipeSink

from devices.simulator.models import (
    ABORT,
    ACCESS,
    ANSWER,
    CONTEXT,
    LOST_BOND,
    MEASUREMENT,
    PASSKEY,
    REPORT,
    SHOWN_PASSKEY,
    SUCCESS,
    VANISH,
    GlucoseModel,
    PressureModel,
    date_time,
    parse_date_time,
)

log = logging.getLogger(__name__)

ADVERTISING_INTERVAL_MS = 40
BACK_AFTER_S = 0.3  # a meter whose link broke shows itself again so soon
CONFIRM_WITHIN_S = 10.0
HANG_UP_AFTER_S = 0.4  # a pressure meter that has sent all, and is asked nothing more, ends the link
LOOK_EVERY_S = 0.02
PROCEDURE_BUSY = 0xFE
CCCD_WRONG = 0xFD
ABORTED = bytes([ANSWER, 0, ABORT, SUCCESS])

Properties = Characteristic.Properties
Permissions = Attribute.Permissions


def uuid16(number: str) -> UUID:
    """Return the UUID of a 16-bit assigned number in hex."""
    return UUID.from_16_bits(int(number, 16))


class CornerController(Controller):
    """bumble's controller, which forgets to give up: an attempt that was cancelled would block all later ones."""

    def on_hci_le_create_connection_cancel_command(
        self, _command: HCI_LE_Create_Connection_Cancel_Command
    ) -> HCI_StatusReturnParameters:
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is not None:
            refused = HCI_LE_Connection_Complete_Event(
                status=HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=Role.CENTRAL,
                peer_address_type=pending.peer_address_type,
                peer_address=pending.peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            )
            asyncio.get_running_loop().call_soon(self.send_hci_packet, refused)
        return HCI_StatusReturnParameters(HCI_ErrorCode.SUCCESS)


def add_device(link: LocalLink, name: str, address: str) -> Device:
    """Return a device of its own on the link, keys in memory only."""
    controller = CornerController(name, link=link, public_address=address)
    configuration = DeviceConfiguration(
        name=name,
        address=Address(address),
        advertising_interval_min=ADVERTISING_INTERVAL_MS,
        advertising_interval_max=ADVERTISING_INTERVAL_MS,
    )
    device = Device(config=configuration, host=Host(controller, AsyncPipeSink(controller)))
    device.keystore = MemoryKeyStore()
    return device


class ShownPasskey(PairingDelegate):
    """The meter's side of a pairing with the number on its display; refuses to pair without one."""

    def __init__(self) -> None:
        super().__init__(PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY)

    async def generate_passkey(self) -> int:
        return SHOWN_PASSKEY

    async def confirm(self, auto: bool = False) -> bool:
        return False


class Peripheral:
    """What both meters share: identity, battery, clock, showing itself while there is something to fetch."""

    service = ""

    def __init__(self, device: Device, model: PressureModel | GlucoseModel, name: str, serial: str) -> None:
        self.device = device
        self.model = model
        self.name = name
        self.serial = serial
        self.sent, self.newest = 0, b""  # packets of measurements, and the last of them
        self.calls = 0
        self.pace_s = 0.0  # between two packets; a real radio needs some milliseconds
        self.answer_s = 0.0  # until a question about itself is answered
        self.asked_at_s = 0.0
        self.connection: Connection | None = None
        self._lost = asyncio.Event()
        self._vanish = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._wants_passkey = False
        device.pairing_config_factory = self._pairing
        device.add_service(self._information())
        device.add_service(BatteryService(lambda connection: 87))
        device.add_service(Service(uuid16(self.service), [*self.characteristics(), self._clock()]))
        self._demand_encryption()
        self.show_as(name)
        device.on(Device.EVENT_CONNECTION, self._on_connection)

    def show_as(self, name: str | None, *, names_service: bool = True) -> None:
        """Say so much in advertisements from now on; many meters name no service, and paired ones not even themselves."""
        kinds = AdvertisingData.Type
        told = [(kinds.FLAGS, bytes([0x06]))]
        if names_service:
            told.append((kinds.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, struct.pack("<H", int(self.service, 16))))
        if name is not None:
            told.append((kinds.COMPLETE_LOCAL_NAME, name.encode()))
        self.device.advertising_data = bytes(AdvertisingData(told))

    def characteristics(self) -> list[Characteristic[bytes]]:
        """Return the characteristics of the measuring service."""
        raise NotImplementedError

    def has_unread(self) -> bool:
        """Say whether the meter has something to fetch."""
        raise NotImplementedError

    def _demand_encryption(self) -> None:
        """Let nobody subscribe on an open link, as real meters do. The 0x2902 attributes exist only now."""
        for attribute in self.device.gatt_server.attributes:
            if attribute.type == GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR:
                attribute.permissions |= Permissions.WRITE_REQUIRES_ENCRYPTION

    def _information(self) -> Service:
        told = {
            "2a29": lambda: self.model.persona.manufacturer,
            "2a24": lambda: self.model.persona.model,
            "2a25": lambda: self.serial,
            "2a26": lambda: "1.0",
        }
        return Service(uuid16("180a"), [self._read_only(number, words) for number, words in told.items()])

    def _read_only(self, number: str, words: Callable[[], str]) -> Characteristic[bytes]:
        """Return a characteristic that tells something in words."""

        async def read(connection: Bearer) -> bytes:
            await self._be_asked(connection)
            return words().encode()

        return Characteristic(uuid16(number), Properties.READ, Permissions.READABLE, CharacteristicValue(read=read))

    async def _be_asked(self, connection: Bearer) -> None:
        """Take the time that an answer needs. An answer whose link is gone is given up: the virtual radio would send it
        over the next one, as the answer to another question.
        """
        self.asked_at_s = asyncio.get_running_loop().time() + self.answer_s
        await asyncio.sleep(self.answer_s)
        if connection is not self.connection:
            raise asyncio.CancelledError

    def _pairing(self, connection: Connection) -> PairingConfig:
        delegate = ShownPasskey() if self._wants_passkey else PairingDelegate()
        # Keys are kept under the address that is on the air; else a bonded meter would be paired with anew each time.
        address = PairingConfig.AddressType.RANDOM
        return PairingConfig(
            sc=True, mitm=self._wants_passkey, bonding=True, delegate=delegate, identity_address_type=address
        )

    def _forget_bond(self, wants_passkey: bool) -> None:
        """Forget every gateway; `wants_passkey`: pair again only with the number on the display."""
        self._wants_passkey = wants_passkey
        self.device.keystore = MemoryKeyStore()

    def _clock(self) -> Characteristic[bytes]:
        async def read(connection: Bearer) -> bytes:
            await self._be_asked(connection)
            return date_time(self.model.clock.now())

        def write(connection: Bearer, value: bytes) -> None:
            try:
                self.model.clock.set(parse_date_time(bytes(value)))
            except (ValueError, struct.error) as error:
                raise ATT_Error(ErrorCode.VALUE_NOT_ALLOWED) from error

        return Characteristic(
            uuid16("2a08"),
            Properties.READ | Properties.WRITE,
            Permissions.READABLE | Permissions.WRITEABLE,
            CharacteristicValue(read=read, write=write),
        )

    async def pause(self) -> None:
        """Let the time between two packets pass."""
        await asyncio.sleep(self.pace_s)

    async def take(self, values: Mapping[str, float] | None, fault: str | None) -> dict[str, float]:
        """Measure, and show yourself to the gateway. Raises ValuesRefused."""
        shown = self.model.take(values, fault)
        self._vanish = self._vanish or fault == VANISH
        if fault in (PASSKEY, LOST_BOND):
            self._forget_bond(wants_passkey=fault == PASSKEY)
        self._on_taken()
        if self.connection is None:
            await self.advertise()
        return shown

    def _on_taken(self) -> None:
        """Do what this meter does when a result is new."""

    async def advertise(self) -> None:
        """Show yourself until somebody connects."""
        await self.device.start_advertising(auto_restart=False)

    def _on_connection(self, connection: Connection) -> None:
        self.calls += 1
        self.connection = connection
        self._lost = asyncio.Event()
        connection.once(connection.EVENT_DISCONNECTION, lambda reason: self._on_lost(connection))

    def _on_lost(self, connection: Connection) -> None:
        if self.connection is connection:
            self.connection = None
            self._lost.set()
            self.start(self._return())

    async def _return(self) -> None:
        await asyncio.sleep(BACK_AFTER_S)
        if self.connection is None and self.has_unread():
            await self.advertise()

    async def confirmed(self, send: Callable[[Connection], Awaitable[None]]) -> None:
        """Send one value and return when it has arrived; raise ConnectionError at once when the link breaks."""
        connection, lost = self.connection, self._lost
        if connection is None:
            raise ConnectionError("nobody listens any more")
        sending, losing = asyncio.ensure_future(send(connection)), asyncio.ensure_future(lost.wait())
        both: set[asyncio.Future[Any]] = {sending, losing}
        try:
            await asyncio.wait(both, timeout=CONFIRM_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() or lost.is_set():
                raise ConnectionError("the link broke")
            sending.result()
        finally:
            sending.cancel()
            losing.cancel()

    async def hang_up(self) -> None:
        """End the connection from the meter's side."""
        connection = self.connection
        if connection is not None:
            await connection.disconnect()

    def start(self, coroutine: object) -> None:
        """Run something beside; it ends with the meter."""
        task = asyncio.get_running_loop().create_task(self._quietly(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, coroutine: object) -> None:
        """A link that breaks in the middle is an everyday event for a meter; it tries again when it is seen."""
        try:
            await coroutine  # type: ignore[misc]
        except Exception as error:
            log.info("%s: %s", self.name, type(error).__name__)
            if self.connection is not None:
                await self.hang_up()

    async def stop(self) -> None:
        """Stop everything that runs beside."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class PressureMeter(Peripheral):
    """Sends all it holds as soon as somebody listens, forgets what was confirmed, and hangs up. With `remembers_s` it is
    one that keeps who listened: it sends so long after a link was encrypted again, whether or not anybody listens yet.
    """

    service = "1810"
    model: PressureModel
    remembers_s: float | None = None
    hang_up_after_s = HANG_UP_AFTER_S

    def characteristics(self) -> list[Characteristic[bytes]]:
        self._measurement = Characteristic(uuid16("2a35"), Properties.INDICATE, Permissions(0), b"")
        self._measurement.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)
        feature = Characteristic(uuid16("2a49"), Properties.READ, Permissions.READABLE, struct.pack("<H", 0x001F))
        self._sending = asyncio.Lock()
        self._has_been_heard = False
        self._sent_at_s = 0.0
        return [self._measurement, feature]

    def has_unread(self) -> bool:
        return bool(self.model.memory)

    def _on_subscription(self, bearer: Bearer, notify: bool, indicate: bool) -> None:
        if indicate:
            self.start(self._send_all(self.connection))

    def _on_connection(self, connection: Connection) -> None:
        super()._on_connection(connection)
        connection.on(connection.EVENT_CONNECTION_ENCRYPTION_CHANGE, self._on_encrypted)

    def _on_encrypted(self) -> None:
        if self.remembers_s is not None and self._has_been_heard:
            self.start(self._send_after(self.remembers_s, self.connection))

    async def _send_after(self, delay_s: float, connection: Connection | None) -> None:
        await asyncio.sleep(delay_s)
        await self._send_all(connection, is_forced=True)

    async def _send_all(self, connection: Connection | None, is_forced: bool = False) -> None:
        """Send over this connection, and over no later one."""
        async with self._sending:
            while self.connection is connection is not None and not self._is_done():
                if not self.model.memory:
                    await asyncio.sleep(LOOK_EVERY_S)
                    continue
                oldest = self.model.memory[0]
                packet = oldest.packet()
                await self.confirmed(partial(self._indicate, packet, is_forced))
                self._sent_at_s = asyncio.get_running_loop().time()
                self._has_been_heard = True
                self.sent, self.newest = self.sent + 1, packet
                if self._vanish:  # the confirmation is lost with the link: the same packet comes again
                    self._vanish = False
                    break
                self.model.memory.remove(oldest)
            if self.connection is connection:
                await self.hang_up()

    def _is_done(self) -> bool:
        """Say whether all is sent and nobody has asked anything for a while."""
        now_s = asyncio.get_running_loop().time()
        return not self.model.memory and now_s - max(self._sent_at_s, self.asked_at_s) >= self.hang_up_after_s

    async def _indicate(self, packet: bytes, is_forced: bool, connection: Connection) -> None:
        await self.pause()
        if not is_forced and not self.device.gatt_server.read_cccd(connection, self._measurement)[0] & 2:
            raise ConnectionError("nobody listens any more")
        await self.device.indicate_subscriber(connection, self._measurement, packet, force=is_forced)


class GlucoseMeter(Peripheral):
    """Answers the record access control point; shows itself while a record was never reported."""

    service = "1808"
    model: GlucoseModel

    def characteristics(self) -> list[Characteristic[bytes]]:
        notify = Properties.NOTIFY
        self._measurement = Characteristic(uuid16(MEASUREMENT), notify, Permissions(0), b"")
        self._context = Characteristic(uuid16(CONTEXT), notify, Permissions(0), b"")
        feature = Characteristic(uuid16("2a51"), Properties.READ, Permissions.READABLE, struct.pack("<H", 0x0400))
        self._access: Characteristic[bytes] = Characteristic(
            uuid16(ACCESS),
            Properties.WRITE | Properties.INDICATE,
            Permissions.WRITEABLE | Permissions.WRITE_REQUIRES_ENCRYPTION,
            CharacteristicValue(write=self._on_request),
        )
        self._is_unread = False
        self._is_busy = False
        self._is_aborted = False
        return [self._measurement, self._context, feature, self._access]

    def has_unread(self) -> bool:
        return self._is_unread

    def _on_taken(self) -> None:
        self._is_unread = True

    def _on_request(self, bearer: Bearer, request: bytes) -> None:
        if request[:1] == bytes([ABORT]):
            if self._is_busy:
                self._is_aborted = True
            else:
                self.start(self._send(ACCESS, ABORTED))
            return
        if self._is_busy:
            raise ATT_Error(ErrorCode(PROCEDURE_BUSY))
        if not self.device.gatt_server.read_cccd(bearer, self._access)[0] & 2:
            raise ATT_Error(ErrorCode(CCCD_WRONG))
        self._is_busy = True
        self.start(self._answer(bytes(request)))

    async def _answer(self, request: bytes) -> None:
        newest = len(self.model.memory)
        try:
            for characteristic, value in self.model.answer(request):
                if self._is_aborted:
                    self._is_aborted = False
                    await self._send(ACCESS, ABORTED)
                    return
                await self._send(characteristic, value)
                if self._vanish and characteristic == MEASUREMENT:
                    self._vanish = False
                    await self.hang_up()
                    return
            if request[:1] == bytes([REPORT]) and newest == len(self.model.memory):
                self._is_unread = False
        finally:
            self._is_busy = False

    async def _send(self, characteristic: str, value: bytes) -> None:
        if characteristic == MEASUREMENT:
            self.sent, self.newest = self.sent + 1, value
        await self.pause()
        await self.confirmed(partial(self._pass_on, characteristic, value))

    async def _pass_on(self, characteristic: str, value: bytes, connection: Connection) -> None:
        if characteristic == ACCESS:
            await self.device.indicate_subscriber(connection, self._access, value)
            return
        target = self._measurement if characteristic == MEASUREMENT else self._context
        await self.device.notify_subscriber(connection, target, value)
