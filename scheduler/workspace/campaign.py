"""A rule joined with its templates: the immutable thing that runs. Made from today's texts or a stored version's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scheduler.conditions.condition import Condition
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic, Severity, error, has_errors
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.domain.lanes import Lane
from scheduler.domain.push_types import PushType
from scheduler.domain.quantities import Rate
from scheduler.domain.quiet_hours import QuietOverride
from scheduler.domain.reentry import Reentry
from scheduler.planning.device_slots import FIRST_ZONE
from scheduler.planning.experiments import Experiment, Holdout
from scheduler.planning.slots import Timetable, end_instant, start_instant
from scheduler.rendering.fusing import Uncompilable, fuse
from scheduler.rendering.names import Names, check_text, compile_finding
from scheduler.rendering.payload import PayloadTemplate, compile_payload
from scheduler.rendering.texts import TextTemplate, compile_texts
from scheduler.rendering.unfused import Fuse
from scheduler.rendering.with_values import read_with
from scheduler.rules.compiler import roots_of
from scheduler.rules.rule import Canary, Collapse, Message, OnUnknown, Rule
from scheduler.rules.schedule import BY_DEVICE
from scheduler.rules.timing import Exit
from scheduler.workspace.planned import Planned
from scheduler.workspace.templates import TemplateFiles

MESSAGE_ROOTS = frozenset({"event", "previous", "user", "device", "now", "today"})
OCCASION_ROOTS = frozenset({"event", "previous"})
COLLAPSE_ROOTS = frozenset({"event", "previous", "user", "device"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Campaign:
    """One version of a rule, ready to run. Nothing in it changes; `version` names everything that shaped it.

    `collapse` is a template, or the word for none and for one derived from the occasion. `expires_after` None is
    never_store, `max_age` None is what the quiet hours make of it. `event` may end in `*`. `sources` are the texts that
    the version is made of: see versions.py.
    """

    name: str
    version: str
    sources: Mapping[str, str]
    description: str
    owner: str
    category: str
    enabled: bool
    starts_at: datetime | None
    """Nothing starts before this instant; by the default zone where a slot goes by each device's own."""
    ends_at: datetime | None
    """Nothing is sent from this instant on; likewise."""
    renamed_from: tuple[str, ...]
    planned: Planned | None
    """Of a rule that a schedule or a time starts."""
    app: str
    event: str | None
    when: Condition | None
    once_per: TextTemplate | None
    manual: bool
    users: tuple[TextTemplate, ...]
    topics: tuple[TextTemplate, ...]
    where: Condition | None
    everyone: bool
    payload: PayloadTemplate
    variants: Mapping[str, PayloadTemplate]
    """By the name of a variant, what it sends; empty where everyone gets `payload`."""
    experiment: Experiment | None
    """None where nothing is drawn: there is neither a holdout nor a variant."""
    push_type: PushType
    priority: int
    expires_after: timedelta | None
    collapse: TextTemplate | Collapse
    supersede: TextTemplate | None
    lane: Lane
    rate: Rate | None
    max_age: timedelta | None
    on_unknown: OnUnknown
    delay: timedelta
    """From the event's time until it is due; zero where nothing waits."""
    recheck: bool
    """Whether `where` is asked again when the delay is over."""
    exits: tuple[Exit, ...]
    """The events that call it off for a person, or for the whole run."""
    canary: Canary | None
    quiet: QuietOverride
    audience_max: int | None
    """None: the settings'."""
    ignores_fuse: bool
    reentry: Reentry | None
    """None: always."""
    reentry_key: TextTemplate | None
    heeds_caps: bool
    one_device: bool
    """Of the devices of a user only the one that was seen last."""
    zone: ZoneInfo
    """The zone of people who have none of their own."""
    uses_previous: bool
    """Whether anything reads `previous`: otherwise it need not be looked up."""
    uses_user: bool
    """Whether anything about one device reads `user`."""
    names: frozenset[str]
    """All dotted paths that its conditions and templates read: what nobody reads is not loaded."""

    @property
    def names_had(self) -> tuple[str, ...]:
        """What it is called and was called: an occasion of any of these is not had again."""
        return (self.name, *self.renamed_from)

    @property
    def first_name(self) -> str:
        """What it was called first, as experiments draw by it: the same for all versions of a rule, whatever each was
        called."""
        return self.renamed_from[0] if self.renamed_from else self.name

    def is_on(self, instant: datetime) -> bool:
        """Whether an instant lies between `starts` and `ends`."""
        started = self.starts_at is None or instant >= self.starts_at
        return started and (self.ends_at is None or instant < self.ends_at)

    def listens_to(self, event_type: str) -> bool:
        """Whether events of a type may start it."""
        return self.enabled and self.names_type(event_type)

    def names_type(self, event_type: str) -> bool:
        """Whether a type is the one that its trigger names, be it enabled or not."""
        if self.event is None:
            return False
        return event_type.startswith(self.event[:-1]) if self.event.endswith("*") else event_type == self.event


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a rule is compiled in: everything outside its own file that shapes its sends."""

    schema: Schema
    templates: TemplateFiles
    default_locale: str
    time_zone: str
    """The IANA name of the zone of people who have none of their own."""
    app: str
    """The app of the rule; "" when that is not known."""
    holdout: Holdout | None = None
    """The workspace's, where it holds for the rule's category."""
    fuse: Fuse = fuse
    """How its templates become functions: this shapes no send, only who makes code when."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What compiling a rule gave, before it has a version."""

    payloads: Mapping[Message, PayloadTemplate]
    """What each of the rule's messages sends."""
    once_per: TextTemplate | None
    users: tuple[TextTemplate, ...]
    topics: tuple[TextTemplate, ...]
    collapse: TextTemplate | Collapse
    supersede: TextTemplate | None
    reentry_key: TextTemplate | None

    @property
    def texts(self) -> tuple[TextTemplate, ...]:
        """Its templates that are one text."""
        found = (self.once_per, *self.users, *self.topics, self.collapse, self.supersede, self.reentry_key)
        return tuple(one for one in found if isinstance(one, TextTemplate))

    @property
    def macro_paths(self) -> frozenset[str]:
        """The macro files that are a part of its templates."""
        of_texts = (one.macro_paths for one in self.texts)
        return frozenset[str]().union(*of_texts, *(one.macro_paths for one in self.payloads.values()))


