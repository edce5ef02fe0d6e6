"""Calls over emulated lines: one village for a module, one call at a time."""

from tests.village import quiet_village, village  # noqa: F401  (fixtures)
