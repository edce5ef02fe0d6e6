"""Blind indexes: exact search over sealed values. Slow on purpose: phone and insurance numbers are few."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata

import phonenumbers
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from telemed.crypto.keys import KeyRing
from telemed.rules_spelling import name_key

SIZE = 16


def normal_phone(text: str) -> str:
    """Return E.164; Russian by default, Belarusian with its prefix. What is no phone is returned as its digits."""
    try:
        number = phonenumbers.parse(text, "RU")
    except phonenumbers.NumberParseException:
        return digits(text)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def digits(text: str) -> str:
    """Return the digits alone."""
    return re.sub(r"\D", "", text)


def normal_name(text: str) -> str:
    """Return one spelling for all: NFKC, case folded, yo as ye, single blanks."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    return " ".join(folded.split())


def normal_name_and_year(text: str) -> str:
    """Return the key of `name|year`: what looks the same is the same, see telemed/rules_spelling.py."""
    name, _, year = text.rpartition("|")
    return f"{name_key(name)}|{year}"


NORMAL = {
    "patient.phone": normal_phone,
    "patient.snils": digits,
    "patient.policy": digits,
    "patient.name_birth": normal_name,  # the form of 2026; people are indexed anew under the next line
    "patient.name_year": normal_name_and_year,
}


class BlindIndex:
    """Makes indexes with one deployment's index key and its stored cost."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def of(self, column: str, value: str) -> bytes:
        """Return the 16-byte index of a value in `column`; spelling differences do not matter."""
        normal = NORMAL[column](value)
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"tp/index/{column}".encode()).derive(
            self._keys.domain_key("index", 1)
        )
        keyed = hmac.new(key, normal.encode(), hashlib.sha256).digest()
        memory_kib, passes = self._keys.index_cost
        kdf = Argon2id(salt=keyed[:16], length=SIZE, iterations=passes, lanes=1, memory_cost=memory_kib)
        return kdf.derive(keyed)
