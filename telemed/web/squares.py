"""Square codes: dark on light by themselves, whatever colours the page around them has."""

from __future__ import annotations

import io

import segno

QUIET_MODULES = 4  # ISO/IEC 18004: what a scanner needs around the square


def square_svg(text: str) -> str:
    """Return a QR code as inline SVG that scales."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=QUIET_MODULES, dark="#000", light="#fff"
    )
    return out.getvalue().decode()
