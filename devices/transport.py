"""The radio, as the collector sees it. The only product file that knows bleak, apart from the simulated radio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Protocol

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
ONE_TRY_WITHIN_S = 10.0
ONE_STEP_WITHIN_S = 10.0
SUBSCRIBE_WITHIN_S = 20.0  # pairing may run inside
PAIR_WITHIN_S = 45.0  # the Bluetooth stack itself gives a person 30 s for the passkey

# ATT answers (old meters send the older numbers) and BlueZ words that say what the collector must do next.
UNPAIRED_CODES = {0x05, 0x08, 0x0C, 0x0F}
BUSY_CODES = {0x80, 0xFE}
UNPAIRED_ERRORS = ("org.bluez.Error.Authentication", "org.bluez.Error.NotAuthorized")
NOT_PAIRED = "Not paired"
DROPPED = "failed to discover services"  # bleak, when the link opened and fell at once


class Ears(Protocol):
    """Who listens to a paired meter before bleak can; see `devices/bluez_ears.py`."""

    async def keep(self, path: str) -> None: ...

    def hearing(self, device: str) -> AbstractContextManager[list[tuple[str, bytes]]]: ...

    def close(self) -> None: ...


class RadioError(Exception):
    """Wait for the meter to show itself again: the link failed. `heard`: what it sent before anybody could take it."""

    heard: tuple[bytes, ...] = ()


class Unpaired(RadioError):
    """Ask the operator to pair again: the meter does not know us any more, or refuses us. Trying again is no use."""


class Dropped(RadioError):
    """Wait once more: the meter took the call and hung up at once, as one does that has forgotten us."""


class Forgotten(RadioError):
    """Wait for the meter to show itself again: the system knows it no more, and trying again cannot change that."""


class Silent(RadioError):
    """Go on without: no answer came in time, which says nothing of what the answer would have been."""


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
    """One advertisement. `services` are those of ours that it names, often none. `is_bonded`: the system holds a key for
    this device, so that a link to it is encrypted with that key or does not come about. `measures_by` is the service by
    which the meter is to be read, when that is known.
    """

    address: str
    name: str
    services: tuple[str, ...]
    device: BLEDevice
    is_bonded: bool = False
    measures_by: str | None = None


# The services in which a characteristic means what we take it for; makers put copies into services of their own.
PRESSURE_SERVICE, GLUCOSE_SERVICE = "1810", "1808"
HOMES = {
    **dict.fromkeys(("2a35", "2a36", "2a49"), PRESSURE_SERVICE),
    **dict.fromkeys(("2a18", "2a34", "2a51", "2a52"), GLUCOSE_SERVICE),
    **dict.fromkeys(("2a29", "2a24", "2a25", "2a26"), "180a"),
    "2a19": "180f",
    "2a2b": "1805",
}


SENT_UNASKED = ("2a35",)  # all else comes on request


def choose(
    found: Iterable[BleakGATTCharacteristic], home: str | None, wanted: Collection[str] = ()
) -> BleakGATTCharacteristic | None:
    """Return the one of several characteristics of one number that is meant: in its own service before any other, then
    one that can do what is `wanted`, then the first.
    """
    service = normalize_uuid_16(int(home, 16)) if home else ""

    def rank(one: BleakGATTCharacteristic) -> tuple[bool, bool, int]:
        return one.service_uuid != service, bool(wanted) and not set(wanted) & set(one.properties), one.handle

    return min(found, key=rank, default=None)


class Link:
    """One open connection to a meter. Every call has a time limit and raises RadioError. `service`: the one it measures
    by, in which some keep their clock too.
    """

    def __init__(
        self, client: BleakClient, lost: asyncio.Event, service: str | None = None, ears: Ears | None = None,
        heard: list[tuple[str, bytes]] | None = None,
    ) -> None:  # fmt: skip
        self._client = client
        self._service = service
        self._ears = ears
        self._heard = heard if heard is not None else []
        self.lost = lost

    @property
    def address(self) -> str:
        """Where the meter is: after a pairing that may be another address than the one it was seen at."""
        return self._client.address

    def offers(self, characteristic: str) -> bool:
        """Say whether the meter has this characteristic (four hex digits)."""
        return self._find(characteristic) is not None

    async def read(self, characteristic: str) -> bytes | None:
        """Return a value; None when the meter has none, which is normal for battery and clock."""
        found = self._find(characteristic, ("read",))
        if found is None or "read" not in found.properties:
            return None
        return bytes(await self._do(self._client.read_gatt_char(found), ONE_STEP_WITHIN_S))

    async def write(self, characteristic: str, value: bytes) -> None:
        """Write a value and wait until the meter has taken it."""
        found = self._find(characteristic, ("write",))
        if found is None:
            raise RadioError(f"the meter has no {characteristic}")
        await self._do(self._client.write_gatt_char(found, value, response=True), ONE_STEP_WITHIN_S)

    async def subscribe(self, characteristic: str, on_value: Callable[[bytes], None]) -> None:
        """Hand over every value of this characteristic from now on, inside the radio's own callback."""
        found = self._find(characteristic, ("indicate", "notify"))
        if found is None:
            raise RadioError(f"the meter has no {characteristic}")

        path = str(found.obj[0]) if isinstance(found.obj, tuple) else ""
        early = [value for place, value in self._heard if place == path]
        self._heard.clear()

        def on_notify(sender: BleakGATTCharacteristic, value: bytearray) -> None:
            if bytes(value) in early:  # it is on its way to both who listen
                early.remove(bytes(value))
            else:
                on_value(bytes(value))

        for value in list(early):
            on_value(value)
        await self._do(self._client.start_notify(found, on_notify), SUBSCRIBE_WITHIN_S)
        if self._ears is not None and path and characteristic in SENT_UNASKED:
            await self._ears.keep(path)

    async def pair(self) -> None:
        """Pair, if the system lets us ask for it; else it pairs by itself when the meter demands it. Raises Unpaired."""
        with suppress(NotImplementedError):  # macOS
            await _step(self._client.pair(), PAIR_WITHIN_S)

    async def _do(self, work: Coroutine[Any, Any, Any], within_s: float) -> Any:
        """Return the result of one procedure; raise RadioError at once when the link is lost, as not each system ends
        what was under way.
        """
        doing, losing = asyncio.ensure_future(_step(work, within_s)), asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({doing, losing}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            raise RadioError("link lost")
        finally:
            losing.cancel()
            if not doing.done():
                doing.cancel()
                await asyncio.wait({doing})

    def _find(self, characteristic: str, wanted: Collection[str] = ()) -> BleakGATTCharacteristic | None:
        uuid = normalize_uuid_16(int(characteristic, 16))
        try:
            # Not `get_characteristic`, which gives up where a number stands twice.
            found = [one for one in self._client.services.characteristics.values() if one.uuid == uuid]
        except BleakError as error:  # services are gone after a lost link
            raise RadioError("link lost") from error
        return choose(found, HOMES.get(characteristic, self._service), wanted)


class Caller(BleakClient):
    """bleak's client with an end to its tries, since the retry connector has none: what it takes for a passing trouble
    it tries nine times, 4 s apart where the system does not know the device any more. `others_wait` says whether
    somebody else is to be called on meanwhile.
    """

    tries = 0
    others_wait: Callable[[], bool] = staticmethod(lambda: False)

    async def connect(self, **kwargs: Any) -> None:
        """Connect. Raises RadioError when another try is no use, else what bleak raises."""
        self.tries += 1
        try:
            await super().connect(**{**kwargs, "timeout": ONE_TRY_WITHIN_S})
        except BleakDeviceNotFoundError as error:
            raise Forgotten("the system has forgotten the meter") from error
        except (*FAILURES, KeyError, AttributeError) as error:
            told = _told(error)
            if isinstance(told, Unpaired) or self.tries >= ATTEMPTS or self.others_wait():
                raise told from error
            raise


Who = Callable[[BLEDevice, AdvertisementData], tuple[str, bool]]


def system_who(device: BLEDevice, seen: AdvertisementData) -> tuple[str, bool]:
    """Return a device's address and whether the system holds a key for it, as BlueZ has it now: bleak's device keeps
    what both were when it was first seen. Where no system tells, no key is assumed.
    """
    known = next((part for part in seen.platform_data if isinstance(part, dict)), {})
    return known.get("Address", device.address), bool(known.get("Bonded", known.get("Paired", False)))


class Radio:
    """The system's Bluetooth, or another pair of bleak backends with their agent. `lost` is set when the radio itself
    goes away.
    """

    def __init__(
        self,
        scanner: type[Any] | None = None,
        client: type[Any] | None = None,
        agent: OpenAgent = system_agent,
        who: Who = system_who,
        ears: Ears | None = None,
    ) -> None:
        self._scanner = scanner
        self._client = client
        self._agent = agent
        self._who = who
        self._ears = ears
        self.others_wait: Callable[[], bool] = lambda: False  # then a failed try is the last
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
        """Report every advertisement while the block runs, with those of `services` that it names. Raises RadioMissing.

        Nothing is filtered before: many meters name no service, or none any more once they are paired.
        """
        uuids = {normalize_uuid_16(int(service, 16)): service for service in services}

        def on_detection(device: BLEDevice, seen: AdvertisementData) -> None:
            named = {*seen.service_uuids, *seen.service_data}
            offered = tuple(service for uuid, service in uuids.items() if uuid in named)
            address, is_bonded = self._who(device, seen)
            on_sighting(Sighting(address, seen.local_name or device.name or "", offered, device, is_bonded))

        try:
            scanner = BleakScanner(on_detection, backend=self._scanner)
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
        details = sighting.device.details if sighting.device else None
        device = str(details.get("path", "")) if isinstance(details, dict) else ""
        is_known = bool(device) and sighting.is_bonded  # else anybody may have taken its address
        with self._ears.hearing(device) if self._ears and is_known else nullcontext([]) as heard:
            try:
                async with self._reach(sighting, heard) as link:
                    yield link
            except RadioError as error:
                error.heard = tuple(value for _, value in heard)
                raise

    @asynccontextmanager
    async def _reach(self, sighting: Sighting, heard: list[tuple[str, bytes]]) -> AsyncIterator[Link]:
        lost = asyncio.Event()
        options: dict[str, Any] = {"backend": self._client} if self._client else {}
        caller = type("Caller", (Caller,), {"others_wait": staticmethod(self.others_wait)})
        try:
            # The retry connector knows BlueZ's retryable errors and waits until a failed link is down.
            async with asyncio.timeout(REACH_WITHIN_S):
                client: BleakClient = await establish_connection(
                    caller,
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
            yield Link(client, lost, sighting.measures_by, self._ears, heard)
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
            return Forgotten("the system has forgotten the meter")
    return Silent("no answer in time") if isinstance(error, TimeoutError) else RadioError(type(error).__name__)


def _is_about_pairing(error: BleakDBusError) -> bool:
    return error.dbus_error.startswith(UNPAIRED_ERRORS) or NOT_PAIRED in str(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from: the retry connector wraps the one that matters."""
    while error is not None:
        yield error
        error = error.__cause__
