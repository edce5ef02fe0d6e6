"""Step 9, feedback: did it help, asked once and nameless; complaints with a person and a due date."""
