"""The transition table, parcel numbers, and what a phone may report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemed.delivery import rules

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DEEDS = sorted({deed for deeds in rules.TRANSITIONS.values() for deed in deeds})


@pytest.mark.parametrize("deed", ["pack", "give", "attempt", "bring_back"])
def test_every_step_before_the_hand_over_has_a_way_back(deed: str) -> None:
    for before, deeds in rules.TRANSITIONS.items():
        if (after := deeds.get(deed)) is None or after == before:
            continue
        met, ahead = set(), [after]
        while ahead:
            state = ahead.pop()
            met.add(state)
            ahead += [to for to in rules.TRANSITIONS[state].values() if to not in met]

        assert before in met or rules.HOLDER[before] == "branch", (deed, before)


def test_every_step_leads_to_a_known_state_with_one_holder() -> None:
    reached = {state for deeds in rules.TRANSITIONS.values() for state in deeds.values()}

    assert reached <= set(rules.TRANSITIONS)
    assert set(rules.HOLDER) == set(rules.TRANSITIONS)


def test_a_final_state_never_changes() -> None:
    assert {"delivered", "delivered_unverified", "returned", "lost", "cancelled", "collected"} == rules.FINAL
    for state in rules.FINAL:
        assert [rules.next_state(state, deed) for deed in DEEDS] == [None] * len(DEEDS)


def test_cancelling_is_legal_only_before_the_postman_has_the_parcel() -> None:
    may = {state for state in rules.TRANSITIONS if rules.next_state(state, "cancel")}

    assert may == {"ordered", "packed", "collect", "collect_ready"}


def test_every_state_can_reach_an_end() -> None:
    for state in rules.TRANSITIONS:
        seen, todo = set(), {state}
        while todo:
            seen |= todo
            todo = {after for one in todo for after in rules.TRANSITIONS[one].values()} - seen
        assert seen & rules.FINAL


def test_custody_is_whole_only_when_every_step_follows_from_another() -> None:
    pack, give, lose = ("pack", "ordered", "packed"), ("give", "packed", "given"), ("lose", "given", "lost")
    again = ("take_again", "given", "packed")

    assert rules.is_whole([], "ordered")
    assert rules.is_whole([pack, give, again, give, lose], "lost")
    assert rules.is_whole([("pack", "collect", "collect_ready")], "collect_ready")
    assert not rules.is_whole([pack, lose], "lost")
    assert not rules.is_whole([pack, give], "lost")
    assert not rules.is_whole([("pack", "ordered", "given")], "given")


def test_the_check_digit_of_the_known_number_is_one() -> None:
    assert rules.check_digit("1234567890123") == "1"


@settings(deadline=None)
@given(st.integers(100_000, 999_999), st.integers(1, 12), st.integers(1, 99_999), st.integers(0, 13), st.integers(1, 9))
def test_one_wrong_digit_in_a_parcel_number_is_always_noticed(
    index: int, month: int, serial: int, place: int, by: int
) -> None:
    number = rules.parcel_number(str(index), month, serial)
    wrong = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]

    assert rules.is_parcel_number(number)
    assert not rules.is_parcel_number(wrong)


@pytest.mark.parametrize("serial", [0, 100_000])
def test_a_serial_has_five_digits(serial: int) -> None:
    with pytest.raises(ValueError):
        rules.parcel_number("174001", 11, serial)


def report(**more: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid4()), "device_seq": 1, "kind": "handed_over", "parcel_id": str(uuid4()),
        "happened_at": "2026-11-23T09:00:00.000Z", "proof": "ab" * 16, "reason": None, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"kind": "eaten"}, "event_invalid"),
        ({"kind": None}, "event_invalid"),
        ({"parcel_id": "x"}, "event_invalid"),
        ({"parcel_id": None}, "event_invalid"),
        ({"happened_at": "now"}, "event_invalid"),
        ({"happened_at": "2026-11-23T09:00:00"}, "event_invalid"),
        ({"happened_at": 5}, "event_invalid"),
        ({"proof": "AB" * 16}, "event_invalid"),
        ({"proof": "ab"}, "event_invalid"),
        ({"proof": 7}, "event_invalid"),
        ({"reason": "refused"}, "event_invalid"),
        ({"extra": 1}, "event_invalid"),
        ({"kind": "attempted", "proof": None}, "reason_unknown"),
        ({"kind": "attempted", "proof": None, "reason": "rain"}, "reason_unknown"),
        ({"kind": "returned", "reason": "refused"}, "event_invalid"),
    ],
)
def test_a_report_that_cannot_be_right_has_a_fault(change: dict[str, Any], fault: str) -> None:
    whole, broken = rules.read_report(report()), rules.read_report(report(**change))

    assert whole is not None
    assert whole.fault is None
    assert broken is not None
    assert broken.fault == fault


@pytest.mark.parametrize(
    "change", [{"event_id": "x"}, {"event_id": None}, {"device_seq": 0}, {"device_seq": "1"}, {"device_seq": True}]
)
def test_a_report_without_id_or_number_is_unusable(change: dict[str, Any]) -> None:
    assert rules.read_report(report(**change)) is None


odd_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.lists(st.integers())


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(rules.REPORT_FIELDS)), odd_values))
def test_no_words_of_a_phone_break_the_reader(raw: dict[str, Any]) -> None:
    rules.read_report(raw)


@settings(deadline=None)
@given(st.sets(st.integers(1, 30)))
def test_the_watermark_is_the_end_of_the_unbroken_beginning(stored: set[int]) -> None:
    mark = rules.watermark(sorted(stored))

    assert set(range(1, mark + 1)) <= stored
    assert mark + 1 not in stored


def test_a_phones_clock_is_believed_only_between_the_hand_over_and_now() -> None:
    given_at = NOW - timedelta(hours=3)

    assert rules.believable_time(NOW - timedelta(days=4000), given_at, NOW) == given_at
    assert rules.believable_time(NOW + timedelta(days=4000), given_at, NOW) == NOW
    assert rules.is_clock_suspect(NOW + timedelta(days=1), NOW)
    assert not rules.is_clock_suspect(NOW - timedelta(days=6), NOW)


ITEMS = [{"code": "a", "quantity": 2}, {"code": "b", "quantity": 1}]


@pytest.mark.parametrize(
    ("ticked", "packs", "weight_g", "faults"),
    [
        (["b", "a"], 3, 200, {}),
        (["a"], 3, 200, {"items": "items_not_all_there"}),
        (["a", "b", "c"], 3, 200, {"items": "items_not_all_there"}),
        (["a", "a", "b"], 3, 200, {"items": "items_not_all_there"}),
        (["a", "b"], 2, 200, {"packs": "packs_differ"}),
        (["a", "b"], "x", 200, {"packs": "not_a_number"}),
        (["a", "b"], 3, "", {"weight_g": "required"}),
        (["a", "b"], 3, 20_001, {"weight_g": "out_of_range"}),
    ],
)
def test_a_parcel_closes_only_when_everything_is_in_it(
    ticked: list[str], packs: object, weight_g: object, faults: dict[str, str]
) -> None:
    assert rules.faults_of_packing(ITEMS, ticked, packs, weight_g) == faults


def test_the_check_digit_finds_each_wrong_digit_and_each_pair_that_changed_places() -> None:
    code = "57241830" + rules.damm_digit("57241830")
    slips = [code[:at] + digit + code[at + 1 :] for at in range(9) for digit in "0123456789" if digit != code[at]]
    slips += [code[:at] + code[at + 1] + code[at] + code[at + 2 :] for at in range(8) if code[at] != code[at + 1]]

    assert rules.damm_digit("572") == "4"  # the example of Damm's thesis
    assert not rules.is_mistyped(code)
    assert [slip for slip in slips if not rules.is_mistyped(slip)] == []
