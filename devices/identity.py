"""Who this gateway is and whom it believes: written once when it joins a branch, readable by its owner alone."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from devices import sealing, wire

FILE = "identity.json"


class NotJoined(Exception):
    """Ask the operator to join a branch first."""


@dataclass(frozen=True)
class Identity:
    """Ids, the own key and the server's pinned keys. `ingest_key` is the one of the join; an order may replace it."""

    gateway_id: str
    branch_id: str
    branch_name: str
    deployment_id: str
    server_url: str
    epoch: str
    demo: bool
    signing_key: sealing.SigningKey
    ingest_key: wire.PublicKey
    server_key: wire.PublicKey
    ruleset: dict[str, object]


def load(folder: Path) -> Identity:
    """Return the identity of a gateway that has joined. Raises NotJoined."""
    path = folder / FILE
    if not path.exists():
        raise NotJoined("This gateway has not joined a branch yet: run `python -m devices join URL CODE`.")
    try:
        document = wire.parse_document(path.read_bytes())
        key = sealing.SigningKey(wire.from_b64(wire.text(document, "private_key")))
        ruleset = document.get("ruleset")
        return Identity(
            gateway_id=wire.text(document, "gateway_id"),
            branch_id=wire.text(document, "branch_id"),
            branch_name=wire.text(document, "branch_name"),
            deployment_id=wire.text(document, "deployment_id"),
            server_url=wire.text(document, "server_url"),
            epoch=wire.text(document, "epoch"),
            demo=document.get("demo") is True,
            signing_key=key,
            ingest_key=wire.parse_public_key(document.get("ingest_key")),
            server_key=wire.parse_public_key(document.get("server_key")),
            ruleset=ruleset if isinstance(ruleset, dict) else {},
        )
    except (wire.WireError, ValueError) as error:
        raise NotJoined(f"{path} is damaged: restore it from a copy, or join the branch anew.") from error


def save(folder: Path, identity: Identity) -> None:
    """Write the identity, whole or not at all."""
    document = {
        "gateway_id": identity.gateway_id,
        "branch_id": identity.branch_id,
        "branch_name": identity.branch_name,
        "deployment_id": identity.deployment_id,
        "server_url": identity.server_url,
        "epoch": identity.epoch,
        "demo": identity.demo,
        "private_key": wire.b64(identity.signing_key.private_bytes()),
        "ingest_key": identity.ingest_key.as_json(),
        "server_key": identity.server_key.as_json(),
        "ruleset": identity.ruleset,
    }
    write_whole(folder / FILE, json.dumps(document, ensure_ascii=False, indent=1))


def write_whole(path: Path, text: str) -> None:
    """Put a private file in place so that no reader ever sees half of it, not even after a power cut."""
    part = path.with_name(path.name + ".part")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
