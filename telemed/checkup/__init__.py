"""Step 4, check-up: the visit at the corner, symptom questions before numbers, the series of measurements."""
