"""Every word that a page shows and every code that may be raised has its sentence, in Russian, Belarusian, English."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes
from jinja2.ext import extract_from_ast

from devices import plausibility
from telemed import i18n
from telemed.access.roles import ACTIONS, ROLES
from telemed.booking import rules as booking
from telemed.branches import morning
from telemed.checkup import rules as checkup
from telemed.consultation import rules as consultation
from telemed.consultation import verdicts
from telemed.consultation.line import LineClass
from telemed.desks import rules as desks
from telemed.feedback import rules as feedback
from telemed.patients import rules as patients
from telemed.pilot import rules as pilot
from telemed.readings import rules as readings
from telemed.web import body, errors

ROOT = Path(__file__).parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PYTHON = sorted((ROOT / "telemed").rglob("*.py"))
ENVIRONMENT = Environment(trim_blocks=True, lstrip_blocks=True)
ERRORS = {"Invalid", "SignInNeeded", "Forbidden", "NotFound", "Conflict", "TooMany", "Unavailable"}
FIELD_ERRORS = {"ValidationError", "StopValidation", "stop", "Unreadable"}
SAID_TWICE = {"Print"}  # the card's and the prescription's button; either word is right on both
FOUND = {"wrong", "faults", "fields", "found", "errors"}  # what services call their dict of wrong fields
PLACE = re.compile(r"%\(\w+\)s")
KINDS = ("blood_pressure", "glucose")

# What jobs, rules and commands write into the audit under a name of their own.
SYSTEM_ACTIONS = {
    found for path in PYTHON for found in re.findall(r'SYSTEM, "([a-z_]+\.[a-z_]+)"', path.read_text(encoding="utf-8"))
}  # fmt: skip

# Codes that a template puts together: prefix and what may follow it.
FAMILIES: dict[str, tuple[str, ...]] = {
    "action_": (*ACTIONS, *sorted(SYSTEM_ACTIONS)),
    "kind_": KINDS,
    "status_": ("usable", "questionable", "not_a_result"),
    "triage_": tuple(level.lower() for level in (*readings.LEVELS, readings.UNKNOWN)),
    "role_": tuple(role for role in ROLES if role != "gateway"),
    "symptom_": tuple(sorted(readings.SYMPTOMS)),
    "outcome_": consultation.OUTCOMES,
    "line_": tuple(LineClass),
    "mode_": consultation.MODES,
    "mean_": ("last_two", "all"),
    "calls_": (*verdicts.VERDICTS, *(f"{word}_means" for word in verdicts.VERDICTS if word != "well")),
    "voice_": ("better", "worse"),
    "step_": pilot.STEPS,
    "step_state_": ("waiting", "asked", "repeat", "done", "skipped", "not_needed"),
    "measure_": KINDS,
    "measuring_": KINDS,
    "visit_": tuple(checkup.STEPS),
    "ask_": checkup.SYMPTOMS,
    "simulated_": (
        *checkup.SIMULATED_FAULTS,
        *(f"{name}_then" for name in checkup.SIMULATED_FAULTS if name != "hi"),
        *(f"hi_{kind}" for kind in KINDS),
    ),
    "arm_": checkup.ARMS,
    "ending_": checkup.ENDINGS,
    "whose_": readings.WHOSE,
    "choose_": ("ending", "whose"),
    "cuff_": checkup.CUFFS,
    "now_": (*(set(desks.DEEDS) - {"pc_missing", "pc_trouble"}), "server_offline"),
    "do_": tuple(sorted(set(desks.DEEDS.values()) - {"give_passkey"})),
    "remark_": desks.REMARKS,
    "enrol_": (
        "not_seen", "passkey_missing", "passkey_wrong", "pairing_refused", "link_lost", "other_meter", "bond_lost",
    ),
    "complaint_": feedback.CATEGORIES,
    "rating_": feedback.KINDS,
    "rate_": feedback.KINDS,
    "data_": patients.DATA_KINDS,
    "field_": tuple(patients.NUMBER_CODES),
    "decided_": (*(f"by_{fact}" for fact in patients.FACTS), "left_branch", "index_done", "index_erased", "index_damaged"),
    "morning_": (
        *morning.VERDICTS, *(f"{word}_advice" for word in morning.VERDICTS), "early", "due", "closed", *morning.CHECKS,
        *(f"{check}_{word}" for check, words in morning.OUTCOMES.items() for word in words),
        "line_unmeasured", "calibration_meter_overdue",
    ),
    "talk_": tuple(word for talk in booking.TALKS.values() for word in (talk, f"{talk}_advice")),
    "morning_why_": tuple("_".join(why) for why in (*morning.STOPS, *morning.WITHOUT_VIDEO, *morning.REMARKS)),
}


def sentences_of_template(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield the English words of a template: `_`, `ngettext`, hints and labels of form parts."""
    tree = ENVIRONMENT.parse(path.read_text(encoding="utf-8"))
    for _line, function, message in extract_from_ast(tree, ("_", "ngettext", "pgettext")):
        if function == "ngettext":
            yield tuple(str(form) for form in message[:2])
        elif function == "pgettext":
            yield (i18n.in_context(*(str(part) for part in message[:2])),)
        elif (sentence := message[0] if isinstance(message, tuple) else message) is not None:
            yield (str(sentence),)
    for call in tree.find_all(nodes.Call):
        for argument in call.kwargs:
            if argument.key == "hint" and isinstance(argument.value, nodes.Const) and argument.value.value:
                yield (str(argument.value.value),)
            if argument.key == "labels" and isinstance(argument.value, nodes.Dict):
                labels = [pair.value for pair in argument.value.items]
                yield from ((str(label.value),) for label in labels if isinstance(label, nodes.Const))


