"""The bytes of one packet, taken off from the front. Too few bytes are `truncated`, too many `trailing`."""

from __future__ import annotations

from devices.errors import DecodeError


class Payload:
    """A packet that is being read."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def take(self, count: int) -> bytes:
        """Return the next bytes. Raises DecodeError when there are not enough."""
        piece = self._raw[self._at : self._at + count]
        if len(piece) < count:
            raise DecodeError("truncated", f"byte {len(self._raw)} of at least {self._at + count}")
        self._at += count
        return piece

    def u8(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Return the next two bytes, little endian."""
        return int.from_bytes(self.take(2), "little")

    def i16(self) -> int:
        """Return the next two bytes, little endian, signed."""
        return int.from_bytes(self.take(2), "little", signed=True)

    @property
    def left(self) -> int:
        """Return how many bytes are left."""
        return len(self._raw) - self._at

    def end(self) -> None:
        """Check that all was read. Raises DecodeError."""
        if self.left:
            raise DecodeError("trailing", f"{self.left} bytes after the last field")
