"""The radio, as the collector sees it. The only product file that knows bleak, apart from the simulated radio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)
from bleak.uuids import normalize_uuid_16
from bleak_retry_connector import establish_connection

from devices.pairing import Ask, OpenAgent, system_agent

# A meter listens 3 to 60 s after a measurement; three attempts must fit (reference: field reports in meters.md 5).
REACH_WITHIN_S = 25.0
ATTEMPTS = 3
ONE_STEP_WITHIN_S = 10.0
SUBSCRIBE_WITHIN_S = 20.0  # pairing may run inside
PAIR_WITHIN_S = 45.0  # the Bluetooth stack itself gives a person 30 s for the passkey

# ATT answers (old meters send the older numbers) and BlueZ words that say what the collector must do next.
UNPAIRED_CODES = {0x05, 0x08, 0x0C, 0x0F}
BUSY_CODES = {0x80, 0xFE}
UNPAIRED_ERRORS = ("org.bluez.Error.Authentication", "org.bluez.Error.NotAuthorized")
NOT_PAIRED = "Not paired"
DROPPED = "failed to discover services"  # bleak, when the link opened and fell at once


class RadioError(Exception):
    """Wait for the meter to show itself again: the link failed."""


class Unpaired(RadioError):
    """Ask the operator to pair again: the meter does not know us any more, or refuses us. Trying again is no use."""


class Dropped(RadioError):
    """Wait once more: the meter took the call and hung up at once, as one does that has forgotten us."""


class Busy(RadioError):
    """Abort what is running in the meter's memory and ask again."""


class RadioMissing(RadioError):
    """Ask the operator: there is no usable Bluetooth adapter."""

    code = "no_radio"


class RadioOff(RadioMissing):
    """Ask the operator to switch Bluetooth on: there is an adapter."""

    code = "radio_off"


@dataclass(frozen=True)
class Sighting:
    """One advertisement of a meter."""

    address: str
    name: str
    services: tuple[str, ...]
    device: BLEDevice


class Link:
    """One open connection to a meter. Every call has a time limit and raises RadioError."""

    def __init__(self, client: BleakClient, lost: asyncio.Event) -> None:
        self._client = client
        self.lost = lost

    def offers(self, characteristic: str) -> bool:
        """Say whether the meter has this characteristic (four hex digits)."""
        return self._find(characteristic) is not None

    async def read(self, characteristic: str) -> bytes | None:
        """Return a value; None when the meter has none, which is normal for battery and clock."""
        found = self._find(characteristic)
        if found is None or "read" not in found.properties:
            return None
        return bytes(await _step(self._client.read_gatt_char(found), ONE_STEP_WITHIN_S))

    async def write(self, characteristic: str, value: bytes) -> None:
        """Write a value and wait until the meter has taken it."""
        found = self._find(characteristic)
        if found is None:
            raise RadioError(f"the meter has no {characteristic}")
        await _step(self._client.write_gatt_char(found, value, response=True), ONE_STEP_WITHIN_S)

    async def subscribe(self, characteristic: str, on_value: Callable[[bytes], None]) -> None:
        """Hand over every value of this characteristic from now on, inside the radio's own callback."""
        found = self._find(characteristic)
        if found is None:
            raise RadioError(f"the meter has no {characteristic}")

        def on_notify(sender: BleakGATTCharacteristic, value: bytearray) -> None:
            on_value(bytes(value))

        await _step(self._client.start_notify(found, on_notify), SUBSCRIBE_WITHIN_S)

    async def pair(self) -> None:
        """Pair, if the system lets us ask for it; else it pairs by itself when the meter demands it. Raises Unpaired."""
        with suppress(NotImplementedError):  # macOS
            await _step(self._client.pair(), PAIR_WITHIN_S)

    def _find(self, characteristic: str) -> BleakGATTCharacteristic | None:
        try:
            return self._client.services.get_characteristic(normalize_uuid_16(int(characteristic, 16)))
        except BleakError as error:  # services are gone after a lost link
            raise RadioError("link lost") from error


class Radio:
    """The system's Bluetooth, or another pair of bleak backends with their agent. `lost` is set when the radio itself
    goes away.
    """

    def __init__(
        self, scanner: type[Any] | None = None, client: type[Any] | None = None, agent: OpenAgent = system_agent
    ) -> None:
        self._scanner = scanner
        self._client = client
        self._agent = agent
        self.lost = asyncio.Event()

    @asynccontextmanager
    async def answering(self, sighting: Sighting, ask: Ask) -> AsyncIterator[None]:
        """Answer for a passkey of this meter, and of no other, while the block runs. Raises RadioMissing."""
        try:
            async with self._agent(sighting.address, ask):
                yield
        except (OSError, EOFError) as error:
            raise RadioMissing("the system's Bluetooth service does not answer") from error

    async def forget(self, sighting: Sighting) -> None:
        """Drop what the system knows of this meter, its pairing too; it must show itself again afterwards."""
        options: dict[str, Any] = {"backend": self._client} if self._client else {}
        with suppress(RadioError, NotImplementedError):  # unknown, or the system keeps its pairings to itself
            await _step(BleakClient(sighting.device, **options).unpair(), ONE_STEP_WITHIN_S)

    @asynccontextmanager
    async def watching(self, services: Collection[str], on_sighting: Callable[[Sighting], None]) -> AsyncIterator[None]:
        """Report every advertisement of these services while the block runs. Raises RadioMissing."""

        def on_detection(device: BLEDevice, seen: AdvertisementData) -> None:
            offered = tuple(
                service for service in services if normalize_uuid_16(int(service, 16)) in seen.service_uuids
            )
            on_sighting(Sighting(device.address, seen.local_name or device.name or "", offered, device))

        uuids = [normalize_uuid_16(int(service, 16)) for service in services]
        try:
            scanner = BleakScanner(on_detection, uuids, backend=self._scanner)
            await _step(scanner.start(), ONE_STEP_WITHIN_S)
        except RadioMissing:
            raise
        except (RadioError, BleakError, OSError) as error:
            raise RadioMissing("Bluetooth does not answer: is the adapter plugged in and switched on?") from error
        try:
            yield
        finally:
            if not self.lost.is_set():  # else nobody is left who could stop
                with suppress(RadioError):
                    await _step(scanner.stop(), ONE_STEP_WITHIN_S)

    @asynccontextmanager
    async def reach(self, sighting: Sighting) -> AsyncIterator[Link]:
        """Yield an open link to the meter just seen; hangs up afterwards. Raises RadioError."""
        lost = asyncio.Event()
        options: dict[str, Any] = {"backend": self._client} if self._client else {}
        try:
            # The retry connector knows BlueZ's stale devices and retryable errors.
            async with asyncio.timeout(REACH_WITHIN_S):
                client = await establish_connection(
                    BleakClient,
                    sighting.device,
                    sighting.name or "meter",
                    lambda client: lost.set(),
                    max_attempts=ATTEMPTS,
                    use_services_cache=False,
                    **options,
                )
        except FAILURES as error:
            raise _told(error) from error
        try:
            yield Link(client, lost)
        finally:
            with suppress(RadioError):  # it hung up by itself
                await _step(client.disconnect(), ONE_STEP_WITHIN_S)


FAILURES = (BleakError, TimeoutError, OSError, EOFError)


async def _step(work: Any, within_s: float) -> Any:
    """Return the result of one radio procedure. Raises RadioError."""
    try:
        async with asyncio.timeout(within_s):
            return await work
    except FAILURES as error:
        raise _told(error) from error


def _told(error: BaseException) -> RadioError:
    """Return what a failure means for the collector."""
    for cause in _causes(error):
        if isinstance(cause, BleakBluetoothNotAvailableError):
            is_off = cause.reason is BleakBluetoothNotAvailableReason.POWERED_OFF
            return RadioOff("Bluetooth is switched off") if is_off else RadioMissing("Bluetooth is missing or forbidden")
        if isinstance(cause, BleakGATTProtocolError) and cause.args[0] in UNPAIRED_CODES:
            return Unpaired("the meter demands another pairing")
        if isinstance(cause, BleakGATTProtocolError) and cause.args[0] in BUSY_CODES:
            return Busy("the meter is busy with another request")
        if isinstance(cause, BleakDBusError) and _is_about_pairing(cause):
            return Unpaired("the meter or the system refused to pair")
        if DROPPED in str(cause):
            return Dropped("the meter hung up at once")
        if isinstance(cause, BleakDeviceNotFoundError):
            return RadioError("the system has forgotten the meter")
    return RadioError(type(error).__name__)


def _is_about_pairing(error: BleakDBusError) -> bool:
    return error.dbus_error.startswith(UNPAIRED_ERRORS) or NOT_PAIRED in str(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from: the retry connector wraps the one that matters."""
    while error is not None:
        yield error
        error = error.__cause__
