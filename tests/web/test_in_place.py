"""A form sent from the middle of a page: where it leads is told, and what is said there is said once."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from flask.testing import FlaskClient

from tests import cast
from tests.consultation.conftest import case, queue_up  # noqa: F401 - fixtures

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
HERE = {"X-In-Place": "yes", "Accept": "text/html"}


def test_a_form_sent_in_place_is_told_where_it_leads_and_the_words_wait_there(sign_in: SignIn, case: UUID) -> None:  # noqa: F811
    vera, place = sign_in(cast.VERA), f"/doctor/cases/{case}"
    end = {"outcome": "treated"}

    told = vera.post(f"/consultations/{case}/end", data=end, headers=HERE)
    assert told.status_code == 200
    assert told.get_json() == {"location": f"{place}#note-assessment"}
    assert "Location" not in told.headers
    first, second = (vera.get(place, headers=HERE).text for _ in range(2))
    assert ('class="notice warn"' in first, 'class="notice warn"' in second) == (True, False)


def test_the_same_form_leads_there_without_scripts(sign_in: SignIn, case: UUID) -> None:  # noqa: F811
    answer = sign_in(cast.VERA).post(f"/consultations/{case}/end", data={"outcome": "treated"})

    assert (answer.status_code, answer.location) == (302, f"/doctor/cases/{case}#note-assessment")