def codes_of_template(path: Path) -> Iterator[str]:
    """Yield the codes that a template names whole."""
    for call in ENVIRONMENT.parse(path.read_text(encoding="utf-8")).find_all(nodes.Call):
        is_code = isinstance(call.node, nodes.Name) and call.node.name == "code_text" and call.args
        if is_code and isinstance(call.args[0], nodes.Const):
            yield str(call.args[0].value)


def name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def texts(node: ast.AST | None) -> Iterator[str]:
    """Yield the strings that an expression may be: a constant, or either branch of a condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)


def sentences_of_python(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield the English words of a web module: labels, choices, flashes, `say`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = name_of(call)
        if name.endswith("Field") and name not in ("HiddenField", "Field"):
            labels = list(texts(call.args[0])) if call.args else []
            yield from ((label,) for label in labels if label[:1].isupper())
        elif name == "in_context" and all(isinstance(argument, ast.Constant) for argument in call.args):
            yield (i18n.in_context(*(text for argument in call.args for text in texts(argument))),)
        elif name in ("flash", "say") and call.args:
            yield from ((text,) for text in texts(call.args[0]))
        elif name == "SelectChoice" and len(call.args) > 1:
            yield from ((text,) for text in texts(call.args[1]))
    for pair in (node for node in ast.walk(tree) if isinstance(node, ast.Tuple) and len(node.elts) == 2):
        value, label = (list(texts(part)) for part in pair.elts)
        if value and label and label[0][:1].isupper() and " " not in value[0]:
            yield (label[0],)


def codes_of_python(path: Path) -> Iterator[str]:
    """Yield the codes that a module may raise, alone or beside a field."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node) == "_then" and node.args:  # what rounds says when it is done
            yield from texts(node.args[0])
        elif isinstance(node, ast.Call) and name_of(node) == "_step" and len(node.args) == 3:
            yield from texts(node.args[2])
        elif isinstance(node, ast.Call) and name_of(node) in ERRORS | FIELD_ERRORS:
            yield from texts(node.args[0] if node.args else None)
            for keyword in node.keywords:
                if keyword.arg == "fields" and isinstance(keyword.value, ast.Dict):
                    for value in keyword.value.values:
                        yield from texts(value)
        elif isinstance(node, ast.Assign) and _is_found(node.targets[0]):
            yield from texts(node.value)
            values = [node.value.value] if isinstance(node.value, ast.DictComp) else getattr(node.value, "values", [])
            for value in values:
                yield from texts(value)


