"""Step 2, branches: the post office, its health corner, its meters, its gateway and its line."""
