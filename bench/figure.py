"""What a figure is, and how it is measured: medians of several runs, because machines are noisy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

RUNS = 5


@dataclass
class Figure:
    """One figure. `ratio` is value / yardstick; `goal` says in words what the ratio or value should be."""

    name: str
    value: float
    unit: str
    yardstick: float | None
    ratio: float | None
    goal: str
    p50: float | None = None
    p95: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the figure without what it has not."""
        rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}
        return {key: value for key, value in rounded.items() if key not in ("p50", "p95") or value is not None}


def against(name: str, unit: str, value: float, yardstick: float, goal: str) -> Figure:
    """Return a figure with its ratio."""
    return Figure(name, value, unit, yardstick, value / yardstick if yardstick else None, goal)


def median_cpu_s(work: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median CPU seconds of this process for one run of `work`."""
    spent = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return statistics.median(spent)


def quantile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
