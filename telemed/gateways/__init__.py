"""The outside world behind small protocols: each with a real form, where there is one, and a recording fake."""
