"""The gateway's one light in words for whoever stands before the branch PC: what is wrong, since when, what to do.

What breaks the line cannot be told over the line, so `python -m devices status` and a small page beside the journal say
it on this computer, in Russian, Belarusian and English.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from devices import wire

JSON_FILE, PAGE_FILE = "status.json", "status.html"
SHOWN_AGAIN = timedelta(seconds=60)  # so that one can see that the light is still alight
STALE_AFTER = timedelta(minutes=3)
LANGUAGES = ("ru", "be", "en")
# What a heartbeat can carry, and what only this computer can know; tests/contract/gateway-status.json.
HEARD = ("ok", "no_radio", "radio_off", "disk_full", "chain_broken", "server_refuses", "clock_wrong", "pair_again")
UNHEARD = (
    "offline", "server_error", "line_not_trusted", "line_hijacked", "gateway_unknown", "gateway_revoked", "signature_wrong",
)  # fmt: skip
# What is no state of the line: it is found here, or told of each meter.
NOT_AT_WORK = ("not_joined", "not_running", "hangs", "meters_unread")
Words = tuple[str, str, str]

WHAT: dict[str, Words] = {
    "ok": (
        "Программа приборов работает, связь есть.",
        "Праграма прыбораў працуе, сувязь ёсць.",
        "The meters' program works and the line is up.",
    ),
    "meters_unread": (
        "Один из приборов не передаёт результаты.",
        "Адзін з прыбораў не перадае вынікі.",
        "The results of a meter do not come.",
    ),
    "no_radio": ("Нет радиосвязи с приборами.", "Няма радыёсувязі з прыборамі.", "There is no radio to the meters."),
    "radio_off": ("Bluetooth выключен.", "Bluetooth выключаны.", "Bluetooth is switched off."),
    "disk_full": ("Диск этого компьютера полон.", "Дыск гэтага камп'ютара поўны.", "This computer's disk is full."),
    "chain_broken": (
        "Другой компьютер посылает данные под именем этого.",
        "Іншы камп'ютар пасылае даныя пад імем гэтага.",
        "Another computer sends under the name of this one.",
    ),
    "server_refuses": (
        "Сервер не принимает измерения.", "Сервер не прымае вымярэнні.", "The server does not accept the readings.",
    ),
    "clock_wrong": ("Часы компьютера врут.", "Гадзіннік камп'ютара памыляецца.", "This computer's clock is wrong."),
    "pair_again": (
        "Прибор забыл это отделение.", "Прыбор забыў гэта аддзяленне.", "A meter has forgotten this branch.",
    ),
    "offline": ("Нет связи с сервером.", "Няма сувязі з серверам.", "The server cannot be reached."),
    "server_error": (
        "Сервер отвечает ошибкой.", "Сервер адказвае памылкай.", "The server answers with an error.",
    ),
    "line_not_trusted": (
        "Кто-то в сети выдаёт себя за сервер: сертификат чужой.",
        "Нехта ў сетцы выдае сябе за сервер: сертыфікат чужы.",
        "Somebody on the line pretends to be the server: its certificate is not the server's.",
    ),
    "line_hijacked": (
        "Вместо сервера отвечает чужая страница, например вход в сеть.",
        "Замест сервера адказвае чужая старонка, напрыклад уваход у сетку.",
        "A strange page answers in place of the server, for example a network's log-in page.",
    ),
    "gateway_unknown": (
        "Сервер не знает этот компьютер.", "Сервер не ведае гэты камп'ютар.", "The server does not know this computer.",
    ),
    "gateway_revoked": (
        "Этот компьютер отключён от отделения.",
        "Гэты камп'ютар адключаны ад аддзялення.",
        "This computer was shut out of the branch.",
    ),
    "signature_wrong": (
        "Сервер не узнаёт подпись этого компьютера.",
        "Сервер не пазнае подпіс гэтага камп'ютара.",
        "The server does not accept this computer's signature.",
    ),
    "not_joined": (
        "Этот компьютер ещё не подключён к отделению.",
        "Гэты камп'ютар яшчэ не падключаны да аддзялення.",
        "This computer has joined no branch yet.",
    ),
    "not_running": (
        "Программа приборов не запущена.", "Праграма прыбораў не запушчана.", "The meters' program is not running.",
    ),
    "hangs": (
        "Программа приборов не отвечает.", "Праграма прыбораў не адказвае.", "The meters' program does not answer.",
    ),
}  # fmt: skip
_LINE: Words = (
    "Проверьте кабель и сеть. Измерения не теряются: они уйдут сами.",
    "Праверце кабель і сетку. Вымярэнні не губляюцца: яны пойдуць самі.",
    "Check the cable and the network. No measurement is lost: they go by themselves.",
)
_WAIT: Words = (
    "Измерения не теряются: они уйдут сами. Если через час не пройдёт, позвоните в поддержку.",
    "Вымярэнні не губляюцца: яны пойдуць самі. Калі праз гадзіну не пройдзе, патэлефануйце ў падтрымку.",
    "No measurement is lost: they go by themselves. If it lasts an hour, ring the help line.",
)
_STRANGE: Words = (
    "Ничего не вводите на чужой странице. Позвоните тому, кто ведёт сеть. Измерения не теряются.",
    "Нічога не ўводзьце на чужой старонцы. Патэлефануйце таму, хто вядзе сетку. Вымярэнні не губляюцца.",
    "Type nothing into a strange page. Ring whoever looks after the network. No measurement is lost.",
)
_JOIN: Words = (
    "Возьмите новый код на странице «Отделение» и подключите компьютер.",
    "Вазьміце новы код на старонцы «Аддзяленне» і падключыце камп'ютар.",
    "Take a new code from the page \"Branch\" and join this computer.",
)
_HELP: Words = (
    "Позвоните в поддержку и прочтите эту строку.",
    "Патэлефануйце ў падтрымку і прачытайце гэты радок.",
    "Ring the help line and read this line out.",
)
_RESTART: Words = ("Перезапустите компьютер.", "Перазапусціце камп'ютар.", "Restart this computer.")
DO: dict[str, Words] = {
    "meters_unread": (
        "Посмотрите на странице «Отделение», какой, и включите его рядом с компьютером.",
        "Паглядзіце на старонцы «Аддзяленне», які, і ўключыце яго побач з камп'ютарам.",
        "See on the page \"Branch\" which one, and switch it on beside the PC.",
    ),
    "ok": ("Делать ничего не нужно.", "Рабіць нічога не трэба.", "Nothing needs to be done."),
    "no_radio": (
        "Проверьте, вставлен ли адаптер Bluetooth.",
        "Праверце, ці ўстаўлены адаптар Bluetooth.",
        "See whether the Bluetooth adapter is plugged in.",
    ),
    "radio_off": (
        "Включите Bluetooth на этом компьютере.",
        "Уключыце Bluetooth на гэтым камп'ютары.",
        "Switch Bluetooth on at this computer.",
    ),
    "disk_full": (
        "Освободите место; до этого не измеряйте.",
        "Вызваліце месца; да гэтага не вымярайце.",
        "Make room on the disk; do not measure until then.",
    ),
    "clock_wrong": ("Поставьте верное время.", "Пастаўце правільны час.", "Set the right time."),
    "pair_again": (
        "На странице «Отделение» нажмите у прибора «Сопрячь заново».",
        "На старонцы «Аддзяленне» націсніце ля прыбора «Спалучыць нанова».",
        "On the page \"Branch\" press \"Pair again\" beside the meter.",
    ),
    "chain_broken": _HELP, "server_refuses": _HELP, "signature_wrong": _HELP,
    "offline": _LINE, "server_error": _WAIT, "line_not_trusted": _STRANGE, "line_hijacked": _STRANGE,
    "gateway_unknown": _JOIN, "gateway_revoked": _JOIN, "not_joined": _JOIN,
    "not_running": _RESTART, "hangs": _RESTART,
}  # fmt: skip
SINCE: Words = ("С", "З", "Since")
WAITING: Words = ("Ждут отправки", "Чакаюць адпраўкі", "Waiting to be sent")
SEEN: Words = ("Состояние на", "Стан на", "As of")
STALE: Words = (
    "Если это время прошло больше трёх минут назад, программа не работает: перезапустите компьютер.",
    "Калі гэты час мінуў больш за тры хвіліны таму, праграма не працуе: перазапусціце камп'ютар.",
    "If that is more than three minutes ago, the program does not run: restart this computer.",
)


@dataclass(frozen=True)
class Light:
    """What the gateway shows on its own computer."""

    status: str
    waiting: int = 0
    since: datetime | None = None
    at: datetime | None = None

    def as_json(self) -> dict[str, object]:
        """Return the light as it stands in status.json."""
        return {
            "status": self.status, "waiting": self.waiting,
            "since": wire.iso(self.since) if self.since else None, "at": wire.iso(self.at) if self.at else None,
        }  # fmt: skip


def known(status: str) -> str:
    """Return the status itself, or that the server refuses: it may name reasons that an older gateway does not know."""
    return status if status in WHAT else "server_refuses"


def read_light(folder: Path, now: datetime, is_alive: Callable[[int], bool]) -> Light:
    """Return what the gateway of this folder shows, or that there is none at work."""
    if not (folder / "identity.json").exists():
        return Light("not_joined")
    run, shown = _document(folder / "run.json"), _document(folder / JSON_FILE)
    pid = run.get("pid")
    waiting = shown.get("waiting")
    count = waiting if isinstance(waiting, int) else 0
    at, since = _moment(shown.get("at")), _moment(shown.get("since"))
    if not isinstance(pid, int) or not is_alive(pid):
        return Light("not_running", count, at, at)
    if at is None or now - at > STALE_AFTER:
        return Light("hangs", count, at, at)
    return Light(known(str(shown.get("status"))), count, since, at)


def _document(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _moment(text: object) -> datetime | None:
    try:
        return wire.parse_iso(text) if isinstance(text, str) else None
    except wire.WireError:
        return None


def sentences(light: Light, language: str, zone: tzinfo) -> list[str]:
    """Return what is wrong, since when, what to do and what waits, one line each."""
    number = LANGUAGES.index(language)
    lines = [WHAT[light.status][number]]
    if light.since is not None and light.status != "ok":
        lines.append(f"{SINCE[number]} {_local(light.since, zone)}.")
    lines.append(DO[light.status][number])
    if light.waiting:
        lines.append(f"{WAITING[number]}: {light.waiting}.")
    return lines


def page(light: Light, zone: tzinfo) -> str:
    """Return a page that a clerk opens on the branch PC; it renews itself and needs no server."""
    parts = []
    for number, language in enumerate(LANGUAGES):
        what, *rest = (html.escape(line) for line in sentences(light, language, zone))
        seen = f"{SEEN[number]} {_local(light.at, zone)}. {STALE[number]}" if light.at else ""
        told = "".join(f"<p>{line}</p>" for line in rest)
        parts.append(f'<section lang="{language}"><h1>{what}</h1>{told}<p><small>{html.escape(seen)}</small></p></section>')
    return (
        '<!doctype html><html lang="ru"><meta charset="utf-8"><meta http-equiv="refresh" content="20">'
        '<meta name="viewport" content="width=device-width"><title>Telemed</title>'
        "<style>body{font:20px sans-serif;max-width:40em;margin:1em auto;padding:0 1em}"
        f"h1{{font-size:1.4em;margin:1em 0 .3em}}p{{margin:.3em 0}}</style>{''.join(parts)}</html>"
    )


def _local(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).strftime("%d.%m.%Y %H:%M")


def language_of(environment_language: str) -> str:
    """Return the language of a LANG such as ru_RU.UTF-8; English for one that we do not speak."""
    return next((language for language in LANGUAGES if environment_language.startswith(language)), "en")
