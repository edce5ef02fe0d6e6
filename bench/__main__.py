"""Measure everything, print a table, write bench/results.json. `python -m bench [part ...]`; the parts are in PARTS."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

from bench import calls, gateway, ingest, live, setup, single

PARTS = {
    "gateway": gateway.figures,
    "ingest": ingest.figures,
    "single": single.figures,
    "live": live.figures,
    "calls": calls.figures,
    "setup": setup.figures,
}
RESULTS = Path(__file__).parent / "results.json"


def main(wanted: list[str]) -> int:
    """Run the wanted parts, by default all."""
    found = []
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in wanted or list(PARTS):
        for figure in PARTS[name]():
            found.append(figure.as_json())
            ratio = "" if figure.ratio is None else f"{figure.ratio:8.2f} x"
            print(f"{figure.name:28} {figure.value:12.4g} {figure.unit:26} {ratio:>10}   {figure.goal}", flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
