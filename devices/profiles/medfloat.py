"""SFLOAT (medfloat16): 12-bit mantissa and 4-bit exponent, both two's complement, base 10.

Five whole bit patterns are not numbers; a meter that failed to measure sends one of them. They become named results,
never numbers. Decimal keeps the meter's own digits.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

SPECIAL = {0x07FF: "NaN", 0x0800: "NRes", 0x07FE: "+INFINITY", 0x0802: "-INFINITY", 0x0801: "reserved"}
Value = Decimal | str
Key = TypeVar("Key")
Read = TypeVar("Read")


class Table(dict[Key, Read]):
    """What a reader says of each pattern, worked out once: there are 65,536, and a packet holds four. Looked up by key."""

    def __init__(self, read: Callable[[Key], Read], most: int = 0x10000) -> None:
        super().__init__()
        self._read, self._most = read, most

    def __missing__(self, key: Key) -> Read:
        if len(self) >= self._most:
            self.clear()
        self[key] = value = self._read(key)
        return value


def _value(raw: int) -> Value:
    if raw in SPECIAL:
        return SPECIAL[raw]
    mantissa, exponent = raw & 0x0FFF, raw >> 12
    mantissa -= 0x1000 if mantissa >= 0x0800 else 0
    exponent -= 0x10 if exponent >= 0x8 else 0
    return plain(Decimal(mantissa).scaleb(exponent))


def plain(number: Decimal) -> Decimal:
    """Return the number without a positive exponent, so that it prints as digits."""
    return number.quantize(Decimal(1)) if number.as_tuple().exponent > 0 else number  # type: ignore[operator]


def swapped(raw: int) -> int:
    """Return a 16-bit pattern that was sent big endian and read little endian."""
    return (raw & 0xFF) << 8 | raw >> 8


VALUES = Table(_value)


def value_of(raw: int) -> Value:
    """Return the number of a 16-bit pattern, or the name of a special one."""
    return VALUES[raw]
