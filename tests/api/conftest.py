from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from api_store_intake import NOW, StoreIntake

from scheduler.api.app import make_app
from scheduler.runs.keys import create_key
from scheduler.store.api_keys import Scope
from scheduler.store.database import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'clarion.db'}")
    yield store
    store.close()


@pytest.fixture
def intake(store: Store) -> StoreIntake:
    return StoreIntake(store)


@pytest.fixture
def key(store: Store) -> str:
    return create_key(store, "tests", [Scope.DEVICES_WRITE, Scope.EVENTS_WRITE], NOW).secret


@pytest.fixture
async def client(intake: StoreIntake, key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key, in front of the app, without a socket."""
    transport = httpx.ASGITransport(make_app(intake), raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://clarion", headers=headers) as client:
        yield client
