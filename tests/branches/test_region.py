"""The region's regime: what the post may carry is a fact of law that a named person states, with the act."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from telemed.branches import service
from telemed.branches.models import Region
from telemed.errors import Forbidden, Invalid
from telemed.ids import new_id
from telemed.services import Services
from tests import cast

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


def test_a_new_region_lets_the_post_carry_no_prescription_medicine(services: Services) -> None:
    region_id = new_id()
    with services.db.write() as tx:
        tx.add(Region(id=region_id, name="Новый край", zone="Europe/Minsk"))

    with services.db.read() as tx:
        assert tx.get_one(Region, region_id).rx_by_post is False


def test_a_coordinator_states_it_for_the_own_region_with_the_act(services: Services) -> None:
    service.set_regime(services, cast.GALINA.who, rx_by_post=False, basis="")
    with services.db.read() as tx:
        assert service.rx_by_post(tx, cast.OZERKI) is False
        assert service.rx_by_post(tx, cast.RECHNOYE) is True, "another region is untouched"
    with pytest.raises(Invalid):
        service.set_regime(services, cast.GALINA.who, rx_by_post=True, basis="  ")
    with pytest.raises(Forbidden):
        service.set_regime(services, cast.ANNA.who, rx_by_post=True, basis="292")

    service.set_regime(services, cast.GALINA.who, rx_by_post=True, basis="Постановление 292 от 22.02.2023")
    with services.db.read() as tx:
        assert service.rx_by_post(tx, cast.OZERKI) is True


def test_the_page_keeps_the_words_of_a_refused_form(sign_in: SignIn) -> None:
    galina = sign_in(cast.GALINA)
    refused = galina.post("/region", data={"rx_by_post": "yes", "basis": "9" * 301})
    stored = galina.post("/region", data={"rx_by_post": "no", "basis": ""})

    assert refused.status_code == 422
    assert "9" * 301 in refused.get_data(as_text=True)
    assert stored.status_code == 302
