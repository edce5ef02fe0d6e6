"""Step 5, readings: sealed items from the gateway become a patient's results, or go to quarantine; triage."""
