"""Packets that real meters sent are read as their owners saw them; packets that lie about themselves are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from devices.decode import to_json
from devices.errors import DecodeError
from devices.plausibility import judge
from devices.profiles import decode
from devices.profiles.quirks import BEURER, STANDARD, TABLE, Entry, full_name, quirk_of

RECORDINGS = Path(__file__).parents[2] / "recordings"
CAPTURED = json.loads((RECORDINGS / "captured.json").read_text(encoding="utf-8"))
PACKETS = json.loads((RECORDINGS / "packets.json").read_text(encoding="utf-8"))
LYING = json.loads((RECORDINGS / "lying.json").read_text(encoding="utf-8"))
BM59 = bytes.fromhex("16800052004a00e807010f090c2157000000")
BM85 = bytes([86, 106, 0, 71, 0, 0, 0, 234, 7, 8, 11, 18, 31, 0, 0, 63, 0, 0, 0])


def names(packets: list[dict]) -> list[str]:
    return [packet["name"] for packet in packets]


@pytest.mark.parametrize("packet", CAPTURED, ids=names(CAPTURED))
def test_a_captured_packet_is_read_as_its_source_says(packet: dict) -> None:
    answer = decode(packet["characteristic"], bytes.fromhex(packet["hex"]), packet.get("model"))

    assert {key: json.loads(to_json(answer[key])) for key in packet["expected"]} == packet["expected"]


@pytest.mark.parametrize("packet", LYING, ids=names(LYING))
def test_a_lying_packet_is_refused_with_its_code(packet: dict) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(packet["characteristic"], bytes.fromhex(packet["hex"]), packet.get("model"))

    assert caught.value.code == packet["error"]


@pytest.mark.parametrize("packet", [*CAPTURED, *LYING], ids=names([*CAPTURED, *LYING]))
def test_every_recording_names_its_origin(packet: dict) -> None:
    assert packet["origin"]


@pytest.mark.parametrize("packet", CAPTURED, ids=names(CAPTURED))
def test_a_captured_packet_cut_anywhere_is_refused(packet: dict) -> None:
    raw = bytes.fromhex(packet["hex"])

    for length in range(len(raw)):
        with pytest.raises(DecodeError, match=r"truncated|trailing"):
            decode(packet["characteristic"], raw[:length], packet.get("model"))


@pytest.mark.parametrize(
    "name", ["BM85", "bm85", "Beurer BM85", "BM 85", "BM59", "Elite 900", "ELITE900", " Elite-900 "]
)
def test_a_model_is_known_with_and_without_its_maker(name: str) -> None:
    assert quirk_of(name).user_id_always


@pytest.mark.parametrize("name", [None, "", "BM850", "BM8", "UA-651BLE", "Accu-Chek Guide", "Contour Next One", "85"])
def test_other_models_follow_the_standard(name: str | None) -> None:
    assert quirk_of(name) == STANDARD


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.name)
def test_every_quirk_has_its_packet(entry: Entry) -> None:
    packets = [packet for packet in (*CAPTURED, *PACKETS) if packet.get("quirk") == entry.name]

    assert packets
    assert all(quirk_of(packet["model"]) == entry.quirk for packet in packets)


def test_a_firmware_may_differ_from_its_model_and_an_unknown_one_does_not() -> None:
    entry = replace(TABLE[0], firmware="2.")

    assert entry.fits("beurerbm85", "2.1")
    assert not entry.fits("beurerbm85", "1.9")
    assert not entry.fits("beurerbm85", "")


def test_the_advertised_name_counts_only_when_no_model_is_told() -> None:
    assert quirk_of(full_name("Beurer", None, "BM85")) == BEURER
    assert quirk_of(full_name("Acme", "X1", "BM85")) == STANDARD


@pytest.mark.parametrize(
    "name", ["TaiDoc TD-4255", "TaiDoc 4279", "TaiDoc Technology TD-4279", "Diamond Mini", "DM30b"]
)
def test_the_collector_is_told_of_reversed_numbers(name: str) -> None:
    assert quirk_of(name).reversed_numbering


def test_a_bm59_packet_tells_by_its_length_which_layout_it_has() -> None:
    standard, own = decode("2a35", BM59, "BM59"), decode("2a35", BM85, "BM59")

    assert (standard["pulse_rate"], standard["user_id"]) == (87, None)
    assert (own["pulse_rate"], own["user_id"]) == (63, 0)
    assert not BEURER.told_by_length


def test_a_usual_ketone_is_never_a_low_glucose() -> None:
    """0.6 mmol/L of ketones is normal; read as glucose it would call an ambulance."""
    record = decode("2a18", bytes.fromhex("160400ea070301080000" + "06c0" + "11"), "CareSens Dual")
    context = decode("2a34", bytes.fromhex("02040006"), "CareSens Dual")
    assert str(record["mmol_per_l"]) == "0.600"
    assert judge("glucose", record).reasons[0] == "glucose_lo"

    verdict = judge("glucose", record, context)

    assert (verdict.verdict, verdict.reasons[0]) == ("not_a_result", "ketone")


@pytest.mark.parametrize("meal", [6, 7, 99, 255])
@pytest.mark.parametrize("model", ["", "i-SENS CareSens 1A2B", "Roche Guide", "CareSens Dual"])
def test_a_marking_above_the_meals_is_another_strip_whoever_made_the_meter(model: str, meal: int) -> None:
    record = decode("2a18", bytes.fromhex("130100ea070b170a0001000022b011"), model)
    assert judge("glucose", record).verdict == "usable"

    verdict = judge("glucose", record, decode("2a34", bytes([2, 1, 0, meal]), model))

    assert verdict.verdict == "not_a_result"
    assert verdict.reasons[0] in ("strip_unknown", "ketone")


@pytest.mark.parametrize("model", ["", "CareSens Dual"])
def test_hi_and_lo_are_urgent_on_any_strip(model: str) -> None:
    for raw, code in (("130100ea070b170a00010000fe0711", "glucose_hi"), ("130100ea070b170a00010000020811", "glucose_lo")):
        verdict = judge("glucose", decode("2a18", bytes.fromhex(raw), model), decode("2a34", b"\2\1\0\6", model))

        assert verdict.reasons[:2] == ("strip_unknown", code)


@pytest.mark.parametrize("meal", [None, 0, 1, 2, 3, 4, 5])
def test_a_context_of_a_meal_changes_no_verdict(meal: int | None) -> None:
    record = decode("2a18", bytes([27, 15, 0, 232, 7, 1, 30, 5, 58, 27, 83, 1, 111, 176, 248, 0, 0]))

    context = bytes.fromhex("000f00") if meal is None else bytes([2, 15, 0, meal])
    assert judge("glucose", record, decode("2a34", context)) == judge("glucose", record)
