"""The journal keeps what it promised when the power goes at any moment."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from devices.journal import JournalError
from tests.devices.power_cut import SYNC, Story, Tape, faults_of, images

MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where there is such a disk: an image is opened once and its syncs prove nothing."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as name:
        yield Path(name)


def damaged(tape: Tape, number: int, folder: Path, seed: int) -> list[str]:
    """Return one line for each of `number` images that lost something."""
    found = []
    for cut, files in images(tape, number, random.Random(seed)):
        try:
            faults = faults_of(folder, files, tape.promised(cut))
        except (JournalError, apsw.Error, UnicodeDecodeError) as error:  # the last: text that never reached the disk
            faults = [f"all is lost: {error}"]
        if faults:
            found.append(f"cut at step {cut} of {len(tape.steps)}: {faults[:3]}")
    return found


def test_no_power_cut_loses_what_the_journal_promised(tmp_path: Path, folder: Path) -> None:
    assert damaged(Story(tmp_path).tell(), 2000, folder, seed=1) == []


@pytest.mark.parametrize("synchronous", ["normal", "off"])
def test_the_same_cuts_lose_readings_when_the_journal_syncs_less(
    tmp_path: Path, folder: Path, synchronous: str
) -> None:
    lost = damaged(Story(tmp_path, synchronous).tell(), 200, folder, seed=1)

    assert any("is lost" in line for line in lost)


def test_a_packet_costs_one_sync(tmp_path: Path) -> None:
    tape = Story(tmp_path).tell(days=1)
    syncs = [
        [step.kind for step in tape.steps[before:after]].count(SYNC)
        for (before, _, _), (after, (_, ordinal), _) in pairwise(tape.packets)
        if ordinal > 1  # nothing stands between two packets of one connection
    ]

    assert set(syncs) == {1}


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_hundred_thousand_power_cuts_lose_nothing(tmp_path: Path, folder: Path, seed: int) -> None:
    assert damaged(Story(tmp_path).tell(), 10_000, folder, seed) == []
