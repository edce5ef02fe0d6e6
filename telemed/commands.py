"""The operator's commands that write, by name. Each takes words as they were typed and returns the lines to print, so
that it is the same command whether this process runs it or the server that holds the data folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from telemed.access import accounts, admin_tasks, audit
from telemed.access.relations import NOTHING, SYSTEM
from telemed.booking import service_slots
from telemed.branches import service as branches
from telemed.errors import Invalid
from telemed.ids import parse_id
from telemed.patients import service as patients
from telemed.patients import service_check, service_index
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


def check(services: Services, _words: Words) -> list[str]:
    """Tell what stands in the register that today's checks would refuse: kind, field and ids, no personal data."""
    with services.db.write() as tx:
        audit.record(tx, services.clock(), SYSTEM, "system.check_data", NOTHING, allowed=True, reason="command")
    progress = service_index.progress(services)
    found = [
        " ".join(filter(None, (one.kind, one.field, f"patient {one.patient_id}", one.other_id and f"and {one.other_id}")))
        for one in service_check.people_to_mend(services, SYSTEM)
        if one.verdict != "same"
    ]
    found += [f"shift_off_grid shift {shift.id}" for shift in service_slots.shifts_off_grid(services, SYSTEM)]
    if not progress.is_over:
        found.append(f"people_not_indexed {progress.seen} of {progress.total} are done; the server's job goes on")
    return found


COMMANDS: dict[str, Command] = {
    "account create": create_account,
    "keys rotate": rotate_keys,
    "erase": erase,
    "check": check,
}


def run(services: Services, name: str, words: Words) -> list[str]:
    """Run one command and return what it has to say. Raises as the command does."""
    return COMMANDS[name](services, words)
