"""Fill a demo deployment with the fictional region: places, meters, people, rosters, patients, invitations."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as day_time
from itertools import islice
from uuid import UUID
from zoneinfo import ZoneInfo

from telemed import demo_region
from telemed.access import audit
from telemed.access.models import Account
from telemed.access.relations import SYSTEM, Subject
from telemed.booking.models import Doctor, Invitation, Shift
from telemed.booking.rules import REFUSALS
from telemed.bootstrap import build_services
from telemed.branches.models import Branch, Corner, Kit, Meter, Region
from telemed.crypto import passwords
from telemed.db import Tx
from telemed.demo_region import DemoBranch, DemoPatient, DemoPerson, demo_id
from telemed.errors import StartRefused
from telemed.patients.models import Consent, Patient
from telemed.patients.rules import CONSENT_VERSION, PURPOSES, name_and_year
from telemed.pilot.models import JourneyFact
from telemed.serve import only_one
from telemed.services import Services
from telemed.settings import Settings

PASSWORD = "health corner at the post office"  # of every account of the demo
AT_ONCE = 25  # branches in one transaction: about 1,000 patients, a few MB of log
ROWS_AT_ONCE = 500
ROSTER_DAYS = 14
SLOT_MINUTES = 15
OPENS, CLOSES = "08:00", "20:00"
# The first branch and its doctor work round the clock, so that the demo can be tried at any hour.
ALL_DAY_HOURS = {str(day): ["00:00", "23:59:59"] for day in range(1, 8)}
HOURS = {**{str(day): [OPENS, CLOSES] for day in range(1, 7)}, "7": ["09:00", "15:00"]}
METERS = {"blood_pressure": "SIM-BP", "glucose": "SIM-GL"}  # the names that the simulated meters advertise
INVITED_SHARE = 0.1
# Of the invited: still to be called, called in vain once, said no.
ANSWERS = ((None, 0.7), ("not_reached", 0.15), ("refused", 0.15))


def seed(settings: Settings, branches: int = 12, patients: int = 40, seed: int = 1) -> None:
    """Put the region into the database; what is there already stays, rosters reach two weeks ahead again.

    Raises StartRefused outside a demo, and on a folder that holds another region.
    """
    if not settings.demo:
        raise StartRefused("`demo` fills a demo only; set TELEMED_DEMO=1 and use a data folder of its own.")
    if branches < 1 or not 0 <= patients < 1000:
        raise StartRefused("A region has at least 1 branch, and a branch 0 to 999 patients.")
    with only_one(settings):
        services = build_services(settings)
        try:
            _Seeder(services, branches, patients, seed).run()
        finally:
            services.db.close()


@dataclass(frozen=True)
class _Seeder:
    """One run: the region's size and seed, and the clock read once."""

    services: Services
    branches: int
    patients: int
    seed: int

    @property
    def region_id(self) -> UUID:
        return demo_id(self.seed, "region")

    def run(self) -> None:
        """Seed what is missing, in transactions of some branches each, so that a killed run can go on."""
        started_s = time.monotonic()
        if not self.services.demo:
            raise StartRefused("This data folder belongs to a real deployment; the demo never goes there.")
        self._put_region()
        made = self._put_branches()
        self._put_staff()
        shifts = self._put_rosters()
        took_s = time.monotonic() - started_s
        if made:
            print(f"The demo region is ready: {made} branches, {made * self.patients} patients ({took_s:.1f} s).")
        else:
            print("The demo region is there already." + (" Its rosters are extended." if shifts else ""))

    def _put_region(self) -> None:
        with self.services.db.write() as tx:
            if tx.get(Region, self.region_id) is not None:
                return
            if tx.query(Region).first() is not None:
                raise StartRefused("This data folder holds another region; use an empty TELEMED_DATA_DIR.")
            tx.add(
                Region(
                    id=self.region_id, name=demo_region.REGION_NAME, zone=demo_region.ZONE, rx_by_post=True,
                    rx_basis="DEMO",
                )
            )  # fmt: skip
            audit.record(tx, self.services.clock(), SYSTEM, "system.seed", Subject(region_id=self.region_id),
                         allowed=True, reason="command")  # fmt: skip

    def _put_branches(self) -> int:
        made, number = 0, 0
        all_branches = demo_region.branches(self.seed, self.branches, self.patients)
        while chunk := list(islice(all_branches, AT_ONCE)):
            with self.services.db.write() as tx:
                known = _known(tx, Branch, [branch.id for branch in chunk])
                new = [(n, branch) for n, branch in enumerate(chunk, number) if branch.id not in known]
                for n, branch in new:
                    self._put_branch(tx, n, branch)
            made, number = made + len(new), number + len(chunk)
            if new:
                print(f"  {number} of {self.branches} branches", flush=True)
        return made

    def _put_branch(self, tx: Tx, number: int, branch: DemoBranch) -> None:
        now = self.services.clock()
        tx.add(_branch_row(branch, self.region_id, now, HOURS if number else ALL_DAY_HOURS))
        tx.flush()
        kit_id = demo_id(self.seed, "kit", branch.id)
        tx.add(Corner(id=demo_id(self.seed, "corner", branch.id), branch_id=branch.id, name="1"))
        tx.add(Kit(id=kit_id, branch_id=branch.id, name="1"))
        tx.flush()
        for kind, name in METERS.items():
            meter_id = demo_id(self.seed, "meter", branch.id, kind)
            tx.add(Meter(id=meter_id, branch_id=branch.id, kit_id=kit_id, kind=kind, name=name, enrolled_at=now))
        clerk_id = self._account_id(f"clerk.{number}" if number else "demo.clerk")
        people = [self._patient_row(tx, person, branch, now, clerk_id) for person in branch.patients]
        tx.add_all(people)
        tx.flush()
        tx.add_all(row for person in branch.patients for row in self._consents(person, now, clerk_id))
        tx.add_all(row for row in self._invitations(branch, now, clerk_id))
        audit.record(tx, now, SYSTEM, "system.seed", Subject(branch_id=branch.id), allowed=True, reason="command")
        tx.expunge_all()

    def _patient_row(self, tx: Tx, person: DemoPatient, branch: DemoBranch, now: datetime, by: UUID) -> Patient:
        index, vault = self.services.index, self.services.vault
        two_names = f"{person.family_name} {person.given_name}"
        full_name = f"{two_names} {person.patronymic}"
        row = Patient(
            id=person.id, home_branch_id=branch.id, identity_rev=0, contact_rev=0,
            phone_index=index.of("patient.phone", person.phone),
            snils_index=index.of("patient.snils", person.snils),
            policy_index=index.of("patient.policy", person.policy),
            name_birth_index=index.of("patient.name_birth", f"{full_name}|{person.birth_date.isoformat()}"),
            name_index=index.of("patient.name_year", name_and_year(two_names, person.birth_date.year)),
            language=person.language, type_size=person.type_size, hard_of_hearing=person.hard_of_hearing,
            registered_at=now, registered_by=by,
        )  # fmt: skip
        identity = {
            "family_name": person.family_name, "given_name": person.given_name, "patronymic": person.patronymic,
            "birth_date": person.birth_date.isoformat(), "sex": person.sex, "snils": person.snils,
            "policy": person.policy,
        }  # fmt: skip
        contact = {"phone": person.phone, "address": person.address, "postal_index": branch.postal_index}
        vault.seal(tx, row, "identity", identity)
        vault.seal(tx, row, "contact", contact)
        return row

    def _consents(self, person: DemoPatient, now: datetime, by: UUID) -> Iterator[Consent]:
        for purpose in PURPOSES:
            yield Consent(
                id=demo_id(self.seed, "consent", person.id, purpose), patient_id=person.id, purpose=purpose,
                version=CONSENT_VERSION, language=person.language, given_at=now, recorded_by=by,
            )  # fmt: skip

    def _invitations(self, branch: DemoBranch, now: datetime, by: UUID) -> Iterator[Invitation | JourneyFact]:
        draw = random.Random(f"{self.seed}/{branch.id}/invitations")
        for person in branch.patients:
            if draw.random() >= INVITED_SHARE:
                continue
            invitation_id = demo_id(self.seed, "invitation", person.id)
            at = now - timedelta(days=draw.randrange(2, 6))
            outcome = draw.choices([code for code, _ in ANSWERS], [share for _, share in ANSWERS])[0]
            yield Invitation(
                id=invitation_id, patient_id=person.id, branch_id=branch.id, clinical_rev=0, created_at=at,
                created_by=by, outcome=outcome, refusal=draw.choice(REFUSALS) if outcome == "refused" else None,
                attempts=1 if outcome else 0, outcome_at=at + timedelta(days=1) if outcome else None,
            )  # fmt: skip
            yield JourneyFact(
                id=demo_id(self.seed, "fact", invitation_id), step="invited", about_id=invitation_id,
                branch_id=branch.id, at=at,
            )  # fmt: skip

    def _put_staff(self) -> None:
        one_hash = passwords.hash_password(PASSWORD)  # slow on purpose, and the password is no secret
        people = iter(demo_region.staff(self.branches))
        while chunk := list(islice(people, ROWS_AT_ONCE)):
            with self.services.db.write() as tx:
                known = _known(tx, Account, [self._account_id(person.login) for person in chunk])
                for person in chunk:
                    if self._account_id(person.login) not in known:
                        self._put_person(tx, person, one_hash)

    def _put_person(self, tx: Tx, person: DemoPerson, password_hash: str) -> None:
        account_id = self._account_id(person.login)
        branch_id = None if person.branch is None else demo_id(self.seed, "branch", person.branch)
        region_id = None if person.role in ("admin", "auditor") else self.region_id
        tx.add(
            Account(
                id=account_id, login=person.login, role=person.role, display_name=person.name, language="ru",
                password_hash=password_hash, branch_id=branch_id, region_id=region_id,
                created_at=self.services.clock(),
            )
        )  # fmt: skip
        if person.role == "doctor":
            tx.add(
                Doctor(
                    id=account_id, region_id=self.region_id, specialty="therapist", display_name=person.name,
                    phone="+78162000000",
                )
            )  # fmt: skip

    def _put_rosters(self) -> int:
        """Give every demo doctor shifts for the days ahead; return how many were missing."""
        today = self.services.clock().astimezone(ZoneInfo(demo_region.ZONE)).date()
        doctors = [person for person in demo_region.staff(self.branches) if person.role == "doctor"]
        wanted = (self._shift(person, today + timedelta(days=n)) for person in doctors for n in range(ROSTER_DAYS))
        count = 0
        while chunk := list(islice(wanted, ROWS_AT_ONCE)):
            with self.services.db.write() as tx:
                known = _known(tx, Shift, [shift.id for shift in chunk])
                missing = [shift for shift in chunk if shift.id not in known]
                tx.add_all(missing)
            count += len(missing)
        return count

    def _shift(self, person: DemoPerson, day: date) -> Shift:
        zone = ZoneInfo(demo_region.ZONE)
        if person.login == "demo.doctor":
            begins, ends = _at(day, "00:00", zone), _at(day + timedelta(days=1), "00:00", zone)
        else:
            begins, ends = _at(day, OPENS, zone), _at(day, CLOSES, zone)
        doctor_id = self._account_id(person.login)
        return Shift(
            id=demo_id(self.seed, "shift", doctor_id, day), doctor_id=doctor_id, starts_at=begins, ends_at=ends,
            slot_minutes=SLOT_MINUTES,
        )  # fmt: skip

    def _account_id(self, login: str) -> UUID:
        return demo_id(self.seed, "account", login)


def _known(tx: Tx, table: type[Branch] | type[Account] | type[Shift], ids: list[UUID]) -> set[UUID]:
    return {row_id for (row_id,) in tx.query(table.id).filter(table.id.in_(ids))}


def _branch_row(branch: DemoBranch, region_id: UUID, now: datetime, hours: dict[str, list[str]]) -> Branch:
    return Branch(
        id=branch.id, region_id=region_id, postal_index=branch.postal_index, name=branch.name, place=branch.place,
        zone=demo_region.ZONE, rural=branch.rural, hours=hours, phone=branch.phone, line_class=branch.line_class,
        line_checked_at=now - timedelta(hours=6),  # known, but too old for a talk: the demo measures by itself
    )  # fmt: skip


def _at(day: date, clock_time: str, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, day_time.fromisoformat(clock_time), zone)
