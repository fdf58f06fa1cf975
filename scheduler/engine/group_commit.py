"""Group commit: what many callers bring while a transaction runs shares the next one, and each is told when it is on
disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import trio

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    """Items of one caller, and what became of them."""

    items: Sequence[Item]
    done: trio.Event = field(default_factory=trio.Event)
    results: Sequence[Result] = ()
    problem: Exception | None = None


class GroupCommit(Generic[Item, Result]):
    """Commits items of many callers together, at most `most` in one transaction.

    `commit` gives one result for each item, in order; if it raises, every caller of the group is told, and nothing of
    the group is on disk.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, most: int) -> None:
        self._commit = commit
        self._most = most
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._wake = trio.Event()
        self._committing = trio.Lock()

    async def take(self, items: Sequence[Item]) -> list[Result]:
        """Returns when all of the items are on disk."""
        results: list[Result] = []
        for start in range(0, len(items), self._most):
            waiting: _Waiting[Item, Result] = _Waiting(items[start : start + self._most])
            self._queue.append(waiting)
            self._wake.set()
            await waiting.done.wait()
            if waiting.problem is not None:
                raise waiting.problem
            results.extend(waiting.results)
        return results

    async def run(self) -> None:
        """Commit what callers bring, until cancelled."""
        while True:
            group = self._group()
            if not group:
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            async with self._committing:
                await self._commit_group(group)

    async def committed(self) -> None:
        """Wait until the group that is being committed is done with."""
        async with self._committing:
            pass

    def _group(self) -> list[_Waiting[Item, Result]]:
        group: list[_Waiting[Item, Result]] = []
        size = 0
        while self._queue and size + len(self._queue[0].items) <= self._most:
            group.append(self._queue.popleft())
            size += len(group[-1].items)
        return group

    async def _commit_group(self, group: list[_Waiting[Item, Result]]) -> None:
        results: Sequence[Result] = ()
        problem: Exception | None = None
        try:
            results = await self._commit([item for waiting in group for item in waiting.items])
        except Exception as raised:
            problem = raised
        position = 0
        for waiting in group:
            waiting.problem = problem
            waiting.results = results[position : position + len(waiting.items)]
            position += len(waiting.items)
            waiting.done.set()
