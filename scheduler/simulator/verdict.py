"""The verdict on a client: figures, and findings that name what it broke or what it had better not do.

A *breach* breaks RFC 9113, RFC 7541 or a rule of Apple's that Apple enforces. *Advice* is what Apple's pages ask for
without enforcing it, or what is only suspicious: a request that is accepted twice may be an honest repetition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from scheduler.domain.errors import OperatorError


@dataclass(frozen=True, slots=True)
class Starts:
    """How requests were started. The peaks are over any stretch of that length."""

    requests: int
    """Requests that were opened, also those that were refused."""
    peak_second: int
    peak_100_ms: int


@dataclass(frozen=True, slots=True)
class Connections:
    """How connections came and went."""

    opened: int
    closed_by_client: int
    most_open: int
    peak_minute: int
    """The most that were opened within any minute."""
    short_lived: int
    """Closed by the client within a minute, though nothing was wrong with them."""


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """Provider tokens as they were shown, whether good or not."""

    distinct: int
    most_on_one_connection: int
    early_changes: int
    """Another token on the same connection, under 20 minutes after the last."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that was not kept, how often, and what it means."""

    rule: str
    breach: bool
    count: int
    text: str

    def __str__(self) -> str:
        return f"{'BREACH' if self.breach else 'advice'} {self.rule}: {self.text}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a simulator saw of its clients."""

    starts: Starts
    connections: Connections
    provider_tokens: ProviderTokens
    settings_sent: int
    settings_acknowledged: int
    pings_sent: int
    pings_answered: int
    repeated: int
    """Requests with a device token and apns-id that were accepted before."""
    headers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By name of header: how often it came in which representation."""
    lint: Mapping[str, int] = field(default_factory=dict)
    """By defect of a payload: how often. Empty where payloads are not looked at."""
    findings: tuple[Finding, ...] = ()

    @property
    def obedient(self) -> bool:
        """Whether nothing was broken. Advice does not count."""
        return not any(finding.breach for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(verdict: Verdict) -> list[str]:
    starts, connections, tokens = verdict.starts, verdict.connections, verdict.provider_tokens
    lines = [
        f"verdict: {'obedient' if verdict.obedient else 'NOT obedient'}",
        f"  starts: {starts.requests} requests, at most {starts.peak_second} in a second, "
        f"{starts.peak_100_ms} in 100 ms",
        f"  connections: {connections.opened} opened, {connections.closed_by_client} closed by the client, "
        f"at most {connections.most_open} at once, {connections.peak_minute} opened in a minute",
        f"  provider tokens: {tokens.distinct}, at most {tokens.most_on_one_connection} on one connection",
        f"  settings: {verdict.settings_acknowledged} of {verdict.settings_sent} acknowledged; "
        f"pings: {verdict.pings_answered} of {verdict.pings_sent} answered",
        f"  accepted again under the same apns-id: {verdict.repeated}",
    ]
    lines += [f"  payload: {count} x {defect}" for defect, count in verdict.lint.items()]
    lines += [f"  {finding}" for finding in verdict.findings]
    return lines


def write_verdict(verdict: Verdict, path: Path) -> None:
    """The verdict as JSON: its fields by name, and `obedient`. OperatorError if the file cannot be written."""
    fields = {"obedient": verdict.obedient, **msgspec.to_builtins(verdict)}
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n")
    except OSError as problem:
        raise OperatorError(
            f"the verdict cannot be written: {problem.strerror}", where=str(path), hint="give another path"
        ) from problem
