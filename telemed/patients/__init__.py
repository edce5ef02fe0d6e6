"""Step 1, patients: who is this, how do they like to be spoken to, and what did they agree to."""
