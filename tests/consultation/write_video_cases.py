"""Write video-cases.json from line.py: samples second by second, and whether the picture goes out after each.

Run by hand after a change of the rule: `python -m tests.consultation.write_video_cases`. Both line.py and call.js are
held to the file.
"""

from __future__ import annotations

import json
from pathlib import Path

from telemed.consultation.line import VideoSwitch, next_switch

PATH = Path(__file__).parent / "video-cases.json"
Sample = tuple[float | None, float | None, float | None]
CASES: dict[str, list[tuple[int, Sample]]] = {
    "a good line keeps the picture": [(60, (800, 80, 0))],
    "four bad seconds are forgiven": [(10, (800, 80, 0)), (4, (64, 80, 2)), (10, (800, 80, 0))],
    "a fallen line loses it after five seconds": [(10, (800, 80, 0)), (12, (64, 300, 20))],
    "a long way loses it too": [(3, (800, 80, 0)), (8, (800, 1000, 0))],
    "it comes back after twenty good seconds": [(8, (64, 300, 20)), (30, (400, 500, 6))],
    "a quiet line gets a trial": [(8, (64, 300, 20)), (40, (80, 100, 0))],
    "each failed trial waits longer": [(8, (64, 300, 20)), (140, (80, 100, 0))],
    "no figures, no change": [(20, (None, None, None))],
}


def play(seconds: list[tuple[int, Sample]]) -> list[dict[str, object]]:
    """Return each second's sample with the decision after it."""
    switch, steps = VideoSwitch(), []
    samples = [sample for count, sample in seconds for _ in range(count)]
    for at_s, (kbit_s, rtt_ms, loss_pct) in enumerate(samples):
        switch = next_switch(switch, at_s=at_s, kbit_s=kbit_s, rtt_ms=rtt_ms, loss_pct=loss_pct)
        steps.append({"at_s": at_s, "kbit_s": kbit_s, "rtt_ms": rtt_ms, "loss_pct": loss_pct, "on": switch.on})
    return steps


def write() -> None:
    cases = [{"name": name, "steps": play(seconds)} for name, seconds in CASES.items()]
    lines = ",\n".join(json.dumps(case) for case in cases)
    PATH.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    write()
