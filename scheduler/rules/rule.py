"""One campaign as a value: what its file says, read and checked, with every default in place.

Templates stay positioned nodes here: they are compiled a layer above, where rendering is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from scheduler.conditions.condition import Condition
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_nodes import MappingNode, ScalarNode
from scheduler.domain.lanes import Lane
from scheduler.domain.push_types import PushType
from scheduler.domain.quantities import Rate
from scheduler.domain.reentry import Reentry
from scheduler.domain.wall_times import Moment
from scheduler.rules.schedule import Schedule
from scheduler.rules.timing import Timing


class OnUnknown(StrEnum):
    """What is done with a device that may or may not have been sent to."""

    RESEND = "resend"
    """Send again, with the same apns-id: it may be seen twice, never not at all."""
    DROP = "drop"
    """Give up: it may not be seen, never twice."""


class Collapse(StrEnum):
    """The collapse ids that are no template of the rule."""

    DERIVED = "derived"
    """Made from the occasion, so that a resend replaces the first one on the screen."""
    NONE = "none"
    """No collapse id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What starts the rule: events of a type (a final `*` stands for any rest), people, or both.

    `scheduled`: a schedule or a time starts it, so there is a slot and never an event. `schedule` says when.
    """

    event: str | None
    scheduled: bool
    schedule: Schedule | None
    when: Condition | None
    once_per: ScalarNode | None
    manual: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Whom it is for. `app` is None when the file leaves it out; `app_span` is then where it belongs."""

    app: str | None
    app_span: Span
    users: tuple[ScalarNode, ...]
    topics: tuple[ScalarNode, ...]
    where: Condition | None
    everyone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent: a template of the workspace and the values that the rule gives it."""

    template: str
    template_node: ScalarNode
    with_values: MappingNode | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A share of the people goes first; `wait` after them the rest, if no larger share of them than `max_rejects` was
    rejected. Shares are in [0, 1]."""

    share: float
    wait: timedelta
    max_rejects: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How it is sent. `expires_after` None is never_store, `max_age` None what the quiet hours make of it."""

    push_type: PushType
    type_node: ScalarNode | None
    priority: int
    expires_after: timedelta | None
    collapse: ScalarNode | Collapse
    supersede: ScalarNode | None
    lane: Lane
    rate: Rate | None
    max_age: timedelta | None
    on_unknown: OnUnknown
    canary: Canary | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One of several messages, shared out by weight. What it does not say is the rule's own."""

    name: str
    weight: int
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Who gets nothing, and who gets what. `holdout` is a share in [0, 1]."""

    holdout: float
    salt: str
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """A warning or note that the rule's author has seen and accepts: its code, and where the entry stands."""

    check: str
    span: Span


@dataclass(frozen=True, slots=True)
class EarlierName:
    """A name that the rule had before it was renamed, and where that stands."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One campaign. `name` is the file's stem."""

    name: str
    description: str
    owner: str
    category: str
    category_node: ScalarNode
    enabled: bool
    starts: Moment | None
    ends: Moment | None
    renamed_from: tuple[EarlierName, ...]
    trigger: Trigger
    audience: Audience
    message: Message
    delivery: Delivery
    timing: Timing
    places: Mapping[str, Span]
    """By path, where those of its fields stand that may not fit the settings; only what is written."""
    audience_max: int | None
    """`limits.audience_max`; None: the settings'."""
    ignores_fuse: bool
    """`limits.fuse: ignore`: the settings' fuse does not watch it."""
    reentry: Reentry | None
    """None: always."""
    reentry_key: ScalarNode | None
    heeds_caps: bool
    one_device: bool
    """`limits.per_user` is latest."""
    experiment: Experiment
    ignored: tuple[Ignored, ...]

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that it can send, each once, its own first."""
        return tuple(dict.fromkeys((self.message, *(variant.message for variant in self.experiment.variants))))
