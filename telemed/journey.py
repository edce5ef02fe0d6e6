"""The map of the system: the order of the slices, and which event makes whom act next.

A slice imports only slices before it in ORDER. All other influence is one line of the tables below: *durable* is a job
stored with the event, exactly one effect, survives kill -9; *live* is a push after the commit, to every server
process, and may be lost. This and bootstrap.py are the only modules that may import every slice.
"""

from __future__ import annotations

from telemed import outbox
from telemed.access import answers, drafts, heads
from telemed.booking import events as booking
from telemed.booking import jobs as booking_jobs
from telemed.branches import events as branches
from telemed.checkup import events as checkup
from telemed.consultation import events as consultation
from telemed.consultation import jobs as consultation_jobs
from telemed.delivery import events as delivery
from telemed.delivery import jobs as delivery_jobs
from telemed.feedback import events as feedback
from telemed.feedback import jobs as feedback_jobs
from telemed.outbox import Journey, Live, Recurring
from telemed.patients import events as patients
from telemed.patients import jobs as patients_jobs
from telemed.pilot import jobs as pilot_jobs
from telemed.prescription import events as prescription
from telemed.readings import events as readings
from telemed.readings import jobs as readings_jobs

ORDER = (
    "patients",
    "branches",
    "booking",
    "checkup",
    "readings",
    "consultation",
    "prescription",
    "delivery",
    "feedback",
    "pilot",
    "desks",
)

DURABLE: dict[type, tuple[outbox.Handler, ...]] = {
    patients.PeopleLeftToIndex: (patients_jobs.index_more_people,),
    patients.ConsentWithdrawn: (consultation_jobs.stop_without_consent, delivery_jobs.stop_without_consent),
    booking.PlainReasonsLeft: (booking_jobs.seal_more_reasons,),
    booking.PatientInvited: (pilot_jobs.count_invited,),
    booking.VisitBooked: (pilot_jobs.count_booked,),
    checkup.VisitOpened: (pilot_jobs.count_came,),
    checkup.SymptomsAnswered: (readings_jobs.triage_visit,),
    readings.SeriesComplete: (pilot_jobs.count_measured,),
    readings.TriageChanged: (consultation_jobs.raise_case,),
    readings.StripUnclear: (consultation_jobs.call_for_strip,),
    readings.VisitGivenBack: (consultation_jobs.call_back,),
    checkup.VisitReady: (consultation_jobs.queue_case,),
    checkup.VisitClosed: (consultation_jobs.store_case,),
    consultation.ConsultationEnded: (
        feedback_jobs.offer_rating_of_visit, pilot_jobs.count_consulted, consultation_jobs.close_media,
    ),
    prescription.PrescriptionSigned: (delivery_jobs.place_order, pilot_jobs.count_prescribed),
    prescription.PrescriptionCancelled: (delivery_jobs.cancel_order,),
    delivery.ParcelDelivered: (feedback_jobs.offer_rating_of_parcel, pilot_jobs.count_delivered),
    feedback.RatingGiven: (pilot_jobs.count_rated,),
}


def _push(name: str, rooms: dict[str, str], *more_ids: str) -> Live:
    """Return a push to the rooms `<kind>:<id>`; `rooms` gives for a kind the event's attribute that holds the id. These
    ids travel, and `more_ids`.
    """
    ids = tuple(dict.fromkeys((*rooms.values(), *more_ids)))
    return Live(name, lambda event: [f"{kind}:{getattr(event, of)}" for kind, of in rooms.items()], ids)


BRANCH = {"branch": "branch_id"}
VISIT = {"branch": "branch_id", "visit": "visit_id"}
CASE = {"queue": "region_id", "visit": "visit_id", "consultation": "consultation_id"}
TALK = {"consultation": "consultation_id"}
CALL = {"visit": "visit_id", **TALK}
PARCEL = {"dispatch": "region_id", "pharmacy": "region_id", "parcel": "parcel_id", "branch": "branch_id"}

