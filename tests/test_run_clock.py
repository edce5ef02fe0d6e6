"""A test run can begin at any clock time: one offset for the run's processes, the server, the gateway and the meters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import connect

import pytest

from tests import run_clock
from tests.journey.processes import ROOT

LEAP_DAY = "2028-02-29T12:00"
# Short before and after midnight, the last minutes of a year, a day that most years do not have.
CLOCK_TIMES = ("2026-12-10T23:58", "2026-12-10T00:02", "2026-12-31T23:58", LEAP_DAY)
SAY = """
import json
import devices.clock, telemed.clock
from tests import run_clock
run_clock.begin()
print(json.dumps([telemed.clock.utc_now().isoformat(), devices.clock.utc_now().isoformat(),
                  run_clock.environment(TELEMED_DEMO="1"), run_clock.environment()]))
"""


@pytest.fixture
def leap_day() -> dict[str, str]:
    """The environment of a run that begins on a leap day."""
    ours = (run_clock.OFFSET, run_clock.BEGINS)
    return {name: value for name, value in os.environ.items() if name not in ours} | {run_clock.BEGINS: LEAP_DAY}


def said(environment: dict[str, str]) -> tuple[datetime, datetime, dict[str, str], dict[str, str]]:
    done = subprocess.run([sys.executable, "-c", SAY], cwd=ROOT, env=environment, check=True, capture_output=True)
    server, gateway, demo, live = json.loads(done.stdout)
    return datetime.fromisoformat(server), datetime.fromisoformat(gateway), demo, live


def is_leap_day(moment: datetime) -> bool:
    wanted = datetime.fromisoformat(LEAP_DAY).replace(tzinfo=run_clock.MOSCOW)
    return timedelta(seconds=-1) < moment - wanted < timedelta(minutes=2)


def test_server_gateway_and_tests_share_one_clock(leap_day: dict[str, str]) -> None:
    server, gateway, demo, live = said(leap_day)

    assert is_leap_day(server)
    assert is_leap_day(gateway)
    assert int(demo[run_clock.SETTING]) == int(demo[run_clock.OFFSET])
    assert run_clock.SETTING not in live, "no live deployment has a clock of its own"


def test_a_worker_begins_when_its_run_began(leap_day: dict[str, str]) -> None:
    _server, _gateway, demo, _live = said(leap_day)
    again = said(demo)[2]

    assert again[run_clock.OFFSET] == demo[run_clock.OFFSET]


def test_a_process_of_the_product_lives_at_that_time(leap_day: dict[str, str], tmp_path: Path) -> None:
    demo = said(leap_day)[2] | {"TELEMED_DATA_DIR": str(tmp_path)}
    for command in (["migrate"], ["demo", "--branches", "1", "--patients", "1"]):
        subprocess.run([sys.executable, "app.py", *command], cwd=ROOT, env=demo, check=True, stdout=subprocess.DEVNULL)
    with closing(connect(tmp_path / "server" / "telemed.db")) as database:
        (first_shift,) = database.execute("select min(starts_at) from shift").fetchone()

    assert str(first_shift).startswith("2028-02-28 21:00"), "the day that the demo's roster begins with, in Moscow"


@pytest.mark.soak
@pytest.mark.parametrize("begins", CLOCK_TIMES)
def test_the_suite_passes_whenever_it_begins(begins: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "TEST_CLOCK"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-q", f"--basetemp={tmp_path / 'run'}"],
        cwd=ROOT, env=environment | {run_clock.BEGINS: begins}, text=True, capture_output=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-5000:]
