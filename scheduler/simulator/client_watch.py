"""What clients do, as it happens: the evidence for the verdict. Memory does not grow with the number of requests,
but for the accepted requests that it remembers, of which there are at most a million."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hpack import HeaderTuple

from scheduler.simulator.header_blocks import Representation
from scheduler.simulator.provider_tokens import UPDATE_INTERVAL
from scheduler.simulator.verdict import Connections, Finding, ProviderTokens, Starts, Verdict

CHANGING_HEADERS = frozenset({b":path", b"apns-id", b"apns-expiration", b"apns-collapse-id"})
"""Apple, "Sending notification requests to APNs": after the first time these do not enter the dynamic table."""
SHORT_LIFE = 60.0
"""Seconds. Apple asks for connections that are kept for hours or days."""
MANY_SHORT_LIVES = 10

_REMEMBERED_REQUESTS = 1_000_000


class Peak:
    """The most events in any stretch of `length` seconds, from events in order of time."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._recent: deque[float] = deque()
        self.most = 0

    def add(self, at: float) -> None:
        recent = self._recent
        recent.append(at)
        while recent[0] <= at - self._length:
            recent.popleft()
        self.most = max(self.most, len(recent))


@dataclass(slots=True)
class _Evidence:
    """Counts of all clients together."""

    starts: int = 0
    starts_in_a_second: Peak = field(default_factory=lambda: Peak(1.0))
    starts_in_100_ms: Peak = field(default_factory=lambda: Peak(0.1))
    opened: int = 0
    opened_in_a_minute: Peak = field(default_factory=lambda: Peak(60.0))
    open: int = 0
    most_open: int = 0
    closed_by_client: int = 0
    short_lived: int = 0
    tokens: set[int] = field(default_factory=set)
    most_tokens: int = 0
    early_changes: int = 0
    settings_sent: int = 0
    settings_acknowledged: int = 0
    pings_sent: int = 0
    pings_answered: int = 0
    accepted: set[int] = field(default_factory=set)
    repeated: int = 0
    headers: dict[bytes, Counter[Representation]] = field(default_factory=dict)
    lint: Counter[str] = field(default_factory=Counter)
    over_limit: int = 0
    after_goaway: int = 0
    pseudo_headers: int = 0
    breaches: dict[str, list[str]] = field(default_factory=dict)
    """By kind: what h2 said each time."""
    indexed_anew: Counter[str] = field(default_factory=Counter)


class ClientWatch:
    """All clients of one simulator."""

    def __init__(self) -> None:
        self._seen = _Evidence()

    def connection(self, at: float = 0.0) -> ConnectionWatch:
        """A client connects, at this second of a stopwatch."""
        seen = self._seen
        seen.opened += 1
        seen.opened_in_a_minute.add(at)
        seen.open += 1
        seen.most_open = max(seen.most_open, seen.open)
        return ConnectionWatch(seen, at)

    def defects(self, defects: Sequence[str]) -> None:
        """What is wrong with a payload."""
        self._seen.lint.update(defects)

    def verdict(self) -> Verdict:
        """What is known by now."""
        seen = self._seen
        return Verdict(
            starts=Starts(seen.starts, seen.starts_in_a_second.most, seen.starts_in_100_ms.most),
            connections=Connections(
                opened=seen.opened,
                closed_by_client=seen.closed_by_client,
                most_open=seen.most_open,
                peak_minute=seen.opened_in_a_minute.most,
                short_lived=seen.short_lived,
            ),
            provider_tokens=ProviderTokens(len(seen.tokens), seen.most_tokens, seen.early_changes),
            settings_sent=seen.settings_sent,
            settings_acknowledged=seen.settings_acknowledged,
            pings_sent=seen.pings_sent,
            pings_answered=seen.pings_answered,
            repeated=seen.repeated,
            headers={
                name.decode("latin-1"): {str(one): count for one, count in counts.items()}
                for name, counts in seen.headers.items()
            },
            lint=dict(seen.lint.most_common()),
            findings=tuple(finding for finding in _findings(seen) if finding.count),
        )


