"""How many pieces a day a line of directions asks for, and whether the packs fit that and the days. Pure.

Directions are free words in three languages. What is not understood for certain is None and never a guess: then the
packs and days are judged alone, and a controlled medicine is not signed at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from telemed.prescription.rules import Medicine

PIECES = ("tablet", "prolonged_tablet", "chewable_tablet", "capsule", "powder")  # forms that are counted one by one
LEAST_A_DAY, MOST_A_DAY = 1 / 7, 12.0  # one a week; where directions give no number, more than a dozen is a slip
NUMBERS: Mapping[str, float] = {
    word: number
    for number, words in {
        0.25: "четверть чвэрць quarter четвертинка",
        0.5: "половина половину половинка половинку пол полтаблетки палова палову паловы паўтаблеткі половине half",
        1: "один одна одно одну одной одного адзін адна адно адну адной one a",
        1.5: "полтора полторы паўтара паўтары",
        2: "два две двух двум дзве дзвюх two",
        3: "три трёх трех тры трох three",
        4: "четыре четырёх четырех чатыры чатырох four",
        5: "пять пяти пяць five",
        6: "шесть шести шэсць six",
        7: "семь семи сем seven",
        8: "восемь восьми восем eight",
        9: "девять девяти дзевяць nine",
        10: "десять десяти дзесяць ten",
        12: "двенадцать дванаццаць twelve",
        15: "пятнадцать пятнаццаць fifteen",
        20: "двадцать дваццаць twenty",
        30: "тридцать трыццаць thirty",
    }.items()
    for word in words.split()
}
TIMES: Mapping[str, float] = {
    "однократно": 1, "единожды": 1, "аднаразова": 1, "дважды": 2, "двукратно": 2, "двойчы": 2, "трижды": 3,
    "трехкратно": 3, "тройчы": 3, "once": 1, "twice": 2, "thrice": 3, "qd": 1, "bid": 2, "tid": 3, "qid": 4,
}  # fmt: skip
# Words for one taking; those of one line are the same hour of the day.
PARTS_OF_DAY: Mapping[str, str] = {
    word: hour
    for hour, words in {
        "morning": "утром утрам утра утро завтрак завтрака завтраком завтраку раніцай раніцы ранкам раніцу сняданак"
        " снядання сняданкам morning breakfast am",
        "noon": "днем удзень ўдзень обед обеда обедом обеду абед абеду абедам noon midday afternoon lunch dinner",
        "evening": "вечером вечерам вечера вечер ужин ужина ужином ужину вечарам увечары ўвечары вячэра вячэры вячэрай"
        " evening supper pm",
        "night": "ночь ночью сном сна сну ноч ноччу ўначы night bedtime bed hs",
    }.items()
    for word in words.split()
}
AND = frozenset({"и", "і", "ды", "and", "or", "или", "або", ",", ";", "+"})
# After these another dose begins, or the dose is left open: no one number holds for all the days.
CHANGES = re.compile(
    r"\b(?:затем|потом|далее|после чего|впоследствии|перв\w+ (?:\S+ )?(?:дн|недел)|схем\w*|затым|потым|пасля чаго"
    r"|перш\w+ (?:\S+ )?(?:дн|дзён|тыд)|then|after that|first (?:\S+ )?(?:day|week)|scheme|taper)"
)
AS_NEEDED = re.compile(
    r"при (?:бол|необходим|потребн|приступ|температур|жар)|по (?:потребн|необходим)|пры (?:бол|неабходн|патрэб)"
    r"|па (?:патрэб|неабходн)|(?:as|if|when) needed|for pain|if (?:it hurts|in pain)"
)
AT_MOST = re.compile(
    r"\bдо (?=\d+ раз)|\bда (?=\d+ раз)|не (?:более|больше|чаще|свыше)|максимум|макс\b|не больш|не часцей"
    r"|at most|no more than|up to|max"
)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
RANGE = re.compile(r"(?<![\d./])(\d+(?:\.\d+)?)\s*(?:-|–|—|или|або|or|to)\s*(\d+(?:\.\d+)?)(?![\d./-])")
SCHEME = re.compile(
    r"(?<![\d.-])(\d(?:\.\d)?)\s*[-–—]\s*(\d(?:\.\d)?)\s*[-–—]\s*(\d(?:\.\d)?)(?:\s*[-–—]\s*(\d(?:\.\d)?))?(?![\d.-])"
)
CLOCK = re.compile(r"(?<!\d)(?:[01]?\d|2[0-3])[:.][0-5]\d(?!\d)")
A_DAY = re.compile(
    r"(?:\b(?:в|у|за|на|per|a|each|every)\s*|/\s*)(?:день|дня|дзень|сут\w*|day|д\b)"
    r"|ежедн\w*|каждый день|штодзень|штодня|кожны дзень|daily|every day"
)
EVERY_HOURS = re.compile(r"(?:кажды[ея]|кожны[яе]|every|через|праз)\s+(\d+)\s*(?:час|ч\b|гадзін|hours?|h\b)")
EVERY_DAYS = re.compile(
    r"(?:(?<![\w.])1\s+)?(?:раза?|кажды[ея]|кожны[яе]|once|every|через|праз)\s+(?:в\s+|у\s+|in\s+)?"
    r"(\d+)\s*(?:дн\w*|дзён|дзень|days?)\b"
)
EVERY_OTHER = re.compile(r"через день|праз дзень|every other day|каждый второй день|кожны другі дзень")
A_WEEK = re.compile(r"(?:в|у|на|a|per|each|every)\s+(?:недел\w*|тыд\w*|week)|weekly|еженедельно|штотыдзень")
TIMES_A = re.compile(
    r"(?<![\w.])(\d+(?:\.\d+)?)\s*-?(?:[хx]\s*)?(?:раза?|разы|разоў|times?|р\b\.?|х\b|x\b)"
)
DAYS_LONG = re.compile(
    r"(?<!кажды[ея] )(?<!кожны[яе] )(?<!every )(?<!через )(?<!праз )(?<!\bв )(?<!\bу )(?<!\bin )"
    r"(?<![\w.])(\d+)\s*(?:дней|дня|дни|дзён|дні|days)\b"
)
LASTS = re.compile(
    r"(?:в течени[ие]|курс\w*|на протяжении|на працягу|for|during)\s*:?\s*\d+\s*"
    r"(?:дн\w*|дзён|дня|суток|недел\w*|тыдн\w*|days?|weeks?)"
    r"|\d+\s*(?:дней|дня|дни|дзён|дні|days?|недел[ьияю]|тыдняў|weeks?)\b"
)
BEFORE_FOOD = re.compile(
    r"за\s+\d+(?:\s*-\s*\d+)?\s*(?:мин\w*|хв\w*|час\w*|гадзін\w*)"
    r"|(?:через|праз)\s+\d+(?:\s*-\s*\d+)?\s*(?:мин\w*|хв\w*|час\w*|гадзін\w*)\s+(?:после|пасля)"
    r"|\d+\s*(?:minutes?|min|hours?)\s+(?:before|after)"
)
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(мг|мкг|г|mg|mcg|g)\b")
NOT_PIECES = re.compile(r"\d\s*(?:мл|ml|капл|кропл|drops?|ед\b|единиц|адзін|units?|ме\b|iu\b|лож|лыж|spoon|вдох|puffs?)")
UNITS = {"мг": "mg", "мкг": "mcg", "г": "g"}


@dataclass(frozen=True)
class Dose:
    """Pieces a day: the fewest and the most that the directions allow."""

    least: float
    most: float


@dataclass(frozen=True)
class Sum:
    """What one line comes to. `pieces` are in the packs; `a_day` is what the directions say, None where they give no
    number; `lasts` is for how many whole days the pieces are enough; `fault` is the code of what does not fit.
    """

    pieces: int
    a_day: float | None
    lasts: int | None
    fault: str | None
    field: str | None


def sum_of(item: Mapping[str, Any], medicine: Medicine) -> Sum | None:
    """Return the arithmetic of a line, or None for a form that is not counted in pieces."""
    if medicine.form not in PIECES:
        return None
    pieces, days = item["quantity"] * medicine.pack, item["days"]
    if _says_other_days(str(item["directions"]), days):
        return Sum(pieces, None, None, "days_differ", "days")
    dose = dose_of(str(item["directions"]), medicine.strength)
    if dose is None:
        fault = _fault_without_dose(pieces / days, medicine)
        return Sum(pieces, None, None, fault, "directions" if fault else None)
    fault = _fault(dose, pieces, days, medicine.pack)
    return Sum(pieces, dose.most, int(pieces / dose.most + 1e-9), fault, "quantity" if fault else None)


def _says_other_days(directions: str, days: int) -> bool:
    text = _plain(directions)
    said = {int(found) for found in DAYS_LONG.findall(text)}
    return bool(said) and said != {days} and not CHANGES.search(text)


def _fault_without_dose(a_day: float, medicine: Medicine) -> str | None:
    if medicine.controlled or medicine.quantity_recorded:
        return "dose_needed"
    return None if LEAST_A_DAY <= a_day <= MOST_A_DAY else "dose_unclear"


def _fault(dose: Dose, pieces: int, days: int, pack: int) -> str | None:
    # "As needed" names no least: then the pieces must be enough for a day of pain, and one a week for all the days.
    least = dose.least * days or max(dose.most, days * LEAST_A_DAY)
    if pieces + 1e-9 < least:
        return "packs_too_few"
    return "packs_too_many" if pieces - pack >= ceil(dose.most * days - 1e-9) else None


def faults_of_sums(items: list[dict[str, Any]], known: Mapping[str, Medicine]) -> dict[str, str]:
    """Return a code per line whose packs, dose and days do not fit, keyed as a form's fields are."""
    faults = {}
    for line, item in enumerate(items, 1):
        medicine = known.get(item["code"])
        found = sum_of(item, medicine) if medicine else None
        if found and found.fault:
            faults[f"{found.field}-{line}"] = found.fault
    return faults


