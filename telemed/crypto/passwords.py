"""Passwords: Argon2id, 46 MiB, one pass (OWASP ASVS 5 minimum)."""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 4  # each takes 46 MiB: a burst of sign-ins must not take the machine's memory
_TURN = threading.BoundedSemaphore(AT_ONCE)
_HASHER = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1)
# The hash of nothing anybody knows: verified for unknown names so that time does not tell who exists.
DUMMY_HASH = "$argon2id$v=19$m=47104,t=1,p=1$j3cYRXE1zdGikk8cfKaUfA$6iq8IqPFEHIEPpUH039rXS4uR6D9aTclM6Wy2iHUg1w"


def hash_password(password: str) -> str:
    """Return the PHC string of a password."""
    return _HASHER.hash(password)


def verify_password(stored: str, password: str) -> bool:
    """Tell whether a password is the stored one."""
    try:
        with _TURN:
            return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