def _is_found(target: ast.expr) -> bool:
    held = target.value if isinstance(target, ast.Subscript) else target
    return isinstance(held, ast.Name) and held.id in FOUND


def codes_of_families() -> Iterator[str]:
    for prefix, values in FAMILIES.items():
        yield from (prefix + value for value in values)


def reasons() -> Iterator[str]:
    """Yield the reasons that a gateway's plausibility check and the server's quarantine may give."""
    tree = ast.parse(Path(plausibility.__file__).read_text(encoding="utf-8"))
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            given = getattr(node, "elts", []) if isinstance(node, ast.List | ast.Tuple) else []
            if isinstance(node, ast.Call) and name_of(node) == "append":
                given = node.args
            elif isinstance(node, ast.Return):
                given = [node.value]
            yield from (text for part in given for text in texts(part))
    yield from (*plausibility.FAULTS, *plausibility.DOUBTS)
    yield from ("no_visit", "meter_not_enrolled", "visit_elsewhere", "visit_not_open", "time_unknown", "outside_window")
    yield from ("visit_at_other_corner", "visit_of_another")


NOT_REASONS = {"systolic_mmhg", "diastolic_mmhg", "pulse_rate"}  # the fields it reads
WEB = [path for path in PYTHON if path.name == "web.py" or path.parent.name in ("desks", "web")]
SAME_EVERYWHERE = {(name,) for name in i18n.LANGUAGES.values()}
SENTENCES = {
    **{sentence: path for path in WEB for sentence in sentences_of_python(path)},
    **{sentence: path for path in TEMPLATES for sentence in sentences_of_template(path)},
}
RAISED = {code: path for path in PYTHON for code in codes_of_python(path)}
CODES = {
    **dict.fromkeys((*body.CODES.values(), *errors.HTTP_CODES.values(), "server_error", "csrf_expired"), ROOT),
    **dict.fromkeys((reason for reason in reasons() if reason not in NOT_REASONS), ROOT),
    **dict.fromkeys(codes_of_families(), ROOT),
    **{code: path for path in TEMPLATES for code in codes_of_template(path)},
    **RAISED,
}


def where(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path != ROOT else "a table"


@pytest.mark.parametrize("language", ["ru", "be"])
def test_every_word_of_every_page_is_translated(language: str) -> None:
    missing = [f"{where(path)}: {forms[0]}" for forms, path in SENTENCES.items() if not is_said(language, forms)]

    assert missing == []


def is_said(language: str, forms: tuple[str, ...]) -> bool:
    known = i18n.catalogue(language)
    said = known.ngettext(forms[0], forms[1], 5) if len(forms) == 2 else known.gettext(forms[0])
    return said not in forms or forms in SAME_EVERYWHERE


@pytest.mark.parametrize("language", sorted(i18n.LANGUAGES))
def test_no_catalogue_keeps_a_sentence_that_nothing_says(language: str) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (*TEMPLATES, *PYTHON)).replace("\\", "")
    kept = {str(key[0] if isinstance(key, tuple) else key) for key in i18n.catalogue(language)._catalog}  # type: ignore[attr-defined]

    unsaid = [text for text in kept if not text.startswith("code:") and text not in source and (text,) not in SENTENCES]
    assert sorted(unsaid) == []


@pytest.mark.parametrize("language", sorted(i18n.LANGUAGES))
def test_every_code_has_a_sentence(language: str) -> None:
    known = i18n.catalogue(language)
    missing = [
        f"{where(path)}: {code}" for code, path in CODES.items() if known.gettext(f"code:{code}") == f"code:{code}"
    ]

    assert missing == []


