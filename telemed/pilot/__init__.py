"""Step 10, pilot: does it work: the funnel from invitation to rating, per branch."""
