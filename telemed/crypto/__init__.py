"""Sealing, signing and indexes. The only package of telemed that imports `cryptography`."""
