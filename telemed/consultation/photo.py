"""A photograph as bytes: is it a JPEG, and what must not stay in it. Pure."""

from __future__ import annotations

PHOTO_MOST_BYTES = 300_000
START, SCAN, END = b"\xff\xd8", 0xDA, b"\xff\xd9"
KEPT = {0xDB, 0xC4, 0xDD, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}


def clean_jpeg(content: bytes) -> bytes:
    """Return the picture alone: no place, no time, no camera, no thumbnail, nothing after its end.

    Raises ValueError when it is no JPEG or too large.
    """
    if not content.startswith(START) or len(content) > PHOTO_MOST_BYTES:
        raise ValueError("not_a_photo")
    kept, at = bytearray(START), 2
    while True:
        marker, size = _segment(content, at)
        if marker == SCAN:
            return bytes(kept + _until_end(content, at))
        if marker in KEPT:
            kept += content[at : at + 2 + size]
        at += 2 + size


def _segment(content: bytes, at: int) -> tuple[int, int]:
    if at + 4 > len(content) or content[at] != 0xFF:
        raise ValueError("not_a_photo")
    size = int.from_bytes(content[at + 2 : at + 4])
    if size < 2:
        raise ValueError("not_a_photo")
    return content[at + 1], size


def _until_end(content: bytes, at: int) -> bytes:
    end = content.find(END, at)  # inside the scan every FF is followed by 00 or a restart mark
    if end < 0:
        raise ValueError("not_a_photo")
    return content[at : end + 2]
