"""What clients do, as it happens: the evidence for the verdict. Memory does not grow with the number of requests,
but for the accepted requests that it remembers, of which there are at most a million."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from hpack import HeaderTuple

from scheduler.simulator.header_blocks import Representation
from scheduler.simulator.provider_tokens import UPDATE_INTERVAL
from scheduler.simulator.verdict import Connections, Finding, ProviderTokens, Rate, Verdict

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
class _Broken:
    """Rules that were not kept, and how often."""

    over_limit: int = 0
    after_goaway: int = 0
    pseudo_headers: int = 0
    protocol: dict[str, list[str]] = field(default_factory=dict)
    indexed_anew: Counter[str] = field(default_factory=Counter)


class ClientWatch:
    """All clients of one simulator."""

    def __init__(self) -> None:
        self._broken = _Broken()
        self._seconds, self._moments, self._minutes = Peak(1.0), Peak(0.1), Peak(60.0)
        self._starts = self._opened = self._open = self._most_open = 0
        self._closed_by_client = self._short_lived = 0
        self._tokens: set[int] = set()
        self._most_tokens = self._early_changes = 0
        self._accepted: set[int] = set()
        self._repeated = 0
        self._headers: dict[bytes, Counter[Representation]] = {}
        self._lint: Counter[str] = Counter()
        self._settings = [0, 0]
        self._pings = [0, 0]

    def connection(self, at: float = 0.0) -> ConnectionWatch:
        """A client connects, at this second of a stopwatch."""
        self._opened += 1
        self._open += 1
        self._most_open = max(self._most_open, self._open)
        self._minutes.add(at)
        return ConnectionWatch(self, at)

    def defects(self, defects: Sequence[str]) -> None:
        """What is wrong with a payload."""
        self._lint.update(defects)

    def verdict(self) -> Verdict:
        """What is known by now."""
        return Verdict(
            rate=Rate(self._starts, self._seconds.most, self._moments.most),
            connections=Connections(
                self._opened, self._closed_by_client, self._most_open, self._minutes.most, self._short_lived
            ),
            provider_tokens=ProviderTokens(len(self._tokens), self._most_tokens, self._early_changes),
            settings_sent=self._settings[0],
            settings_acknowledged=self._settings[1],
            pings_sent=self._pings[0],
            pings_answered=self._pings[1],
            repeated=self._repeated,
            headers={
                name.decode("latin-1"): {str(one): count for one, count in counts.items()}
                for name, counts in self._headers.items()
            },
            lint=dict(self._lint.most_common()),
            findings=tuple(self._findings()),
        )

    def _findings(self) -> list[Finding]:
        broken = self._broken
        stated = [
            ("stream-limit", True, broken.over_limit, "streams opened above a limit that was acknowledged before"),
            ("after-goaway", True, broken.after_goaway, "streams opened after a GOAWAY that had been seen"),
            ("pseudo-headers", True, broken.pseudo_headers, "requests with a pseudo-header behind another header"),
            *(
                ("protocol", True, len(texts), f"connections ended for {kind}, first: {texts[0] or 'no more is known'}")
                for kind, texts in broken.protocol.items()
            ),
            ("token-changes", True, self._early_changes, "provider tokens changed within 20 minutes on a connection"),
            *(
                ("hpack", False, count, f"{name} entered the dynamic table again: it changes with every request")
                for name, count in broken.indexed_anew.items()
            ),
            ("repeated", False, self._repeated, "requests were accepted before, under the same apns-id and device"),
        ]
        if self._short_lived >= MANY_SHORT_LIVES:
            text = "connections closed within a minute: Apple may take it for an attack"
            stated.append(("churn", False, self._short_lived, text))
        return [Finding(rule, breach, count, f"{count} x {text}") for rule, breach, count, text in stated if count]


class ConnectionWatch:
    """One connection. `at` is the second of a stopwatch, `now` the second since 1970: set before bytes are read."""

    def __init__(self, all_clients: ClientWatch, opened: float) -> None:
        self._all = all_clients
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
        counts = self._all._headers
        regular = misplaced = False
        for (name, value), representation in zip(headers, written, strict=True):
            counts.setdefault(name, Counter())[representation] += 1
            if name[:1] != b":":
                regular = True
                if name == b"authorization":
                    self._show(hash(value))
            elif regular:
                misplaced = True
            if representation is Representation.INCREMENTAL and name in CHANGING_HEADERS:
                self._incremental[name] += 1
                if self._incremental[name] > 1:
                    self._all._broken.indexed_anew[name.decode()] += 1
        self._all._broken.pseudo_headers += misplaced

    def _show(self, token: int) -> None:
        if token == self._token:
            return
        everyone = self._all
        if self._token is not None and self.now < self._token_since + UPDATE_INTERVAL:
            everyone._early_changes += 1
        self._token, self._token_since = token, self.now
        self._tokens.add(token)
        everyone._tokens.add(token)
        everyone._most_tokens = max(everyone._most_tokens, len(self._tokens))

    def start(self) -> None:
        """A request was opened."""
        self._all._starts += 1
        self._all._seconds.add(self.at)
        self._all._moments.add(self.at)

    def accepted(self, device_token: str | None, apns_id: str) -> None:
        """A request was accepted."""
        seen, request = self._all._accepted, hash((device_token, apns_id))
        self._all._repeated += request in seen
        if len(seen) < _REMEMBERED_REQUESTS:
            seen.add(request)

    def over_limit(self) -> None:
        """A stream above the limit, which the client had acknowledged."""
        self._all._broken.over_limit += 1

    def after_goaway(self) -> None:
        """A stream after a GOAWAY, which the client had seen."""
        self._all._broken.after_goaway += 1

    def breach(self, kind: str, text: str) -> None:
        """The client broke HTTP/2, which ends the connection."""
        self._all._broken.protocol.setdefault(kind, []).append(text)

    def settings(self, *, acknowledged: bool) -> None:
        self._all._settings[acknowledged] += 1

    def ping(self, *, answered: bool) -> None:
        self._all._pings[answered] += 1

    def disturbed(self) -> None:
        """A fault or a refusal hit this connection: the client may well leave it."""
        self._disturbed = True

    def closed(self, at: float, *, by_client: bool) -> None:
        """The connection is gone."""
        everyone = self._all
        everyone._open -= 1
        everyone._closed_by_client += by_client
        everyone._short_lived += by_client and not self._disturbed and at - self._opened < SHORT_LIFE
