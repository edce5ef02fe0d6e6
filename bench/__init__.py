"""Figures, each beside a yardstick measured in the same run: `python -m bench`, written to bench/results.json."""
