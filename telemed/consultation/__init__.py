"""Step 6, consultation: the doctor's queue, the call over a bad line, the note."""