# --- directions ---------------------------------------------------------------------------------------------------


def dose_of(directions: str, strength: str = "") -> Dose | None:
    """Return how many pieces a day the directions ask for; None when that is not certain."""
    text = _plain(directions)
    if CHANGES.search(text):
        return None
    if scheme := SCHEME.search(text):
        total = sum(float(part) for part in scheme.groups() if part)
        return Dose(total, total) if total else None
    low, high = _a_day(_pick(text, 1), strength), _a_day(_pick(text, 2), strength)
    if low is None or high is None:
        return None
    low, high = min(low, high), max(low, high)
    return Dose(0 if AS_NEEDED.search(text) or AT_MOST.search(text) else low, high)


def _plain(directions: str) -> str:
    """Return the words in one writing: small letters, points in numbers, no fractions, numbers as figures."""
    text = directions.lower().replace("ё", "е").replace("\u00a0", " ").replace("½", " 0.5").replace("¼", " 0.25")
    text = re.sub(r"(\d),(\d)", r"\1.\2", re.sub(r"(?:№|n°)\s*\d+", " ", text))
    text = re.sub(r"(?<![\d/.])(\d+)\s+1\s*/\s*2(?![\d/])", r"\1.5", text)
    text = re.sub(r"(?<![\d/.])1\s*/\s*2(?![\d/])", "0.5", text)
    text = re.sub(r"(?<![\d/.])1\s*/\s*4(?![\d/])", "0.25", text)
    text = re.sub(r"(?<![\d/.])3\s*/\s*4(?![\d/])", "0.75", text)
    text = re.sub(r"\bполтаблетки\b|\bпол-таблетки\b|\bhalf a\b", " 0.5 таб ", text)
    return re.sub(r"[^\W\d_]+", lambda word: _figure(word[0]), text)


