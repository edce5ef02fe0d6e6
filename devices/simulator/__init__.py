"""Simulated meters on a virtual radio: demos, tests and benchmarks without hardware. Needs the extra `simulated`."""
