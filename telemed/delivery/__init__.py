"""Step 8, delivery: order, packing, custody, the postman's offline round, the proof of the hand-over."""