def _figure(word: str) -> str:
    if word in ("a", "сем", "пол") or word not in NUMBERS:  # "a day" is no number; "сем" and "пол" are words of their own
        return f"{TIMES[word]:g} раза" if word in TIMES else {"сем": "7", "пол": "0.5"}.get(word, word)
    return f"{NUMBERS[word]:g}"


def _pick(text: str, end: int) -> str:
    """Return the directions with the lower or the upper end of each "1-2"."""
    return RANGE.sub(lambda found: found[end], text)


def _a_day(text: str, strength: str) -> float | None:
    """Return the pieces a day of directions without ranges."""
    text, share = _take_days_between(text)
    text, every = _take_times(BEFORE_FOOD.sub(" ", LASTS.sub(" ", text)))
    amounts = _in_pieces(text, strength)
    if amounts is None:
        return None
    tokens = list(_tokens(amounts))
    numbers = [number for number, _hour in tokens if number is not None]
    if capped := _cap(amounts):
        return capped * share
    takings = _takings(tokens)
    if every is not None:
        return _by_times(every, takings, numbers, share)
    if takings:
        return sum(takings) * share
    says_when = A_DAY.search(text) is not None or share < 1
    return numbers[0] * share if len(numbers) == 1 and says_when else None


def _cap(text: str) -> float | None:
    """Return the number of "at most 4 a day"."""
    found = AT_MOST.search(text)
    rest = text[found.end() :] if found else ""
    number = NUMBER.search(rest)
    return float(number[0]) if number and A_DAY.search(rest) else None


