"""The post of one database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from telemed.services import Services
from tests.delivery.made import Post
from tests.make import Hands


@pytest.fixture
def post(services: Services, hands: Hands, jobs: Callable[[], int]) -> Post:
    return Post(services, hands, jobs)
