"""Pure decoders of the Bluetooth profiles: from bytes to the answer of the decode contract. No radio, no clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devices.errors import DecodeError
from devices.profiles import blood_pressure, date_time, glucose, medfloat, record_access
from devices.profiles.payload import Payload
from devices.profiles.quirks import STANDARD, Quirk, quirk_of

Decoder = Callable[[bytes, Quirk], dict[str, Any]]


def _sfloat(raw: bytes, _quirk: Quirk) -> dict[str, Any]:
    payload = Payload(raw)
    value: medfloat.Value = payload.sfloat()
    payload.end()
    return {"value": value}


DECODERS: dict[str, Decoder] = {
    "2a35": blood_pressure.decode_measurement,
    "2a36": blood_pressure.decode_cuff_pressure,
    "2a49": blood_pressure.decode_feature,
    "2a18": glucose.decode_measurement,
    "2a34": glucose.decode_context,
    "2a51": glucose.decode_feature,
    "2a52": record_access.decode,
    "2a08": lambda raw, _quirk: date_time.decode_date_time(raw),
    "2a2b": lambda raw, _quirk: date_time.decode_current_time(raw),
    "sfloat": _sfloat,
}


def decode(characteristic: str, payload: bytes, model: str | None = None) -> dict[str, Any]:
    """Return what a packet says. `characteristic` is the 16-bit number in hex; `model` applies its quirks.

    Numbers are Decimals with the meter's digits. Raises DecodeError(truncated, trailing, reserved,
    unknown_characteristic).
    """
    decoder = DECODERS.get(characteristic) or _decoder_of(characteristic)
    return decoder(payload, quirk_of(model) if model else STANDARD)


def _decoder_of(characteristic: str) -> Decoder:
    decoder = DECODERS.get(characteristic.lower().removeprefix("0x"))
    if decoder is None:
        raise DecodeError("unknown_characteristic", characteristic)
    return decoder