def _by_times(every: float, takings: list[float], numbers: list[float], share: float) -> float | None:
    """Return the pieces of "2 tablets 3 times a day"; when hours are named too, there must be as many."""
    if len(set(numbers)) > 1 or (takings and not numbers and len(takings) != every):
        return None
    return (numbers[0] if numbers else 1.0) * every * share


def _take_days_between(text: str) -> tuple[str, float]:
    """Return the text without "every 3 days", "every other day" or "a week", and the share of days that is."""
    if found := EVERY_DAYS.search(text):
        days = int(found[1])
        return text.replace(found[0], " "), 1 / days if days else 1.0
    return text, 1 / 7 if A_WEEK.search(text) else 0.5 if EVERY_OTHER.search(text) else 1.0


def _take_times(text: str) -> tuple[str, float | None]:
    """Return the text without "3 times" or "every 8 hours", and how often that is a day (None when it is not said)."""
    if found := EVERY_HOURS.search(text):
        hours = int(found[1])
        return text.replace(found[0], " "), 24 / hours if hours else None
    if found := TIMES_A.search(text):
        return text.replace(found[0], " ", 1), float(found[1])
    if clocks := CLOCK.findall(text):
        return CLOCK.sub(" ", text), float(len(clocks))
    return text, None


def _in_pieces(text: str, strength: str) -> str | None:
    """Return the text with "20 mg" as pieces of the medicine's strength; None where the units do not fit."""
    size, _, unit = strength.partition(" ")
    if NOT_PIECES.search(text):
        return None
    if not AMOUNT.search(text):
        return text
    if {UNITS.get(found[1], found[1]) for found in AMOUNT.findall(text)} != {unit} or not NUMBER.fullmatch(size):
        return None
    if re.search(r"\d\s*(?:табл|таб\b|капс|tab|caps)", text):  # "1 tablet of 10 mg": the pieces are said already
        return AMOUNT.sub(" ", text)
    return AMOUNT.sub(lambda found: f"{float(found[1]) / float(size):g} таб", text)


def _takings(tokens: list[tuple[float | None, str]]) -> list[float]:
    """Return the pieces of each taking: its number stands before it ("1 in the morning and 2 in the evening"), or behind
    it where an hour begins the line ("morning 1, evening 2"; "morning and evening 2").
    """
    hours_first = bool(tokens) and tokens[0][0] is None
    if hours_first:
        tokens = tokens[::-1]
    takings, number = [], None
    for value, hour in tokens:
        if hour:
            takings.append(1.0 if number is None else number)
        else:
            number = value
    return takings


def _tokens(text: str) -> Iterator[tuple[float | None, str]]:
    """Yield the numbers, and the hours of the day: those side by side ("in the morning after breakfast") are one."""
    last, joined = "", False
    for word in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)|[^\W\d_]+|[,;+]", text):
        if NUMBER.fullmatch(word):
            yield float(word), ""
            last, joined = "", False
        elif hour := PARTS_OF_DAY.get(word):
            if hour != last and (joined or not last):
                yield None, hour
            last, joined = hour, False
        elif word in AND:
            joined = True
