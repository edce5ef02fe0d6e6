"""The decode command answers exactly as its contract says."""

from __future__ import annotations

import io
import json

import pytest

from devices.decode import run_decode


def ask(*argv: str, lines: str = "") -> tuple[int, list[dict]]:
    out = io.StringIO()
    code = run_decode(list(argv), io.StringIO(lines), out)
    return code, [json.loads(line) for line in out.getvalue().splitlines() if line.startswith("{")]


def test_one_packet_gives_one_object_and_exit_zero() -> None:
    assert ask("sfloat", "7800") == (0, [{"value": 120}])


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("2a35", "00"), "truncated"),
        (("sfloat", "780000"), "trailing"),
        (("sfloat", "78 00"), "bad_hex"),
        (("sfloat", "780"), "bad_hex"),
        (("sfloat", "zz00"), "bad_hex"),
        (("2a99", "00"), "unknown_characteristic"),
        (("2a52", "0900"), "reserved"),
    ],
)
def test_an_unreadable_packet_gives_its_code_and_exit_two(argv: tuple[str, str], code: str) -> None:
    exit_code, answers = ask(*argv)

    assert exit_code == 2
    assert answers[0]["error"] == code
    assert answers[0]["detail"]


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("2a35",),
        ("2a35", "00", "11"),
        ("2a35", "00", "--model"),
        ("2a35", "--nonsense"),
        ("2a35", "00", "--model", "--help"),
        ("-", "2a35"),
    ],
)
def test_wrong_usage_exits_64(argv: tuple[str, ...]) -> None:
    assert ask(*argv) == (64, [])


def test_several_lines_give_one_object_each_and_errors_are_objects_too() -> None:
    code, answers = ask("-", lines="sfloat 7800\n\n2a99 00\nsfloat 7800 Accu-Chek Guide\n")

    assert code == 0
    assert [answer.get("value") or answer["error"] for answer in answers] == [120, "unknown_characteristic", 120]


BM85 = "566a0047000000ea07080b121f00003f000000"


@pytest.mark.parametrize("option", [("--model", "BM85"), ("--model=BM85",), ("--model", "Beurer BM85")])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_model_may_stand_before_or_after_the_packet(option: tuple[str, ...], is_first: bool) -> None:
    code, answers = ask(*option, "2A35", BM85) if is_first else ask("2A35", BM85, *option)

    assert (code, answers[0]["pulse_rate"], answers[0]["user_id"]) == (0, 63, 0)


def test_a_model_of_two_words_may_end_a_line() -> None:
    _, answers = ask("-", lines=f"2a35 {BM85} Elite 900\n2a35 {BM85}\n")

    assert answers[0]["pulse_rate"] == 63
    assert answers[1]["error"] == "trailing"


def test_digits_are_those_of_the_meter() -> None:
    """18.9 is 0.0189 mol/L: as a binary float it would print 18.900000000000002."""
    out = io.StringIO()
    run_decode(["2a18", "060700ea070301080000" + "bdc0" + "11"], io.StringIO(), out)

    assert '"concentration": 0.0189,' in out.getvalue()
    assert '"mmol_per_l": 18.900,' in out.getvalue()


@pytest.mark.parametrize("text", ["0x78", "7800 ", "78-00", "７８００", "٧٨", "+780", "7_80"])
def test_hex_has_no_separators_signs_or_foreign_digits(text: str) -> None:
    code, answers = ask("sfloat", text)

    assert (code, answers[0]["error"]) == (2, "bad_hex")


def test_a_line_that_is_no_text_spoils_no_other() -> None:
    class Pipe(io.StringIO):
        buffer = io.BytesIO(b"sfloat 7800\n\xff\xfe 00\nsfloat\n2a35 \xd0\x96\nsfloat 7800\n")

    out = io.StringIO()

    assert run_decode(["-"], Pipe(), out) == 0
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [answer.get("value") or answer["error"] for answer in answers] == [
        120, "unknown_characteristic", "truncated", "bad_hex", 120,
    ]  # fmt: skip


def test_any_terminal_can_show_an_answer() -> None:
    out = io.StringIO()
    run_decode(["Ж", "00"], io.StringIO(), out)

    assert out.getvalue().isascii()
