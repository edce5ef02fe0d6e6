"""Measure everything, print a table, write bench/results.json. `python -m bench [part ...]`; the parts are in PARTS.

A part that fails says why and takes nothing from the others; the exit code tells. The file holds the parts of the last
run alone, written anew after each of them.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import traceback
from pathlib import Path
from typing import Any

from bench import calls, decode, gateway, ingest, live, setup, single, sockets
from bench.figure import Figure
from telemed.keeper import keep

PARTS = {
    "decode": decode.figures,
    "gateway": gateway.figures,
    "ingest": ingest.figures,
    "single": single.figures,
    "live": live.figures,
    "sockets": sockets.figures,
    "calls": calls.figures,
    "setup": setup.figures,
}
RESULTS = Path(__file__).parent / "results.json"


def main(wanted: list[str]) -> int:
    """Run the wanted parts, by default all."""
    keep()
    found: list[dict[str, Any]] = []
    failed = []
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in wanted or list(PARTS):
        try:
            for figure in PARTS[name]():
                found.append(figure.as_json())
                print(_line(figure), flush=True)
        except Exception:  # the edge of a part: what was measured before and what comes after still counts
            failed.append(name)
            traceback.print_exc()
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    if failed:
        print(f"not measured to the end: {', '.join(failed)}")
    return 1 if failed else 0


def _line(figure: Figure) -> str:
    ratio = "" if figure.ratio is None else f"{figure.ratio:8.3f} x"
    return f"{figure.name:28} {figure.value:12.4g} {figure.unit:26} {ratio:>10}   {figure.goal}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
