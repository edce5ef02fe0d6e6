"""What all pages, JSON answers and sockets share: guard, errors, headers, idempotency, live rooms."""
