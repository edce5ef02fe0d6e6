"""Step 3, booking: invitation, roster, free slots, and one primary key against every double booking."""
