"""A meter with the same characteristic twice, as makers have it who copy a service into one of their own."""

from __future__ import annotations

import asyncio
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.service import BleakGATTService
from bleak.uuids import normalize_uuid_16
from bumble.att import Attribute
from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service

from devices.transport import choose
from tests.devices.test_whole_path import Corner, in_corner

OWN_SERVICE = "0000fff0-1234-1000-8000-00805f9b34fb"
OTHERS = dict.fromkeys(("2a35", "2a52", "2a18"), Characteristic.Properties.NOTIFY)


def found(service: str, handle: int, *properties: str) -> BleakGATTCharacteristic:
    in_service = BleakGATTService(None, handle - 1, service)
    return BleakGATTCharacteristic(None, handle, normalize_uuid_16(0x2A35), list(properties), lambda: 20, in_service)


def test_the_one_in_its_own_service_is_meant_wherever_the_other_stands() -> None:
    meant = found(normalize_uuid_16(0x1810), 20, "indicate")
    others = [found(OWN_SERVICE, 10, "indicate"), found(normalize_uuid_16(0x180A), 30, "notify")]

    for order in permutations([meant, *others]):
        assert choose(order, "1810", ("indicate", "notify")) is meant


def test_of_two_in_one_service_the_one_that_can_do_it_is_meant() -> None:
    service = normalize_uuid_16(0x1810)
    can, cannot = found(service, 20, "indicate"), found(service, 10, "read")

    assert choose([cannot, can], "1810", ("indicate", "notify")) is can
    assert choose([cannot, can], "1810") is cannot
    assert choose([], "1810") is None
    alone = found(OWN_SERVICE, 10, "indicate")
    assert choose([alone], "1810") is alone, "some have it in a service of their own only"


async def never() -> bytes:
    await asyncio.sleep(3600)
    return b""


def copies(*numbers: str) -> Service:
    """Return a maker's own service with copies of these characteristics, which say nothing."""
    read = CharacteristicValue(read=lambda connection: b"\0" * 7)
    made: list[Characteristic[Any]] = [
        Characteristic(
            UUID.from_16_bits(int(number, 16)), OTHERS.get(number, Characteristic.Properties.READ),
            Attribute.Permissions.READABLE, read,
        )
        for number in numbers
    ]  # fmt: skip
    return Service(UUID(OWN_SERVICE), made)


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("blood_pressure", ["2a35"]),
        ("blood_pressure", ["2a08"]),
        ("blood_pressure", ["2a35", "2a08", "2a25", "2a24", "2a19"]),
        ("glucose", ["2a52"]),
        ("glucose", ["2a18"]),
        ("glucose", ["2a08", "2a52", "2a18", "2a25"]),
    ],
)
def test_a_meter_with_copies_is_read(tmp_path: Path, kind: str, numbers: list[str]) -> None:
    async def story(corner: Corner) -> None:
        corner.rig.meters[kind].device.add_service(copies(*numbers))
        async with corner.gateway():
            await corner.until_done()
            for number in (1, 2):
                await corner.rig.meters[kind].take(None, None)
                await corner.until_records(number)

        assert {record["meter"]["serial"] for record in corner.records()} == {corner.rig.meters[kind].serial}
        assert all(record["offset_s"] is not None for record in corner.records())

    in_corner(tmp_path, story)


def test_a_slow_clock_beside_the_meters_own_is_not_waited_for(tmp_path: Path) -> None:
    async def story(corner: Corner) -> None:
        async def read(connection: object) -> bytes:
            return await never()

        slow: Characteristic[Any] = Characteristic(
            UUID.from_16_bits(0x2A2B), Characteristic.Properties.READ, Attribute.Permissions.READABLE,
            CharacteristicValue(read=read),
        )  # fmt: skip
        device = corner.rig.pressure.device
        device.add_service(copies("2a08"))
        device.add_service(Service(UUID.from_16_bits(0x1805), [slow]))
        async with corner.gateway():
            await corner.until_done()
            await corner.rig.pressure.take(None, "wrong_clock")
            async with asyncio.timeout(8):
                await corner.until_records(1)

        assert abs(corner.records()[0]["offset_s"] - 3 * 3600) < 60
        assert abs(corner.rig.pressure.model.clock.error.total_seconds()) < 60

    in_corner(tmp_path, story)
