"""`python app.py journey`: the whole story against freshly started real processes, with the time of each step.

Everything goes over HTTP, sockets and WebRTC, as people and machines do it. A story in which a part is left out
(`--without`) has to fail at the step that needs this part; else the story would prove nothing.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from telemed.keeper import keep
from tests import run_clock
from tests.journey.canaries import Canaries
from tests.journey.processes import Processes
from tests.journey.scene import Limits
from tests.journey.story import Story

WHOLE_STORY_S = 150
PARTS = ("meters", "media", "sync")


@dataclass
class Step:
    """One step: what happened, how long it took, what was seen or why it failed."""

    name: str
    ok: bool = False
    ms: int = 0
    detail: str = ""


@dataclass
class Report:
    """The story's outcome, in the shape that `--json` prints."""

    data_dir: str
    steps: list[Step] = field(default_factory=list)
    protected: list[str] = field(default_factory=list)
    fleeting: list[str] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok for step in self.steps)

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        steps = [asdict(step) for step in self.steps]
        return {"steps": steps, "protected": self.protected, "data_dir": self.data_dir}


def run(json_output: bool = False, data_dir: Path | None = None, without: str | None = None) -> int:
    """Play the story and print its report; 0 only if all of it happened."""
    folder = data_dir or Path(tempfile.mkdtemp(prefix="telemed-journey-"))
    if folder.exists() and any(folder.iterdir()):
        print(f"{folder} is not empty; the story begins in an empty folder.", file=sys.stderr)
        return 2
    # SIGTERM would end us at once, before the story's processes could stop in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    keep()
    run_clock.begin()
    say = _to_nobody if json_output else _to_terminal
    report = play(folder, without, say=say)
    if json_output:
        print(json.dumps(report.document(), ensure_ascii=False, indent=1))
    else:
        _print_end(report)
    return 0 if report.ok else 1


def play(
    data_dir: Path,
    without: str | None = None,
    *,
    say: Callable[[Step], None] | None = None,
    before_stop: Callable[[], None] | None = None,
) -> Report:
    """Play the story in an empty folder; all processes are stopped at the end, whatever happened.

    `before_stop` is called while they still run, after the last step.
    """
    return asyncio.run(_play(data_dir, without, say or _to_nobody, before_stop))


async def _play(
    data_dir: Path, without: str | None, say: Callable[[Step], None], before_stop: Callable[[], None] | None
) -> Report:
    data_dir.mkdir(parents=True, exist_ok=True)
    report, canaries = Report(str(data_dir.absolute())), Canaries()
    processes = Processes(data_dir.absolute())
    story = Story(processes, canaries, without, Limits.without(without))
    try:
        async with asyncio.timeout(WHOLE_STORY_S):
            for name, act in story.steps():
                async with _timed(report, name, say) as step:
                    step.detail = await act() or ""
                if not report.steps[-1].ok:
                    break
        if before_stop is not None:
            before_stop()
    except TimeoutError:
        report.steps[-1].ok, report.steps[-1].detail = False, f"the whole story took over {WHOLE_STORY_S} s"
    finally:
        await story.close()
        processes.stop()
    report.protected, report.fleeting, report.pids = canaries.protected, canaries.fleeting, processes.pids()
    return report


@asynccontextmanager
async def _timed(report: Report, name: str, say: Callable[[Step], None]) -> AsyncIterator[Step]:
    step, started_s = Step(name), time.monotonic()
    report.steps.append(step)
    try:
        yield step
        step.ok = True
    except Exception as error:  # the edge of the story: whatever a step raises is its failure
        step.detail = f"{type(error).__name__}: {error}"
    finally:
        step.ms = round((time.monotonic() - started_s) * 1000)
        say(step)


def _to_nobody(_step: Step) -> None:
    return


def _to_terminal(step: Step) -> None:
    print(f"  {'ok  ' if step.ok else 'FAIL'} {step.ms / 1000:7.2f} s  {step.name:<22} {step.detail}", flush=True)


def _print_end(report: Report) -> None:
    total_s = sum(step.ms for step in report.steps) / 1000
    if report.ok:
        print(f"The whole journey happened: {len(report.steps)} steps in {total_s:.1f} s. Data: {report.data_dir}")
    else:
        print(f"The journey failed at: {report.steps[-1].name}. Data and logs: {report.data_dir}")