def compile_parts(rule: Rule, around: Surroundings) -> tuple[Parts | None, list[Diagnostic]]:
    """The templates of a rule, checked and compiled. None when a finding is an error, or a template cannot be read:
    what is wrong with its file is a finding of `read_templates`."""
    findings: list[Diagnostic] = []
    payloads = {message: _payload(rule, message, around, findings) for message in rule.messages}
    texts = _Texts(rule, around, findings)
    texts.check("trigger.once_per", rule.trigger.once_per, OCCASION_ROOTS, missing_is_expected=True)
    for label, nodes in (("audience.users", rule.audience.users), ("audience.topics", rule.audience.topics)):
        for number, node in enumerate(nodes):
            texts.check(f"{label}[{number}]", node, OCCASION_ROOTS, missing_is_expected=True)
    texts.check("delivery.collapse", _node(rule.delivery.collapse), COLLAPSE_ROOTS)
    texts.check("delivery.supersede", rule.delivery.supersede, OCCASION_ROOTS)
    texts.check("limits.reentry.key", rule.reentry_key, OCCASION_ROOTS, missing_is_expected=True)
    compiled = texts.compiled()
    readable = {message: payload for message, payload in payloads.items() if payload is not None}
    if len(readable) < len(payloads) or has_errors(findings):
        return None, findings
    supersede, written = compiled.get("delivery.supersede"), rule.delivery.collapse
    collapse: TextTemplate | Collapse
    if isinstance(written, Collapse):
        collapse = written
    else:
        collapse = compiled["delivery.collapse"]
        if supersede is None and not collapse.is_personal:
            supersede = collapse
    users = tuple(compiled[f"audience.users[{number}]"] for number in range(len(rule.audience.users)))
    topics = tuple(compiled[f"audience.topics[{number}]"] for number in range(len(rule.audience.topics)))
    reentry_key = compiled.get("limits.reentry.key")
    return Parts(readable, compiled.get("trigger.once_per"), users, topics, collapse, supersede, reentry_key), findings


def join(rule: Rule, parts: Parts, around: Surroundings, version: str, sources: Mapping[str, str]) -> Campaign:
    """The campaign of a rule, its compiled parts and its version."""
    zone = ZoneInfo(around.time_zone)
    trigger, audience, delivery = rule.trigger, rule.audience, rule.delivery
    payloads = parts.payloads
    read = {name for one in parts.texts for name in one.variables}
    read.update(name for payload in payloads.values() for name in payload.variables)
    read.update(name for condition in (trigger.when, audience.where) if condition for name in condition.names)
    planned = planned_of(rule, around)
    bounds_zone = zone if planned is None or planned.by_device else planned.zone
    return Campaign(
        name=rule.name,
        version=version,
        sources=sources,
        description=rule.description,
        owner=rule.owner,
        category=rule.category,
        enabled=rule.enabled,
        starts_at=start_instant(rule.starts, bounds_zone),
        ends_at=end_instant(rule.ends, bounds_zone),
        renamed_from=tuple(earlier.name for earlier in rule.renamed_from),
        planned=planned,
        app=around.app,
        event=trigger.event,
        when=_by_no_clock(trigger.when, zone),
        once_per=parts.once_per,
        manual=trigger.manual,
        users=parts.users,
        topics=parts.topics,
        where=audience.where,
        everyone=audience.everyone,
        payload=payloads[rule.message],
        variants={variant.name: payloads[variant.message] for variant in rule.experiment.variants},
        experiment=_experiment(rule, around),
        push_type=delivery.push_type,
        priority=delivery.priority,
        expires_after=delivery.expires_after,
        collapse=parts.collapse,
        supersede=parts.supersede,
        lane=delivery.lane,
        rate=delivery.rate,
        max_age=delivery.max_age,
        on_unknown=delivery.on_unknown,
        delay=rule.timing.delay,
        recheck=rule.timing.recheck,
        exits=tuple(replace(one, where=_by_no_clock(one.where, zone)) for one in rule.timing.exits),
        canary=delivery.canary,
        quiet=rule.timing.quiet,
        audience_max=rule.audience_max,
        ignores_fuse=rule.ignores_fuse,
        reentry=rule.reentry,
        reentry_key=parts.reentry_key,
        heeds_caps=rule.heeds_caps,
        one_device=rule.one_device,
        zone=zone,
        uses_previous=_reads(read, "previous"),
        uses_user=_reads(read, "user"),
        names=frozenset(read),
    )


