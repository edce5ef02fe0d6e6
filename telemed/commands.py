"""The operator's commands that write, by name. Each takes words as they were typed and returns the lines to print, so
that it is the same command whether this process runs it or the server that holds the data folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from telemed.access import accounts, admin_tasks
from telemed.branches import service as branches
from telemed.errors import Invalid
from telemed.ids import parse_id
from telemed.patients import service as patients
from telemed.services import Services

Words = Mapping[str, str]
Command = Callable[[Services, Words], list[str]]


def create_account(services: Services, words: Words) -> list[str]:
    """Create one staff account."""
    branch_id, region_id = branches.place_of(services, words["branch"])
    login, role = words["login"], words["role"]
    accounts.create_account(
        services, login, words["password"], role, words["name"],
        branch_id=branch_id, region_id=region_id, language=words["language"],
    )  # fmt: skip
    return [f"Account {login} ({role}) is ready."]


def rotate_keys(services: Services, _words: Words) -> list[str]:
    """Add a new version of every domain key and tell the versions."""
    admin_tasks.rotate_keys(services)
    return admin_tasks.key_lines(services)


def erase(services: Services, words: Words) -> list[str]:
    """Shred a patient's identity and delivery keys; clinical records stay as long as the law wants them."""
    known = parse_id(words["patient_id"])
    if known is None:
        raise Invalid(fields={"patient_id": "not_an_id"})
    patients.erase_patient(services, known)
    return ["Identity, contact and delivery data can no longer be opened by anybody."]


COMMANDS: dict[str, Command] = {"account create": create_account, "keys rotate": rotate_keys, "erase": erase}


def run(services: Services, name: str, words: Words) -> list[str]:
    """Run one command and return what it has to say. Raises as the command does."""
    return COMMANDS[name](services, words)
