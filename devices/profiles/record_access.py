"""Record Access Control Point 2A52: what we ask of a glucose meter's memory, and its answers. We never delete."""

from __future__ import annotations

from typing import Any

from devices.errors import DecodeError
from devices.profiles.payload import Payload
from devices.profiles.quirks import Quirk

REPORT, DELETE, ABORT, NUMBER, NUMBER_RESPONSE, RESPONSE = range(1, 7)
NULL, ALL, AT_MOST, AT_LEAST, RANGE, FIRST, LAST = range(7)
BY_SEQUENCE, BY_USER_TIME = 1, 2
SUCCESS, NO_RECORDS, NOT_COMPLETED = 1, 6, 8
OPS = {
    1: "report_stored_records",
    2: "delete_stored_records",
    3: "abort_operation",
    4: "report_number_of_stored_records",
    5: "number_of_stored_records_response",
    6: "response_code",
}
OPERATORS = {
    0: "null",
    1: "all_records",
    2: "less_than_or_equal_to",
    3: "greater_than_or_equal_to",
    4: "within_range_of",
    5: "first_record",
    6: "last_record",
}
RESPONSES = {
    1: "success",
    2: "op_code_not_supported",
    3: "invalid_operator",
    4: "operator_not_supported",
    5: "invalid_operand",
    6: "no_records_found",
    7: "abort_unsuccessful",
    8: "procedure_not_completed",
    9: "operand_not_supported",
}
LAST_NUMBER = 0xFFFF


def report_all() -> bytes:
    """Ask for every record."""
    return bytes([REPORT, ALL])


def report_from(sequence: int) -> bytes:
    """Ask for the records from `sequence` on. Past the last number the counter has wrapped: ask for all."""
    if not 0 <= sequence < LAST_NUMBER:
        return report_all()
    return bytes([REPORT, AT_LEAST, BY_SEQUENCE]) + sequence.to_bytes(2, "little")


def report_one(sequence: int) -> bytes:
    """Ask for the record of this number."""
    return bytes([REPORT, RANGE, BY_SEQUENCE]) + 2 * sequence.to_bytes(2, "little")


def report_last() -> bytes:
    """Ask for the newest record."""
    return bytes([REPORT, LAST])


def number_of_records() -> bytes:
    """Ask how many records there are."""
    return bytes([NUMBER, ALL])


def abort() -> bytes:
    """Ask to stop the transfer."""
    return bytes([ABORT, NULL])


def decode(raw: bytes, _quirk: Quirk) -> dict[str, Any]:
    """Read a request or an answer."""
    payload = Payload(raw)
    op, operator = payload.u8(), payload.u8()
    if op not in OPS:
        raise DecodeError("reserved", f"op code {op}")
    answer: dict[str, Any] = {
        "op_code": op,
        "op_name": OPS[op],
        "operator": operator,
        "operator_name": OPERATORS.get(operator, "reserved"),
        "filter_type": None,
        "sequence_numbers": [],
        "number_of_records": None,
        "request_op_code": None,
        "response_code": None,
        "response_name": None,
    }
    if op == NUMBER_RESPONSE:
        answer["number_of_records"] = payload.u16()
    elif op == RESPONSE:
        answer["request_op_code"], code = payload.u8(), payload.u8()
        answer["response_code"], answer["response_name"] = code, RESPONSES.get(code, "reserved")
    elif operator in (AT_MOST, AT_LEAST, RANGE):
        answer["filter_type"], answer["sequence_numbers"] = _operands(payload, 2 if operator == RANGE else 1)
    payload.end()
    return answer


def _operands(payload: Payload, count: int) -> tuple[int, list[int]]:
    kind = payload.u8()
    if kind == BY_SEQUENCE:
        return kind, [payload.u16() for _ in range(count)]
    if kind == BY_USER_TIME:
        payload.take(7 * count)  # we never ask by time, since a meter's clock may be wrong
        return kind, []
    raise DecodeError("reserved", f"filter type {kind}")
