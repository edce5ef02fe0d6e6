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


@pytest.mark.parametrize("argv", [(), ("2a35",), ("2a35", "00", "11"), ("2a35", "00", "--model")])
def test_wrong_usage_exits_64(argv: tuple[str, ...]) -> None:
    assert ask(*argv) == (64, [])


def test_several_lines_give_one_object_each_and_errors_are_objects_too() -> None:
    code, answers = ask("-", lines="sfloat 7800\n\n2a99 00\nsfloat 7800 Accu-Chek Guide\n")

    assert code == 0
    assert [answer.get("value") or answer["error"] for answer in answers] == [120, "unknown_characteristic", 120]
