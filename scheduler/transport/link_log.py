"""What the log says of links: one function for each kind of line. docs/apns.md, "The life of a link", explains them."""

from __future__ import annotations

import logging

from scheduler.apns.link_laws import Retirement
from scheduler.transport.counters import PoolState
from scheduler.transport.failures import FailureKind
from scheduler.transport.link import Link
from scheduler.transport.tls import Endpoint

log = logging.getLogger("clarion.transport")


def up(pool: str, number: int, endpoint: Endpoint, link: Link) -> None:
    """A link takes requests from now on."""
    log.info("link.up pool=%s link=%d endpoint=%s address=%s", pool, number, endpoint, link.address)


def closed(pool: str, number: int, retirement: Retirement) -> None:
    """A link that was up takes no more."""
    log.info("link.closed pool=%s link=%d reason=%s detail=%r", pool, number, retirement.reason, retirement.detail)


def failed(pool: str, number: int, failures: int, kind: FailureKind, text: str) -> None:
    """An attempt to connect came to nothing; `failures` is how many in a row have."""
    log.warning("link.failed pool=%s link=%d failures=%d kind=%s error=%r", pool, number, failures, kind, text)


def limit_changed(pool: str, number: int, link: Link) -> None:
    """The stream limit of a link has fallen under a half of what the server allows, or is whole again."""
    limit = link.laws.limit
    what = "link.slowed" if limit.reduced else "link.at_full_speed"
    line = "%s pool=%s link=%d streams=%d trouble=%.2f answer_time=%.3f"
    log.info(line, what, pool, number, limit.limit, limit.trouble, limit.answer_time or 0.0)


def app_stopped(pool: str, reason: str) -> None:
    """Nothing of this app can be sent with its credentials."""
    log.error("app.stopped pool=%s reason=%s", pool, reason)


def pool_ended(state: PoolState) -> None:
    """All that a pool has counted."""
    failures = ",".join(f"{kind}:{count}" for kind, count in sorted(state.failures.items())) or "none"
    closes = ",".join(f"{reason}:{count}" for reason, count in sorted(state.closes.items())) or "none"
    line = "pool.ended pool=%s requests=%d resent=%d connects=%d failures=%s closes=%s"
    log.info(line, state.name, state.requests, state.resent, state.connects, failures, closes)
