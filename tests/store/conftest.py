"""The registries that conditions are asked of: one on SQLite, and one on PostgreSQL where it is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hard_people import APP, settle
from support.postgres import find_postgres
from support.registries import Registry, postgres_registry, recipients, sqlite_registry

from scheduler.domain.runs import Recipient

PROGRAMS = find_postgres()
# One worker of pytest-xdist starts the server, for all tests that want it.
_POSTGRESQL = pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.xdist_group("postgresql")])


@pytest.fixture(scope="session", params=["sqlite"] if PROGRAMS is None else ["sqlite", _POSTGRESQL])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry on each database, with nobody in it but the hard people."""
    if request.param == "sqlite" or PROGRAMS is None:
        opened = sqlite_registry(tmp_path_factory.mktemp("registry"))
    else:
        opened = postgres_registry(PROGRAMS)
    with opened as registry:
        with registry.write() as tx:
            settle(tx)
        yield registry


@pytest.fixture(scope="session")
def hard_people(registry: Registry) -> list[Recipient]:
    """The hard people, as conditions read them."""
    with registry.trial() as tx:
        return recipients(tx, APP)
