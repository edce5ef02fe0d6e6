"""The measuring part of the clerk's screen: gather the facts, let the rules choose the one sentence and its button."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from telemed.branches.service import BranchView, MeterView
from telemed.checkup.service import StepView, VisitView
from telemed.desks import rules
from telemed.readings import service_quarantine
from telemed.web.guard import services, who

RENEW_S, RENEW_WAITING_S = 20, 5  # the second while a reading is awaited


@dataclass(frozen=True)
class Measuring:
    """What the page says. `situation` None is the normal way; `sentences`, `deed` and `remarks` are codes; `despite` is
    why the doctor is called while answers are missing; `renew_s` is when the page looks again by itself; `cuff` is the
    code of what to do with the cuff now. `step` is the one spoken of; `meters` lie on this visit's table.
    """

    step: StepView | None
    situation: str | None
    sentences: tuple[str, ...]
    deed: str | None
    despite: str
    remarks: list[str]
    meter: MeterView | None
    renew_s: int
    meters: list[MeterView]
    cuff: str | None = None
    is_only_meter: bool = True

    @property
    def is_about_meter(self) -> bool:
        """Whether the sentence says "the meter", of which a corner has two."""
        return self.situation is not None and self.situation not in ("urgent", *rules.PC_SITUATIONS)

    @property
    def is_alarm(self) -> bool:
        return self.situation == "urgent" or self.situation in rules.ALARMS

    @property
    def measures_again(self) -> bool:
        """Whether the patient is measured once more beside calling the doctor."""
        return self.situation == "urgent_again"

    @property
    def named(self) -> MeterView | None:
        """The meter that the sentence is surely about: which of two of a kind was used, nobody says."""
        return self.meter if self.is_only_meter or self.situation in rules.PAIRING_SITUATIONS else None

    @property
    def may_go_on(self) -> bool:
        return self.situation in rules.MAY_GO_ON


def of_visit(visit: VisitView, branch: BranchView) -> Measuring | None:
    """Return what the screen says about measuring; None when nothing is measured any more. With the case at the doctors
    it still says what nobody may miss.
    """
    is_urgent, has_alarm = any(step.advice == "urgent" for step in visit.steps), _alarm_step(visit) is not None
    is_over = visit.next is None if visit.state == "open" else visit.state == "closed" or not has_alarm
    if not visit.answered or (is_over and not (is_urgent and visit.state != "closed")):
        return None
    step = _spoken_of(visit)
    # What another kit's meter gives goes to the tray: its trouble is not this visit's.
    meters = [meter for meter in branch.meters if visit.kit_id in (None, meter.kit_id)]
    meter = _meter_of(meters, step.kind if step else "glucose")
    put_aside_at, put_aside_why = service_quarantine.newest_put_aside(services(), who(), branch.id)
    facts = _facts(visit, step, branch, meter, is_urgent, put_aside_at, put_aside_why)
    situation = rules.situation(facts)
    has_put_aside = put_aside_at is not None and put_aside_at >= visit.opened_at
    told = [remark for one in meters for remark in one.remarks]
    deed = rules.DEEDS[situation] if situation else None
    return Measuring(
        step, situation, _sentences(situation, facts), None if _is_done_already(deed, visit) else deed,
        "cannot_wait" if situation in ("urgent", "urgent_again") else "meter_silent",
        rules.remarks(situation, told, has_put_aside=has_put_aside), meter, _renew_s(facts), meters, _cuff(visit),
        is_only_meter=sum(one.kind == facts.kind for one in meters) < 2,
    )  # fmt: skip


def _spoken_of(visit: VisitView) -> StepView | None:
    """Return the step that the screen speaks of: the next, unless another waits for the doctor's word. The trouble of
    one meter must not hide that, nor what nobody may miss.
    """
    waiting = next((step for step in visit.steps if (step.state, step.advice) == ("repeat", "call_doctor")), visit.next)
    return _alarm_step(visit) or waiting


def _alarm_step(visit: VisitView) -> StepView | None:
    """Return the step that is measured once more because of its last result."""
    found = (step for step in visit.steps if step.state in ("repeat", "asked") and step.advice in rules.ALARMS)
    return next(found, None)


def _is_done_already(deed: str | None, visit: VisitView) -> bool:
    """Whether the doctors have the case: calling them once more would change nothing."""
    return deed == "call_doctor" and visit.state == "ready"


def _cuff(visit: VisitView) -> str | None:
    """Return whether the cuff stays where it was measured last, or goes on the arm that is next."""
    if visit.next is None or visit.next.arm is None:
        return None
    last = next((step.arm for step in reversed(visit.steps) if step.arm and step.state == "done"), None)
    return f"cuff_{'stays' if visit.next.arm == last else 'put'}_{visit.next.arm}"


def _facts(
    visit: VisitView, step: StepView | None, branch: BranchView, meter: MeterView | None, is_urgent: bool,
    put_aside_at: datetime | None, put_aside_why: str,
) -> rules.Facts:  # fmt: skip
    now = services().clock()
    is_the_clock = meter is not None and not meter.is_clock_right and put_aside_why in rules.CLOCK_REASONS
    step = step or StepView("glucose", 0, "done", 0)
    asked_at = step.asked_at if step.state == "asked" else None

    def since(moment: datetime | None) -> bool:
        return asked_at is not None and moment is not None and moment >= asked_at

    return rules.Facts(
        kind=step.kind, light=branch.light, step_state=step.state, advice=step.advice, is_urgent=is_urgent,
        asked_s=(now - asked_at).total_seconds() if asked_at else None, has_meter=meter is not None,
        enrolment=meter.enrolment if meter else None, enrolment_code=meter.enrolment_code if meter else None,
        seen_since=since(meter.last_seen_at if meter else None), undecodable_since=since(branch.undecodable_at),
        put_aside_since=since(put_aside_at), is_demo=visit.is_demo,
        clock_off_s=abs(meter.drift_s or 0) if meter and is_the_clock else 0,
    )  # fmt: skip


def _sentences(situation: str | None, facts: rules.Facts) -> tuple[str, ...]:
    if situation is None:
        return ()
    if situation == "pc_stuck":
        return f"light_{facts.light}", "now_pc_stuck"
    if situation in rules.PC_SITUATIONS:
        return f"light_{facts.light}", f"light_{facts.light}_advice"
    why = (f"enrol_{facts.enrolment_code}",) if situation == "not_paired" and facts.enrolment_code else ()
    return f"now_{situation}", *why


def _meter_of(meters: Sequence[MeterView], kind: str) -> MeterView | None:
    """Return the meter of a kind that the screen speaks of: one that works before one in trouble."""
    found = [meter for meter in meters if meter.kind == kind]
    return min(found, key=lambda meter: meter.enrolment not in (None, "enrolled"), default=None)


def _renew_s(facts: rules.Facts) -> int:
    """Return when to look again: at the moment at which silence becomes a situation, else now and then; soon while a
    meter is paired, as its digits must be typed within half a minute.
    """
    if facts.enrolment in ("looking", "found", "passkey_needed"):
        return RENEW_WAITING_S
    if facts.asked_s is None:
        return RENEW_S
    left = rules.patience_s(facts.kind, is_demo=facts.is_demo) - facts.asked_s
    return max(1, min(RENEW_WAITING_S, int(left) + 1)) if left > 0 else RENEW_S
