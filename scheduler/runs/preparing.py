"""From recipients to requests: payload, collapse id, apns-id and headers of a run's notifications.

The daemon's sender and the preview both come here, so what is shown is what would be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from functools import lru_cache, partial
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias
from uuid import UUID

import msgspec

from scheduler.apns.payload_rules import payload_problems
from scheduler.apns.request import HeaderSet, PushRequest, check_collapse_id
from scheduler.domain.ids import apns_ids
from scheduler.domain.push_types import PushType
from scheduler.domain.runs import Recipient
from scheduler.domain.wall_times import local_date
from scheduler.rendering.renderer import Renderer
from scheduler.rendering.results import Missing, RenderFailure
from scheduler.rules.rule import Collapse
from scheduler.runs.verdicts import HELD_OUT, BadCollapseId, Report
from scheduler.workspace.campaign import Campaign

_MAX_SLOTS = 8
"""Of one run, kept at once: a window has one, work rows that are taken up together a few."""
_Collapse: TypeAlias = "Callable[[Recipient], str | RenderFailure | BadCollapseId | None]"


class _Made:
    """What the notifications of one slot are made of: of a run, or of one instant of a run whose devices have each
    their own."""

    __slots__ = ("collapse_id", "renderers", "today")

    def __init__(self, campaign: Campaign, run: UUID, scope: Mapping[str, object]) -> None:
        self.renderers: dict[str | None, Renderer] = {
            variant: Renderer(payload, scope, campaign.push_type.payload_limit)
            for variant, payload in ((None, campaign.payload), *campaign.variants.items())
        }
        self.today = _dates(campaign, scope.get("slot", scope["now"])) if "today" in campaign.names else _no_date
        self.collapse_id = _collapse_ids(campaign, run, scope)


class Preparation:
    """How the notifications of one run are made. `expiration` is in UNIX seconds, 0 for never store."""

    def __init__(
        self, campaign: Campaign, run: UUID, scope: Mapping[str, object], *, bundle_id: str, expiration: int
    ) -> None:
        push_type = campaign.push_type
        self.headers = HeaderSet(bundle_id + push_type.topic_suffix, push_type, campaign.priority)
        self._apns_id = apns_ids(run)
        self._expiration = expiration
        self._make = partial(_Made, campaign, run)
        self._scope = scope
        self._same_for_all = None if _tells_own_slots(campaign) and "slot" not in scope else self._make(scope)
        self._by_slot: dict[datetime | None, _Made] = {}

    def prepare(self, recipients: Sequence[Recipient]) -> tuple[list[PushRequest], list[tuple[int, Report]]]:
        """The requests of these recipients, and (device, why) of those that have none. Of a holdout are those who
        would have one."""
        if self._same_for_all is not None:
            return self._prepare(self._same_for_all, recipients)
        requests: list[PushRequest] = []
        failures: list[tuple[int, Report]] = []
        for slot, of_slot in groupby(recipients, key=attrgetter("due")):
            made, missed = self._prepare(self._made_for(slot), list(of_slot))
            requests += made
            failures += missed
        return requests, failures

    def _made_for(self, slot: datetime | None) -> _Made:
        made = self._by_slot.get(slot)
        if made is None:
            if len(self._by_slot) >= _MAX_SLOTS:
                self._by_slot.clear()
            scope = self._scope if slot is None else {**self._scope, "slot": slot}
            made = self._by_slot[slot] = self._make(scope)
        return made

    def _prepare(
        self, made: _Made, recipients: Sequence[Recipient]
    ) -> tuple[list[PushRequest], list[tuple[int, Report]]]:
        today, renderers = made.today, made.renderers
        if len(renderers) == 1:
            (everyone,) = renderers.values()
            payloads = everyone.render_many([(r.locale, r.user, r.device, today(r.zone)) for r in recipients])
        else:
            payloads = [renderers[r.variant].render(r.locale, r.user, r.device, today(r.zone)) for r in recipients]
        requests: list[PushRequest] = []
        failures: list[tuple[int, Report]] = []
        apns_id, collapse_id, expiration = self._apns_id, made.collapse_id, self._expiration
        is_live = self.headers.push_type is PushType.LIVE_ACTIVITY
        for recipient, payload in zip(recipients, payloads, strict=True):
            if not isinstance(payload, bytes):
                failures.append((recipient.id, payload))
                continue
            if is_live and (misfit := _live_misfit(payload)) is not None:
                failures.append((recipient.id, misfit))
                continue
            collapse = collapse_id(recipient)
            if isinstance(collapse, (RenderFailure, BadCollapseId)):
                failures.append((recipient.id, collapse))
                continue
            if recipient.held_out:
                failures.append((recipient.id, HELD_OUT))
                continue
            device, token, attempt = recipient.id, recipient.token, recipient.attempts
            expires = expiration if recipient.expiration is None else recipient.expiration
            requests.append(PushRequest(device, token, apns_id(device), payload, expires, collapse, attempt))
        return requests, failures


def _tells_own_slots(campaign: Campaign) -> bool:
    """Whether what is sent depends on a slot that each device has at its own time."""
    by_device = campaign.planned is not None and campaign.planned.by_device
    return by_device and any(name in ("slot", "today") or name.startswith("slot.") for name in campaign.names)


@lru_cache(maxsize=64)
def _live_misfit(payload: bytes) -> RenderFailure | None:
    """What a Live Activity lacks: `event` may come from the data, and a start needs more than an update. Of other
    types `check` has said it all."""
    problem = next(payload_problems(PushType.LIVE_ACTIVITY, msgspec.json.decode(payload)), None)
    return None if problem is None else RenderFailure(problem.leaf, problem.message)


def _no_date(zone: tzinfo | None) -> None:
    """Of a campaign that does not read `today`."""


def _dates(campaign: Campaign, at: object) -> Callable[[tzinfo | None], str | None]:
    """The date of the run's slot, or of its now, in a person's zone, as ISO text."""
    assert isinstance(at, datetime)
    return lru_cache(maxsize=None)(lambda zone: local_date(at, zone or campaign.zone).isoformat())


def _collapse_ids(campaign: Campaign, run: UUID, scope: Mapping[str, object]) -> _Collapse:
    """How a run makes its collapse ids: once for all devices, unless the rule's template asks for the device.

    Without a template an alert's is derived from the occasion, so that a resend replaces the first on the screen.
    """
    template = campaign.collapse
    if isinstance(template, Collapse):
        by_occasion = run.hex if template is Collapse.DERIVED else None
        return lambda recipient: by_occasion

    def rendered(names: Mapping[str, object]) -> str | RenderFailure | BadCollapseId:
        match template.render(names):
            case str(text):
                try:
                    return check_collapse_id(text)
                except ValueError as problem:
                    return BadCollapseId(str(problem))
            case Missing(variable):
                return RenderFailure("delivery.collapse", f"{variable} is missing")
            case failure:
                return failure

    if template.is_personal:
        return lambda recipient: rendered({**scope, "device": recipient.device, "user": recipient.user})
    same = rendered(scope)
    return lambda recipient: same