LIVE: dict[type, tuple[Live, ...]] = {
    branches.GatewayJoined: (_push("branch:changed", BRANCH),),
    branches.GatewayChanged: (_push("branch:changed", BRANCH),),
    branches.LineMeasured: (_push("branch:changed", BRANCH),),
    branches.MorningChecked: (_push("branch:changed", BRANCH), _push("day:changed", BRANCH)),
    booking.VisitBooked: (_push("day:changed", BRANCH),),
    booking.BookingCancelled: (_push("day:changed", BRANCH),),
    booking.BookingMissed: (_push("day:changed", BRANCH),),
    booking.BookingMoved: (_push("day:changed", BRANCH),),
    checkup.VisitOpened: (_push("visit:changed", VISIT),),
    checkup.SymptomsAnswered: (_push("visit:changed", VISIT),),
    checkup.MeasurementAsked: (_push("visit:changed", VISIT),),
    checkup.VisitReady: (_push("visit:changed", VISIT),),
    checkup.VisitClosed: (_push("visit:changed", VISIT),),
    checkup.VisitReopened: (_push("visit:changed", VISIT),),
    readings.ReadingStored: (_push("reading:stored", VISIT, "reading_id"),),
    readings.ReadingQuarantined: (_push("branch:changed", BRANCH),),
    readings.ReadingClaimed: (_push("reading:claimed", VISIT),),
    readings.TriageChanged: (_push("triage:changed", VISIT),),
    readings.SeriesComplete: (_push("visit:changed", VISIT),),
    consultation.CaseQueued: (_push("queue:changed", CASE), _push("call:ended", {"call": "consultation_id"})),
    consultation.CaseAbandoned: (_push("queue:changed", CASE),),
    consultation.CaseRaised: (_push("queue:changed", CASE),),
    consultation.CaseTaken: (_push("queue:changed", CASE),),
    consultation.CaseStored: (_push("queue:changed", CASE),),
    consultation.PhoneAsked: (_push("queue:changed", CASE),),
    consultation.PhoneChosen: (_push("call:changed", CALL),),
    consultation.PatientAskedIn: (_push("call:asked_in", VISIT),),
    consultation.AskedInOver: (_push("call:asked_over", VISIT),),
    consultation.CallStarted: (_push("call:changed", CALL),),
    consultation.MessageWritten: (_push("chat:written", TALK, "message_id"),),
    consultation.PhotoStored: (_push("photo:stored", TALK, "photo_id"),),
    consultation.ConsultationEnded: (_push("queue:changed", CASE), _push("call:ended", {"call": "consultation_id"})),
    delivery.OrderPlaced: (_push("order:placed", {"pharmacy": "region_id"}),),
    delivery.ParcelMoved: (_push("parcel:moved", PARCEL),),
}

# What a red flag starts depends on no second process and waits behind no other work.
URGENT = (readings_jobs.triage_visit, consultation_jobs.raise_case, consultation_jobs.call_for_strip)

RECURRING = (
    Recurring("sign_audit_head", 60, heads.sign_when_due),
    Recurring("release_expired_holds", 60, booking_jobs.release_expired_holds),
    Recurring("seal_invitation_reasons", 600, booking_jobs.begin_sealing_reasons),
    Recurring("index_people", 600, patients_jobs.begin_indexing),
    Recurring("erase_quarantine", 300, readings_jobs.erase_quarantine),
    Recurring("count_pressures", 3600, readings_jobs.count_pressures),
    Recurring("forget_stored_answers", 86400, answers.forget_old),
    Recurring("forget_drafts", 3600, drafts.forget_old),
    Recurring("forget_done_jobs", 86400, outbox.forget_done),
)

JOURNEY = Journey(durable=DURABLE, live=LIVE, urgent=URGENT, recurring=RECURRING)
