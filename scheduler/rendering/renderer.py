"""Payloads for the devices of one run: each distinct payload is rendered once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from scheduler.rendering.paths import Path, look_up
from scheduler.rendering.payload import PayloadTemplate, Variant
from scheduler.rendering.results import Aborted, RenderFailure, TooLarge

MAX_PAYLOAD = 4_096
"""Bytes, for every push type but VoIP. Apple, "Sending notification requests to APNs"."""
MAX_REMEMBERED = 4_096

Scope: TypeAlias = "Mapping[str, object] | None"
_SCOPES = ("user", "device", "today")
Rendered: TypeAlias = bytes | RenderFailure | Aborted | TooLarge


class Renderer:
    """The message of one run. `fixed` holds the names that are the same for all devices: event, previous, now.

    A device is given as (locale, the names of `user` or None, the names of `device`, `today` where that is read).

    Devices that agree on their locale and on every variable that the template reads share one render. What was
    rendered is kept until there are too many, then all is forgotten: memory does not grow with the audience.
    """

    def __init__(self, payload: PayloadTemplate, fixed: Mapping[str, object], limit: int = MAX_PAYLOAD) -> None:
        self._payload = payload
        self._fixed = fixed
        self._limit = limit
        self._prepared: dict[tuple[str, ...], _Prepared] = {}
        self._by_locale: dict[str | None, _Prepared] = {}

    def render_many(self, devices: Sequence[tuple[str | None, Scope, Scope, str | None]]) -> list[Rendered]:
        """One result per device, in order."""
        by_locale = self._by_locale
        results: list[Rendered] = []
        for locale, user, device, today in devices:
            prepared = by_locale.get(locale) or self._prepare(locale)
            results.append(prepared.same or prepared.render((user, device, today)))
        return results

    def render(self, locale: str | None, user: Scope, device: Scope, today: str | None) -> Rendered:
        """The result for one device."""
        prepared = self._by_locale.get(locale) or self._prepare(locale)
        return prepared.same or prepared.render((user, device, today))

    def _prepare(self, locale: str | None) -> _Prepared:
        variant = self._payload.variant(locale)
        prepared = self._prepared.get(variant.chain)
        if prepared is None:
            prepared = self._prepared[variant.chain] = _Prepared(variant, self._fixed, self._limit)
        if len(self._by_locale) >= MAX_REMEMBERED:
            self._by_locale.clear()
        self._by_locale[locale] = prepared
        return prepared


class _Prepared:
    """A variant with the values that the run fixes. `same` is the one result when nothing personal is read."""

    __slots__ = ("_limit", "_personal", "_remembered", "_values", "_variant", "same")

    def __init__(self, variant: Variant, fixed: Mapping[str, object], limit: int) -> None:
        self._variant = variant
        self._limit = limit
        self._remembered: dict[tuple[object, ...], Rendered] = {}
        self._values: dict[str, object] = {}
        for name, path, absent in variant.fixed:
            value = look_up(fixed, path)
            self._values[name] = absent if value is None else value
        self._personal = tuple(
            (name, _SCOPES.index(path[0]), path[1:], absent) for name, path, absent in variant.personal
        )
        self.same: Rendered | None = None if self._personal else self._sized(variant.render(self._values))

    def render(self, scopes: Sequence[Scope | str]) -> Rendered:
        values = self._values
        key: list[object] = []
        for name, scope, path, absent in self._personal:
            value = _below(scopes[scope], path)
            if type(value) is str:
                values[name] = value
                key.append(value)
            else:
                values[name] = absent if value is None else value
                key.append((repr(value),))  # 1, True and 1.0 are equal, and print differently
        known = tuple(key)
        result = self._remembered.get(known)
        if result is None:
            result = self._sized(self._variant.render(values))
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[known] = result
        return result

    def _sized(self, result: bytes | RenderFailure | Aborted) -> Rendered:
        if isinstance(result, bytes) and len(result) > self._limit:
            return TooLarge(len(result), self._limit)
        return result


def _below(scope: Scope | str, path: Path) -> object:
    if not path:
        return scope or None
    if scope is None or isinstance(scope, str):
        return None
    value: object = scope
    for key in path:
        if type(value) is not dict:
            return look_up(scope, path)
        value = value.get(key)
        if value is None:
            return None
    return value
