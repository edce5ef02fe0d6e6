"""Write video-cases.json from line.py: samples second by second, and whether the picture goes out after each.

Run by hand after a change of the rule: `python -m tests.consultation.write_video_cases`. Both line.py and call.js are
held to the file.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from telemed.consultation.line import Sample, VideoSwitch, next_switch

PATH = Path(__file__).parent / "video-cases.json"
# kbit/s, round trip ms, loss % told by the far end, loss % of what is heard, kbit/s that the far end says arrives
Figures = tuple[float | None, ...]
CASES: dict[str, list[tuple[int, Figures]]] = {
    "a good line keeps the picture": [(60, (800, 80, 0))],
    "four bad seconds are forgiven": [(10, (800, 80, 0)), (4, (64, 80, 2)), (10, (800, 80, 0))],
    "a fallen line loses it after five seconds": [(10, (800, 80, 0)), (12, (64, 300, 20))],
    "one whose far end hears nothing loses it at once": [(10, (800, 80, 0)), (12, (64, 300, 45))],
    "so does one where nothing is heard here": [(10, (800, 80, 0, 1)), (12, (800, 80, 0, 60))],
    "a burst of loss is forgiven": [(10, (800, 80, 0, 1)), (1, (800, 80, 0, 90)), (10, (800, 80, 0, 0))],
    "loss alone takes no picture from a wide line": [(10, (800, 80, 0, 1)), (20, (800, 80, 24, 10))],
    "a long way loses it too": [(3, (800, 80, 0)), (8, (800, 1000, 0))],
    "it comes back after twenty good seconds": [(8, (64, 300, 20)), (30, (400, 500, 6))],
    "a quiet line gets a trial": [(8, (64, 300, 20)), (40, (80, 100, 0))],
    "each failed trial waits longer": [(8, (64, 300, 20)), (140, (80, 100, 0))],
    "a far line is quiet by its own measure": [(5, (400, 620, 2)), (8, (64, 1300, 9)), (40, (80, 700, 2))],
    "without an estimate a full line shows its rate": [(10, (None, 80, 0, 0, 600)), (12, (None, 560, 4, 0, 60))],
    "so does one that loses too much": [(10, (None, 80, 0, 0, 600)), (12, (None, 80, 12, 0, 60))],
    "a picture that stands still fills no line": [(10, (None, 80, 0, 0, 600)), (30, (None, 90, 1, 0, 60))],
    "without an estimate it comes back by a trial": [(8, (None, 700, 20, 0, 60)), (60, (None, 100, 0, 0, 40))],
    "and each failed trial waits longer": [
        (8, (None, 700, 20, 0, 60)),
        (33, (None, 100, 0, 0, 40)),
        (8, (None, 700, 20, 0, 60)),
        (70, (None, 100, 0, 0, 40)),
    ],
    "without an estimate and a full line that carries enough": [
        (10, (None, 80, 0, 0, 600)),
        (20, (None, 560, 4, 0, 300)),
    ],
    "without a word of what arrives": [(10, (None, 80, 0)), (20, (None, 560, 4))],
    "no figures, no change": [(20, (None, None, None))],
}


def play(seconds: list[tuple[int, Figures]]) -> list[dict[str, object]]:
    """Return each second's sample with the decision after it."""
    switch, steps = VideoSwitch(), []
    samples = [sample for count, sample in seconds for _ in range(count)]
    for at_s, figures in enumerate(samples):
        sample = Sample(at_s, *figures)
        switch = next_switch(switch, sample)
        steps.append({**asdict(sample), "on": switch.on})
    return steps


def write() -> None:
    cases = [{"name": name, "steps": play(seconds)} for name, seconds in CASES.items()]
    lines = ",\n".join(json.dumps(case) for case in cases)
    PATH.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    write()
