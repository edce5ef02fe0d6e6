"""A request with a key is worked on once: whatever crashes, repeats or comes to two processes at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from telemed.access import answers
from telemed.bootstrap import build_services
from telemed.errors import Conflict, Invalid, StillWorking
from telemed.services import Services
from telemed.settings import Settings
from tests import cast
from tests.conftest import Clock

pytestmark = pytest.mark.db


def ask(services: Services, work: Any, body: str = "body", key: str = "k1") -> dict[str, Any]:
    return answers.once(services, cast.VERA.who, "/note", key, body, work)


def crash() -> dict[str, Any]:
    raise SystemExit("killed between work and answer")


def never() -> dict[str, Any]:
    raise AssertionError("this work must not be done")


def test_a_repeat_while_the_first_is_working_is_told_to_wait(db_services: Services) -> None:
    def work() -> dict[str, Any]:
        with pytest.raises(StillWorking) as told:
            ask(db_services, never)
        with pytest.raises(Invalid, match="idempotency_mismatch"):
            ask(db_services, never, body="another")
        return {"wait_s": told.value.retry_after_s}

    assert 0 < ask(db_services, work)["wait_s"] <= 61
    assert ask(db_services, never)["wait_s"] > 0


def test_after_a_crash_only_the_same_body_is_done_again_and_only_after_the_lease(
    db_services: Services, clock: Clock
) -> None:
    with pytest.raises(SystemExit):
        ask(db_services, crash)
    with pytest.raises(StillWorking):
        ask(db_services, never)

    clock.forward(seconds=61)
    with pytest.raises(Invalid, match="idempotency_mismatch"):
        ask(db_services, never, body="another")
    assert ask(db_services, lambda: {"done": 2}) == {"done": 2}


def test_who_lost_the_lease_does_not_replace_the_answer(db_services: Services, clock: Clock) -> None:
    def slow() -> dict[str, Any]:
        clock.forward(seconds=61)
        assert ask(db_services, lambda: {"by": "second"}) == {"by": "second"}
        return {"by": "first"}

    ask(db_services, slow)

    assert ask(db_services, never) == {"by": "second"}


def test_who_lost_the_lease_stores_nothing_for_who_has_it(db_services: Services, clock: Clock) -> None:
    def slow() -> dict[str, Any]:
        clock.forward(seconds=61)
        with pytest.raises(SystemExit):
            ask(db_services, crash)
        return {"by": "first"}

    ask(db_services, slow)

    with pytest.raises(StillWorking):
        ask(db_services, never)
    clock.forward(seconds=61)
    assert ask(db_services, lambda: {"by": "third"}) == {"by": "third"}


def test_refused_work_leaves_the_key_free(db_services: Services) -> None:
    def refused() -> dict[str, Any]:
        raise Conflict("note_changed")

    with pytest.raises(Conflict, match="note_changed"):
        ask(db_services, refused)

    assert ask(db_services, lambda: {"done": 1}, body="corrected") == {"done": 1}


def test_of_two_processes_with_the_same_key_one_works(db_settings: Settings, clock: Clock) -> None:
    processes = [build_services(db_settings, clock=clock) for _ in range(2)]
    done: list[str] = []

    def rival(services: Services, key: str, start: Barrier) -> str:
        start.wait()
        try:
            return str(ask(services, lambda: done.append(key) or {"done": key}, key=key)["done"])
        except StillWorking:
            return "wait"

    for number in range(20):
        start, key = Barrier(4), f"k{number}"
        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(rival, processes * 2, [key] * 4, [start] * 4))
        assert set(told) <= {key, "wait"}

    assert sorted(done) == sorted(f"k{number}" for number in range(20))
    for services in processes:
        services.db.close()