def test_every_family_of_codes_in_a_template_is_known() -> None:
    known = {str(code) for code in i18n.catalogue("en")._catalog}  # type: ignore[attr-defined]
    prefixes = {
        str(call.args[0].nodes[0].value if isinstance(call.args[0], nodes.Concat) else "")
        for path in TEMPLATES
        for call in ENVIRONMENT.parse(path.read_text(encoding="utf-8")).find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name == "code_text" and call.args
    }

    assert {prefix for prefix in prefixes if not any(code.startswith(f"code:{prefix}") for code in known)} == set()


def test_the_sweep_finds_words_codes_and_reasons() -> None:
    """The premise of the others: what they look for is really collected."""
    assert ("Upper pressure",) in SENTENCES
    assert ("The case is in the queue again.",) in SENTENCES
    assert ("waiting %(n)s minute", "waiting %(n)s minutes") in SENTENCES
    assert {"case_taken", "note_changed", "unusual_pressure", "glucose_hi", "upper_below_lower"} <= set(CODES)
    assert {"pressure_hi", "pressure_lo", "no_pressure"} <= set(CODES)


def test_one_sentence_has_one_translation() -> None:
    """Slices' catalogues become one: the last would silently win."""
    said: dict[tuple[str, str], dict[str, str]] = {}
    for path in sorted((ROOT / "telemed").glob("*/locale/*.po")):
        with path.open("rb") as file:
            for message in read_po(file):
                if message.id and message.string:
                    key = i18n.in_context(message.context or "", str(message.id))
                    said.setdefault((path.stem, key), {})[str(message.string)] = where(path)

    twice = {key: found for key, found in said.items() if len(found) > 1 and key[1].rpartition("\x04")[2] not in SAID_TWICE}
    assert twice == {}


@pytest.mark.parametrize(
    ("thing", "sentence", "russian", "alone"),
    [
        ("cuff", "Large", "Большая", "Крупный"),
        ("encryption", "Keys", "Ключи шифрования", "Клавиши"),
        ("case", "Hand over", "Передать", "Вручить"),
        ("note", "Complaint", "Жалобы", "Жалоба"),
        ("talk", "Call", "Разговор", "Позвоните:"),
    ],
)
def test_one_english_word_for_two_things_is_two_words_in_russian(
    thing: str, sentence: str, russian: str, alone: str
) -> None:
    assert i18n.text("ru", i18n.in_context(thing, sentence)) == russian
    assert i18n.text("ru", sentence) == alone
    assert i18n.text("en", i18n.in_context(thing, sentence)) == sentence


@pytest.mark.parametrize("language", sorted(i18n.LANGUAGES))
def test_translations_keep_their_places_for_values(language: str) -> None:
    """A lost `%(days)s` would break the page that fills it in."""
    lost = []
    for path in sorted((ROOT / "telemed").glob(f"*/locale/{language}.po")):
        with path.open("rb") as file:
            for message in read_po(file):
                said = message.string if isinstance(message.string, str) else " ".join(message.string)
                english = message.id if isinstance(message.id, str) else " ".join(message.id)
                if english and said and not english.startswith("code:"):
                    lost += [english] if set(PLACE.findall(english)) != set(PLACE.findall(said)) else []

    assert lost == []


@pytest.mark.parametrize("language", sorted(i18n.LANGUAGES))
def test_an_advice_names_the_button_as_it_stands_on_the_page(language: str) -> None:
    known = i18n.catalogue(language)
    button = known.gettext("Pair again")
    advice = ("now_lost_bond", "enrol_passkey_wrong", "light_pair_again_advice", "simulated_lost_bond_then")

    assert known.gettext("code:do_pair") == button
    assert [code for code in advice if button not in known.gettext(f"code:{code}")] == []
