"""How a test run begins, so that it ends whole, however it is stopped. For `conftest.py`."""

from __future__ import annotations

import signal

import pytest

from telemed.keeper import keep
from tests import run_clock


def pytest_configure(config: pytest.Config) -> None:
    """Let whatever a test starts end with this process, the run's own or that of one worker."""
    keep()
    run_clock.begin()
    if hasattr(config, "workerinput"):
        # By itself a worker that gets Ctrl-C goes on waiting for orders, with all that it started.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
