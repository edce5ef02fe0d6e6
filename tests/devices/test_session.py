"""Whose reading it is: by the visit held open when it arrived and the moment it was measured, never by guess."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devices.journal import Journal
from devices.outbox import Outbox
from devices.records import Placed
from devices.session import Session, Visit, belongs

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def after(**delta: float) -> datetime:
    return NOW + timedelta(**delta)


def proven(moment: datetime) -> Placed:
    return Placed(moment, "corrected", (), moment)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    journal = Journal(tmp_path / "journal.db")
    yield Session(journal, Outbox(journal, "gateway", "branch"))
    journal.close()


@pytest.mark.parametrize(
    ("seconds", "is_within"), [(-31, False), (-30, True), (0, True), (600, True), (720, True), (721, False)]
)
def test_a_reading_belongs_to_the_visit_it_was_measured_in(seconds: int, is_within: bool) -> None:
    visit = Visit("v", NOW, after(minutes=10))

    assert belongs(visit, proven(after(seconds=seconds))) is is_within


def test_an_unknown_moment_belongs_to_no_visit() -> None:
    assert not belongs(Visit("v", NOW, None), Placed(None, "unknown"))


@pytest.mark.parametrize(("closed_before_s", "is_within"), [(0, False), (18, False), (30, True), (301, True)])
def test_what_was_measured_just_before_may_be_the_last_patients(closed_before_s: int, is_within: bool) -> None:
    visit, neighbour = Visit("v", NOW, None), after(seconds=-closed_before_s)

    assert belongs(visit, proven(after(seconds=-20)), neighbour) is is_within
    assert belongs(visit, proven(after(seconds=40)), neighbour)


def test_a_reading_asked_for_that_the_meter_took_before_the_visit_is_not_this_patients() -> None:
    visit = Visit("v", NOW, None)

    assert not belongs(visit, Placed(after(seconds=30), "live", (), after(seconds=-60)))
    assert belongs(visit, Placed(after(seconds=30), "live", (), after(seconds=28)))


def test_a_clock_that_nobody_could_read_proves_nothing_between_two_patients() -> None:
    visit, live = Visit("v", NOW, None), Placed(after(seconds=50), "live")

    assert belongs(visit, live)
    assert not belongs(visit, live, after(seconds=-60))


def test_a_visit_is_stamped_no_longer_when_the_server_fell_silent(session: Session) -> None:
    session.open_visit("v", NOW)
    assert session.stamp_at(after(minutes=15)) == "v"
    assert session.stamp_at(after(minutes=16)) is None

    session.note_heard(after(minutes=16))

    assert session.stamp_at(after(minutes=20)) == "v"
    assert Session(session.journal, session.outbox).stamp_at(after(minutes=20)) is None, "a restart heard nothing yet"


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_clock_that_was_set_during_a_visit_makes_older_memory_nobodys(session: Session, jump_s: int) -> None:
    assert not session.check_clock(NOW, 100.0)
    session.open_visit("last", after(minutes=-30))
    session.close_visit("last", after(minutes=-20))
    session.open_visit("v", NOW)
    visit = session.visit("v")
    assert visit is not None
    # The last patient's, of ten minutes before, placed by a clock that was set in between.
    leftover = proven(after(seconds=60 - 600 + jump_s))
    now = after(seconds=60 + jump_s)

    assert session.check_clock(now, 160.0)
    assert not session.holds(visit, leftover)
    assert jump_s < 0 or session.holds(visit, proven(now + timedelta(seconds=30)))
    assert not session.check_clock(now + timedelta(seconds=30), 190.0), "said once"


def test_a_clock_that_was_set_while_the_gateway_was_stopped_is_noticed(session: Session) -> None:
    session.check_clock(NOW, 100.0)
    restarted = Session(session.journal, session.outbox)

    assert not restarted.check_clock(after(seconds=30), 130.0)
    assert restarted.check_clock(after(hours=2), 150.0)


def test_a_neighbour_counts_though_the_clock_was_set_back_while_it_was_open(session: Session) -> None:
    session.open_visit("last", after(hours=7))
    session.open_visit("v", NOW)
    visit = session.visit("v")
    assert visit is not None

    assert not session.holds(visit, proven(after(seconds=-20)))
