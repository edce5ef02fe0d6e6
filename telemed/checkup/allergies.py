"""What is known of a patient's allergies, out of what was said at every visit. Pure.

Three things never look alike: a named allergy, "none" and not known. What was named once stays named until a doctor
knows better: a later empty field, or a later "none", takes nothing away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

# The whole answer says that there is none; "none but penicillin" is more than that and names one.
NONE = frozenset(
    line.strip()
    for line in """
нет | нету | не | ничего | отсутствует | отсутствуют | отрицает | не отмечает | не было | не бывает | никакой | никаких
нет никаких | нет аллергии | нет аллергий | аллергии нет | аллергий нет | на лекарства нет | аллергии не было | не имеет
не имеется | няма | нічога | адсутнічае | адмаўляе | не мае | няма алергіі | алергіі няма | няма алергій | алергій няма
none | no | nil | nothing | no allergies | no allergy | no known allergies | no known drug allergies | nka | nkda | n/a
0 | - | – | —
""".replace("|", "\n").splitlines()
    if line.strip()
)
UNKNOWN = frozenset(
    line.strip()
    for line in """
не знаю | не знает | неизвестно | не известно | не помнит | не помню | затрудняется | затрудняется ответить
не ведаю | не ведае | невядома | не памятае | не памятаю
unknown | not known | does not know | don't know | do not know | unsure | ?
""".replace("|", "\n").splitlines()
    if line.strip()
)


@dataclass(frozen=True)
class Said:
    """An answer about allergies, as it was written down at a visit."""

    text: str
    at: datetime


@dataclass(frozen=True)
class Allergies:
    """`state`: named, none or unknown. `named`: each named answer once, the newest first. `denied_at`: when the patient
    said "none" last, also where an earlier visit named one.
    """

    state: str
    named: tuple[Said, ...] = ()
    denied_at: datetime | None = None


def kind_of(text: str) -> str:
    """Return what one answer says: named, none or unknown."""
    plain = re.sub(r"\s+", " ", text.replace("’", "'").strip().lower().replace("ё", "е")).strip(" .,!;")
    if not plain or plain in UNKNOWN:
        return "none" if text.strip() in ("-", "–", "—") else "unknown"
    return "none" if plain in NONE else "named"


def known_allergies(answers: Iterable[Said]) -> Allergies:
    """Return what all answers together say, in whatever order they come."""
    newest_first = sorted(answers, key=lambda said: said.at, reverse=True)
    named: dict[str, Said] = {}
    for said in newest_first:
        if kind_of(said.text) == "named":
            named.setdefault(" ".join(said.text.lower().split()).strip(" .,;"), Said(said.text.strip(), said.at))
    denied_at = next((said.at for said in newest_first if kind_of(said.text) == "none"), None)
    state = "named" if named else "none" if denied_at else "unknown"
    return Allergies(state, tuple(named.values()), denied_at)
