"""One normal form for names: what looks the same is the same, for the check, the record and the index."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemed.rules_spelling import APOSTROPHES, DASHES, has_two_alphabets, name_key, tidy_name, tidy_names

SAME = [
    ("Мар'яна", [f"Мар{sign}яна" for sign in APOSTROPHES] + ["Мар ' яна", "Мар\u00ad'яна"]),
    ("Римская-Корсакова", [f"Римская{sign}Корсакова" for sign in DASHES] + ["Римская - Корсакова", "Римская--Корсакова"]),
    ("Дмитрий", [unicodedata.normalize("NFD", "Дмитрий"), "Дмитрий\u200b", "Дми\u0301трий", " Дмитрий\ufeff "]),
    ("Анна Мария", ["Анна\u00a0Мария", "Анна  Мария", "Анна\u202fМария", "Анна\tМария", "Анна\u3000Мария\n"]),
    ("Каўка", [unicodedata.normalize("NFD", "Каўка")]),
    ("Иванов", ["Ивaнoв", "ИвaнoB".replace("B", "в"), "\u0418ванов"]),
    ("ИВАНОВ", ["ИBAHOB", "ИВAНОB"]),
    ("Семёнова", ["Ceмёнова", "Семëнова", "Cемeнова".replace("e", "ё")]),
    ("Игорь", ["Игopь", "Игорb"]),
    ("Anna", ["Аnnа", "Ann\u0430"]),
    ("Philip", ["\u0420hilip", "Phil\u0456p"]),
]  # fmt: skip


@pytest.mark.parametrize(("right", "typed"), [(right, typed) for right, ways in SAME for typed in ways])
def test_what_looks_the_same_is_the_same(right: str, typed: str) -> None:
    assert tidy_name(typed) == right
    assert name_key(typed) == name_key(right)


def test_the_parts_of_a_name_tell_whose_letters_a_short_word_has() -> None:
    assert tidy_names(("Иванова", "Capa", "")) == ("Иванова", "\u0421\u0430\u0440\u0430", "")
    assert tidy_names(("Cox", "Anna")) == ("Cox", "Anna")
    assert tidy_names(("\u0421\u043e\u0445", "Anna")) == ("Cox", "Anna")
    assert tidy_name("Capa") == "Capa"


def test_case_and_the_dots_of_yo_tell_nobody_apart() -> None:
    assert name_key("ЁЛКИНА Мария") == name_key("елкина  мария") == name_key("Eлкина Mария")


@pytest.mark.parametrize(
    ("one", "other"),
    [("Марьяна", "Мар'яна"), ("Иванова", "Иванов"), ("Ивана", "Иванна"), ("Анна-Мария", "Анна Мария"), ("Нина", "Инна")],
)
def test_other_names_stay_other_names(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


def test_sure_letters_of_both_alphabets_stay_and_are_seen() -> None:
    assert tidy_name("Ивандs") == "Ивандѕ"
    assert has_two_alphabets(tidy_name("Иvан"))
    assert not has_two_alphabets("Иванов Cox")


@given(st.text(st.sampled_from("аАaвВсСё'’ʼ-– iІjNn\u0300\u0301\u0306\u0308иИ\u00a0\u00ad"), max_size=12))
def test_the_normal_form_is_its_own_normal_form(text: str) -> None:
    assert tidy_name(tidy_name(text)) == tidy_name(text)
    assert name_key(tidy_name(text)) == name_key(text)
