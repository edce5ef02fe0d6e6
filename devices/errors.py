"""Errors of the branch gateway: the code is stable, the sentence is for the operator."""

from __future__ import annotations


class DecodeError(Exception):
    """A payload that cannot be read. `code`: truncated, trailing, bad_hex, unknown_characteristic, reserved."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail
