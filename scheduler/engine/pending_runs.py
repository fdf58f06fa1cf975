"""Runs that wait to begin, a page of each app and lane."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

import trio

from scheduler.domain.lanes import Lane
from scheduler.domain.runs import Run, RunState
from scheduler.store import runs as run_rows
from scheduler.store import stops as stop_rows
from scheduler.store.database import Store

_PAGE = 1_000


@dataclass(slots=True)
class _Pending:
    """The oldest first. `complete`: there are no more in the store."""

    runs: deque[Run] = field(default_factory=deque)
    complete: bool = False


class PendingRuns:
    """What was read of them. In the Trio thread alone."""

    def __init__(self, store: Store, apps: Collection[str]) -> None:
        self._store = store
        self._apps = apps
        self._pages: dict[tuple[str, Lane], _Pending] = {}

    def look_again(self) -> None:
        """The store may have new ones."""
        self._pages.clear()

    def may_be_any(self, given_up: Collection[str] = ()) -> bool:
        """Whether there are any but in these apps, or nobody has looked since something changed."""
        unseen = len(self._pages) < len(self._apps) * len(Lane)
        looked_at = [page for (app, _), page in self._pages.items() if app not in given_up]
        return unseen or any(page.runs or not page.complete for page in looked_at)

    async def of(self, app: str, lane: Lane) -> deque[Run]:
        """The oldest pending runs of an app and lane, for the caller to take from the left."""
        page = self._pages.setdefault((app, lane), _Pending())
        if not page.runs and not page.complete:
            page.runs.extend(await trio.to_thread.run_sync(self._read, app, lane))
            page.complete = len(page.runs) < _PAGE
        return page.runs

    def _read(self, app: str, lane: Lane) -> list[Run]:
        with self._store.read() as tx:
            stops = stop_rows.read(tx)
            return run_rows.open_runs(tx, RunState.PENDING, app=app, lane=lane, stops=stops, limit=_PAGE)