def _findings(seen: _Evidence) -> Iterator[Finding]:
    """A finding for each rule, also for those that were kept: their count is 0."""

    def breach(rule: str, count: int, text: str) -> Finding:
        return Finding(rule, True, count, f"{count} x {text}")

    def advice(rule: str, count: int, text: str) -> Finding:
        return Finding(rule, False, count, f"{count} x {text}")

    yield breach("stream-limit", seen.over_limit, "streams opened above a limit that was acknowledged before")
    yield breach("after-goaway", seen.after_goaway, "streams opened after a GOAWAY that had been seen")
    yield breach("pseudo-headers", seen.pseudo_headers, "requests with a pseudo-header behind another header")
    for kind, texts in seen.breaches.items():
        yield breach("protocol", len(texts), f"connections ended for {kind}, first: {texts[0] or 'no more is known'}")
    yield breach("token-changes", seen.early_changes, "provider tokens changed within 20 minutes on a connection")
    for name, count in seen.indexed_anew.items():
        yield advice("hpack", count, f"{name} entered the dynamic table again: it changes with every request")
    yield advice("repeated", seen.repeated, "requests were accepted before, under the same apns-id and device")
    if seen.short_lived >= MANY_SHORT_LIVES:
        text = "connections closed within a minute: Apple may take it for an attack"
        yield advice("churn", seen.short_lived, text)


class ConnectionWatch:
    """One connection. `at` is the second of a stopwatch, `now` the second since 1970: set before bytes are read."""

    def __init__(self, seen: _Evidence, opened: float) -> None:
        self._seen = seen
        self._opened = opened
        self.at = opened
        self.now = 0.0
        self._incremental: Counter[bytes] = Counter()
        self._tokens: set[int] = set()
        self._token: int | None = None
        self._token_since = 0.0
        self._disturbed = False

    def block(self, headers: Sequence[HeaderTuple], written: Sequence[Representation]) -> None:
        """A header block, field by field."""
        counts = self._seen.headers
        regular = misplaced = False
        for (name, value), representation in zip(headers, written, strict=True):
            if name not in counts:
                counts[name] = Counter()
            counts[name][representation] += 1
            if name[:1] != b":":
                regular = True
                if name == b"authorization":
                    self._show(hash(value))
            elif regular:
                misplaced = True
            if representation is Representation.INCREMENTAL and name in CHANGING_HEADERS:
                self._incremental[name] += 1
                if self._incremental[name] > 1:
                    self._seen.indexed_anew[name.decode()] += 1
        self._seen.pseudo_headers += misplaced

    def _show(self, token: int) -> None:
        """A provider token, by its hash."""
        if token == self._token:
            return
        seen = self._seen
        if self._token is not None and self.now < self._token_since + UPDATE_INTERVAL:
            seen.early_changes += 1
        self._token, self._token_since = token, self.now
        self._tokens.add(token)
        seen.tokens.add(token)
        seen.most_tokens = max(seen.most_tokens, len(self._tokens))

    def start(self) -> None:
        """A request was opened."""
        self._seen.starts += 1
        self._seen.starts_in_a_second.add(self.at)
        self._seen.starts_in_100_ms.add(self.at)

    def accepted(self, device_token: str | None, apns_id: str) -> None:
        """A request was accepted."""
        accepted, request = self._seen.accepted, hash((device_token, apns_id))
        self._seen.repeated += request in accepted
        if len(accepted) < _REMEMBERED_REQUESTS:
            accepted.add(request)

    def over_limit(self) -> None:
        """A stream above the limit, which the client had acknowledged."""
        self._seen.over_limit += 1

    def after_goaway(self) -> None:
        """A stream after a GOAWAY, which the client had seen."""
        self._seen.after_goaway += 1

    def breach(self, kind: str, text: str) -> None:
        """The client broke HTTP/2, which ends the connection."""
        self._seen.breaches.setdefault(kind, []).append(text)

    def settings_sent(self) -> None:
        self._seen.settings_sent += 1

    def settings_acknowledged(self) -> None:
        self._seen.settings_acknowledged += 1

    def ping_sent(self) -> None:
        self._seen.pings_sent += 1

    def ping_answered(self) -> None:
        self._seen.pings_answered += 1

    def disturbed(self) -> None:
        """A fault or a refusal hit this connection: the client may well leave it."""
        self._disturbed = True

    def closed(self, at: float, *, by_client: bool) -> None:
        """The connection is gone."""
        self._seen.open -= 1
        self._seen.closed_by_client += by_client
        self._seen.short_lived += by_client and not self._disturbed and at - self._opened < SHORT_LIFE