def _by_no_clock(condition: Condition | None, zone: ZoneInfo) -> Condition | None:
    """An event happens to nobody's clock: dates in a condition about events are those of the default zone."""
    return condition.bind({"zone": zone}) if condition is not None else None


def planned_of(rule: Rule, around: Surroundings) -> Planned | None:
    """The schedule of a rule where it stands; None if it has none."""
    schedule = rule.trigger.schedule
    if schedule is None:
        return None
    by_device = schedule.time_zone == BY_DEVICE
    return Planned(
        timetable=Timetable(schedule.timing, rule.starts, rule.ends),
        zone=FIRST_ZONE if by_device else ZoneInfo(schedule.time_zone or around.time_zone),
        by_device=by_device,
        grace=schedule.grace,
        catch_up=schedule.catch_up,
    )


def _experiment(rule: Rule, around: Surroundings) -> Experiment | None:
    said = rule.experiment
    own = Holdout(said.holdout, said.salt) if said.holdout else None
    holdouts = tuple(one for one in (around.holdout, own) if one is not None)
    weights = {variant.name: variant.weight for variant in said.variants}
    return Experiment(holdouts, said.salt, weights) if holdouts or weights else None


def is_refused(finding: Diagnostic) -> bool:
    """Whether nothing may be sent with this finding: an error, or a decision that would be obeyed in part only."""
    return finding.severity is Severity.ERROR or (finding.code == "not-yet" and finding.severity is Severity.WARNING)


def _payload(rule: Rule, message: Message, around: Surroundings, findings: list[Diagnostic]) -> PayloadTemplate | None:
    roots = roots_of(MESSAGE_ROOTS, scheduled=rule.trigger.scheduled)
    names = Names(around.schema, rule.trigger.event, roots, has_user=_has_user(rule), macros=around.templates.macros)
    with_values = read_with(message.with_values, names, around.default_locale)
    findings.extend(with_values.findings)
    files = around.templates.named(message.template)
    if files is None:
        findings.append(error("unknown-template", f"there is no templates/{message.template}.yaml",
                              message.template_node.span, around.templates.hint(message.template)))  # fmt: skip
        return None
    if files.base is None:
        return None
    payload, problems = compile_payload(
        files.base,
        files.overlays,
        with_values,
        names,
        around.default_locale,
        rule.delivery.push_type,
        fuse=around.fuse,
    )
    findings.extend(problems)
    return payload


class _Texts:
    """Checks and compiles the one-text templates of a rule, collecting findings."""

    def __init__(self, rule: Rule, around: Surroundings, findings: list[Diagnostic]) -> None:
        self.event_type = rule.trigger.event
        self.scheduled = rule.trigger.scheduled
        self.schema = around.schema
        self.macros = around.templates.macros
        self.fuse = around.fuse
        self.findings = findings
        self.nodes: dict[str, ScalarNode] = {}
        """By label, the texts that can be compiled."""

    def check(
        self, label: str, node: ScalarNode | None, roots: frozenset[str], *, missing_is_expected: bool = False
    ) -> None:
        """Check a text, if there is one."""
        if node is None:
            return
        known = roots_of(roots, scheduled=self.scheduled)
        names = Names(self.schema, self.event_type, known, missing_is_expected=missing_is_expected, macros=self.macros)
        problems = check_text(node, names)
        self.findings.extend(problems)
        if not has_errors(problems):
            self.nodes[label] = node

    def compiled(self) -> Mapping[str, TextTemplate]:
        """The texts without an error, by their labels."""
        try:
            return compile_texts({label: node.text for label, node in self.nodes.items()}, self.macros, self.fuse)
        except Uncompilable:
            found = (compile_finding(node, self.macros) for node in self.nodes.values())
            self.findings.extend(one for one in found if one is not None)
            return {}


def _node(collapse: ScalarNode | Collapse) -> ScalarNode | None:
    return collapse if isinstance(collapse, ScalarNode) else None


def _has_user(rule: Rule) -> bool:
    """Whether the audience is one of users: by their ids, or because its condition asks about them."""
    where = rule.audience.where
    return bool(rule.audience.users) or (where is not None and _reads(set(where.names), "user"))


def _reads(names: set[str], root: str) -> bool:
    return any(name == root or name.startswith(f"{root}.") for name in names)
