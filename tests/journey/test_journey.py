"""The journey happened, seen from outside: in the database, in the audit, and by what stops it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import func, select

from telemed.access import audit
from telemed.access.models import AuditRow
from telemed.booking.models import Booking, Invitation
from telemed.branches.models import Gateway, LineCheck
from telemed.checkup.models import SeriesStep, Visit
from telemed.consultation.models import CallStep, ChatMessage, Consultation
from telemed.delivery import service as delivery
from telemed.delivery.models import CustodyEvent, Order, Parcel, PhoneEvent
from telemed.feedback.models import Complaint, Rating, RatingToken
from telemed.outbox import Job
from telemed.pilot.models import JourneyFact
from telemed.prescription import service as prescriptions
from telemed.prescription.models import Prescription
from telemed.readings.models import QuarantinedItem, Reading, Transmission, Triage
from telemed.services import Services
from tests.journey.conftest import Told
from tests.journey.driver import Report, Step, play, run
from tests.journey.story import STEPS, STOPS_AT

ACTIONS = {
    "patient.register", "patient.find", "patient.issue_card", "consent.give", "branch.issue_join_code",
    "invitation.create", "invitation.answer", "booking.book", "visit.open", "visit.answer", "visit.simulate",
    "reading.submit", "reading.read", "branch.check_line", "consultation.take", "consultation.join_call",
    "consultation.write_note", "consultation.chat", "consultation.end", "prescription.write", "prescription.sign",
    "order.place", "order.read_items", "order.pack", "parcel.assign", "round.read", "round.sync", "parcel.hand_over",
    "parcel.track", "order.print_slip", "rating.give", "complaint.file", "complaint.answer",
}  # fmt: skip


def test_every_step_happened(told: Told) -> None:
    failed = [f"{step['name']}: {step['detail']}" for step in told.steps if not step["ok"]]

    assert failed == []
    assert [step["name"] for step in told.steps] == [name for name, _ in STEPS]


def test_the_json_report_has_its_promised_shape() -> None:
    report = Report("/data", [Step("start", True, 12, "2 branches")], ["secret"])

    assert report.document() == {
        "steps": [{"name": "start", "ok": True, "ms": 12, "detail": "2 branches"}],
        "protected": ["secret"],
        "data_dir": "/data",
    }


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "telemed.db").touch()

    assert run(data_dir=tmp_path) == 2


def test_all_processes_are_gone(told: Told) -> None:
    assert told.pids
    assert still_running(told.pids) == []


def still_running(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_the_audit_is_whole_and_has_every_deed(records: Services) -> None:
    with records.db.read() as tx:
        broken = audit.first_broken(tx)
        done = set(tx.scalars(select(AuditRow.action).where(AuditRow.allowed).distinct()))

    assert broken is None
    assert ACTIONS - done == set()


def test_the_patient_came_by_invitation_and_booking(records: Services) -> None:
    with records.db.read() as tx:
        booking = tx.scalars(select(Booking)).one()
        invitation = tx.get(Invitation, booking.invitation_id)
        visit = tx.scalars(select(Visit)).one()

    assert invitation is not None
    assert (invitation.outcome, booking.status) == ("booked", "done")
    assert (visit.booking_id, visit.patient_id, visit.state) == (booking.id, booking.patient_id, "closed")


def test_readings_came_from_the_meters_through_the_gateway_without_a_gap(records: Services) -> None:
    with records.db.read() as tx:
        gateway = tx.scalars(select(Gateway)).one()
        sequence = tx.scalars(select(Transmission).order_by(Transmission.seq)).all()
        readings = tx.scalars(select(Reading)).all()
        steps = tx.scalars(select(SeriesStep)).all()
        quarantined = tx.scalar(select(func.count()).select_from(QuarantinedItem))
        triage = tx.scalars(select(Triage)).one()

    assert [item.seq for item in sequence] == list(range(1, len(sequence) + 1))
    assert (gateway.watermark, gateway.chain_hash) == (sequence[-1].seq, sequence[-1].hash)
    assert {item.status for item in sequence} == {"accepted"}
    assert sorted(reading.kind for reading in readings) == ["blood_pressure"] * 4 + ["glucose"]
    assert {(reading.source, reading.status) for reading in readings} == {("simulated", "usable")}
    assert {reading.event_id for reading in readings} == {item.event_id for item in sequence if item.kind == "reading"}
    assert {step.state for step in steps} == {"done"}
    assert quarantined == 0
    assert triage.level in ("GREEN", "YELLOW", "AMBER")


def test_the_call_was_heard_on_both_sides_and_ended_with_an_outcome(records: Services) -> None:
    with records.db.read() as tx:
        case = tx.scalars(select(Consultation)).one()
        heard = set(tx.scalars(select(CallStep.role).where(CallStep.kind == "heard")))
        lines = tx.scalar(select(func.count()).select_from(ChatMessage))
        check = tx.scalars(select(LineCheck)).all()

    assert (case.state, case.outcome) == ("ended", "treated")
    assert case.call_started_at is not None
    assert heard == {"clerk", "doctor"}
    assert lines == 2
    assert len(check) >= 1


def test_the_prescription_is_signed_and_its_signature_right(records: Services) -> None:
    with records.db.read() as tx:
        row = tx.scalars(select(Prescription)).one()

        assert row.state == "signed"
        assert prescriptions.verify(records, tx, row)


def test_the_parcel_was_handed_over_once_with_proof(records: Services) -> None:
    with records.db.read() as tx:
        parcel, order = tx.scalars(select(Parcel)).one(), tx.scalars(select(Order)).one()
        steps = tx.scalars(select(CustodyEvent).order_by(CustodyEvent.recorded_at)).all()
        reports = tx.scalars(select(PhoneEvent)).all()

    assert (order.state, parcel.state, parcel.holder, parcel.verified) == ("packed", "delivered", "patient", True)
    assert [step.to_state for step in steps if step.final_mark] == ["delivered"]
    assert [before.to_state for before in steps[:-1]] == [after.from_state for after in steps[1:]]
    assert [report.status for report in reports] == ["applied", "applied"]
    assert delivery.custody_faults(records) == []


def test_feedback_is_stored_without_a_name(records: Services) -> None:
    with records.db.read() as tx:
        rating = tx.scalars(select(Rating)).one()
        used = tx.scalars(select(RatingToken).where(RatingToken.used_at.is_not(None))).one()
        complaint = tx.scalars(select(Complaint)).one()

    assert rating.score == 5
    assert used.patient_id not in [getattr(rating, column.key) for column in Rating.__table__.columns]
    assert complaint.state == "answered"


def test_every_job_is_done_and_every_step_of_the_funnel_counted(records: Services) -> None:
    with records.db.read() as tx:
        jobs = tx.execute(select(Job.kind, Job.state).where(Job.state != "done")).all()
        steps = set(tx.scalars(select(JourneyFact.step)))

    assert [kind for kind, _state in jobs if not kind.startswith("every:")] == []
    assert len(steps) == 8


def test_without_a_part_the_story_fails_at_the_step_that_needs_it(tmp_path: Path) -> None:
    """Told side by side, because such a story mostly waits for what does not come."""
    parts = sorted(STOPS_AT)
    with ThreadPoolExecutor(len(parts)) as pool:
        reports = list(pool.map(lambda part: play(tmp_path / part, without=part), parts))

    failed = [[step.name for step in report.steps if not step.ok] for report in reports]
    assert failed == [[STOPS_AT[part]] for part in parts]
    assert not any(report.ok for report in reports)
    assert still_running([pid for report in reports for pid in report.pids]) == []
