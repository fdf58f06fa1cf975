"""A rule's file → Rule: read by the table, conditions parsed, parts checked against each other, problems collected."""

from __future__ import annotations

import re
from datetime import date, timedelta

from scheduler.conditions.condition import Condition
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic, error, has_errors
from scheduler.diagnostics.yaml_nodes import MappingNode, ScalarNode, SequenceNode
from scheduler.diagnostics.yaml_reader import YamlFile
from scheduler.domain.lanes import Lane
from scheduler.domain.push_types import PushType
from scheduler.domain.quantities import Rate
from scheduler.domain.reentry import Reentry
from scheduler.rules.bare_names import bare_name_in_key
from scheduler.rules.contradictions import contradictions
from scheduler.rules.event_types import undeclared_type
from scheduler.rules.fields import Values, root_mapping, without_echoes
from scheduler.rules.rule import (
    Audience,
    Canary,
    Collapse,
    Delivery,
    EarlierName,
    Experiment,
    Ignored,
    Message,
    OnUnknown,
    Rule,
    Trigger,
    Variant,
)
from scheduler.rules.rule_table import RULE_TABLE
from scheduler.rules.schedule import schedule_of
from scheduler.rules.timing import timing_of

WHEN_ROOTS = frozenset({"event", "previous", "now"})
WHERE_ROOTS = frozenset({"event", "device", "user", "now", "today"})
ONE_DAY = timedelta(days=1)
_PLACES = (
    "delivery.expires_after",
    "delivery.max_age",
    "timing.delay",
    "timing.quiet_hours",
    "timing.recheck",
    "timing.unless",
)
_NOT_TWICE = frozenset({PushType.VOIP, PushType.PUSH_TO_TALK, PushType.LOCATION})
"""A second ring, or a second question where someone is, does more harm than none."""


def compile_rule(file: YamlFile, stem: str, schema: Schema) -> tuple[Rule | None, list[Diagnostic]]:
    """The rule that a file describes, and everything that is wrong with it. None exactly when there is an error."""
    root, reading = root_mapping(file)
    if root is None:
        return None, reading
    values, findings = RULE_TABLE.read(root)
    compiler = _Compiler(values, schema, without_echoes(reading, findings))
    rule = compiler.rule(stem)
    return (None if has_errors(compiler.findings) else rule), compiler.findings


def roots_of(roots: frozenset[str], *, scheduled: bool) -> frozenset[str]:
    """The roots that are known in a rule: no event starts a scheduled one, and only that has a slot."""
    return roots - {"event", "previous"} | {"slot"} if scheduled else roots


def _has_only_known_keys(audience: MappingNode) -> bool:
    return all(key.text in RULE_TABLE.children("audience") for key, _ in audience)


class _Compiler:
    def __init__(self, values: Values, schema: Schema, findings: list[Diagnostic]) -> None:
        self.values = values
        self.schema = schema
        self.findings = findings
        self.event = values.optional("trigger.event", str)
        self.scheduled = values.node("trigger.event") is None and any(
            values.has(f"trigger.{word}") for word in ("schedule", "at")
        )

    def rule(self, stem: str) -> Rule | None:
        self._check_name(stem)
        trigger, audience, message, delivery = self._trigger(), self._audience(), self._message(), self._delivery()
        timing, problems = timing_of(self.values, self.schema, self.event)
        self.findings.extend(problems)
        self.findings.extend(contradictions(self.values))
        reentry, reentry_key = self._reentry()
        category = self.values.node("category")
        if message is None or not isinstance(category, ScalarNode):
            return None
        return Rule(
            name=stem,
            description=self.values.get("description", str, ""),
            owner=self.values.get("owner", str, ""),
            category=category.text,
            category_node=category,
            enabled=self.values.get("enabled", bool, True),
            starts=self.values.optional("starts", date),
            ends=self.values.optional("ends", date),
            renamed_from=self._renamed_from(),
            trigger=trigger,
            audience=audience,
            message=message,
            delivery=delivery,
            timing=timing,
            places={path: self.values.span(path) for path in _PLACES if self.values.has(path)},
            audience_max=self.values.optional("limits.audience_max", int),
            ignores_fuse=self.values.has("limits.fuse"),
            reentry=reentry,
            reentry_key=reentry_key,
            heeds_caps=self.values.get("limits.caps", str, "apply") != "ignore",
            one_device=self.values.get("limits.per_user", str, "all") == "latest",
            experiment=self._experiment(stem, message),
            ignored=self._ignored(),
        )

    def _check_name(self, stem: str) -> None:
        name = self.values.optional("rule", str)
        if name is not None and name != stem:
            self._error("wrong-name", f"`rule` is '{name}', but the file is called '{stem}'", "rule",
                        f"write `rule: {stem}`, leave it out, or rename the file")  # fmt: skip
        elif name is None and not re.fullmatch(r"[a-z0-9][a-z0-9-]*", stem):
            self._error("wrong-name", f"'{stem}' cannot be the name of a rule", "",
                        "name the file with lower-case letters, digits and `-`")  # fmt: skip

    def _renamed_from(self) -> tuple[EarlierName, ...]:
        node = self.values.node("renamed_from")
        items = node.items if isinstance(node, SequenceNode) and self.values.has("renamed_from") else ()
        return tuple(EarlierName(one.text, one.span) for one in items if isinstance(one, ScalarNode))

    def _trigger(self) -> Trigger:
        values = self.values
        manual = values.get("trigger.manual", bool, False)
        section = values.node("trigger")
        # What was said and could not be read has its own finding.
        starters = ("event", "manual", "schedule", "at")
        others = (
            any(values.node(f"trigger.{word}") or values.is_misspelt(f"trigger.{word}") for word in starters)
            or values.is_misspelt("trigger")
            or not (section is None or isinstance(section, MappingNode))
        )
        if not others or (self.event is None and values.has("trigger.manual") and not manual):
            hint = 'add `trigger: {event: …}`, or in its place `schedule: "0 9 * * *"`, `at: …` or `manual: true`'
            self._error("missing-key", "nothing starts this rule", "trigger", hint)
        if self.event is not None:
            self.findings.extend(undeclared_type(self.event, self.schema, values.span("trigger.event")))
        if self.event is None and values.node("trigger.event") is None:
            for key in ("when", "once_per"):
                if values.has(f"trigger.{key}"):
                    self._error("unused-key", f"`trigger.{key}` is about events, and no event starts this rule",
                                f"trigger.{key}", "add `trigger.event`, or leave it out")  # fmt: skip
        return Trigger(
            event=self.event,
            scheduled=self.scheduled,
            schedule=schedule_of(self.values) if self.scheduled else None,
            when=self._condition("trigger.when", WHEN_ROOTS),
            once_per=self._template("trigger.once_per"),
            manual=manual,
        )

    def _audience(self) -> Audience:
        values = self.values
        users = values.get("audience.users", tuple, ())
        topics = values.get("audience.topics", tuple, ())
        everyone = values.get("audience.everyone", bool, False)
        section = values.node("audience")
        narrowed = any(values.node(f"audience.{word}") for word in ("users", "topics", "where"))
        # What was said and could not be read has its own finding.
        unread = (
            values.is_misspelt("audience")
            or (values.node("audience.everyone") is not None and not values.has("audience.everyone"))
            or not (section is None or (isinstance(section, MappingNode) and _has_only_known_keys(section)))
        )
        if not (narrowed or unread or everyone):
            self._error("no-audience", "nothing says whom this rule is for", "audience",
                        "add `users`, `topics` or `where`; for all devices write `everyone: true`")  # fmt: skip
        if everyone and (users or topics):
            self._error("no-audience", "`everyone` contradicts `users` and `topics`", "audience.everyone",
                        "leave one of them out")  # fmt: skip
        return Audience(
            app=values.optional("audience.app", str),
            app_span=values.span("audience.app"),
            users=tuple(self._checked_template(one) for one in users),
            topics=tuple(self._checked_template(one, may_be_field_name=True) for one in topics),
            where=self._condition("audience.where", roots_of(WHERE_ROOTS, scheduled=self.scheduled)),
            everyone=everyone,
        )

    def _message(self) -> Message | None:
        if self.values.node("message") is None and not self.values.is_misspelt("message"):
            self._error("missing-key", "`message.template` is missing", "", "add `message: {template: NAME}`")
        template = self.values.node("message.template")
        if not isinstance(template, ScalarNode):
            return None
        return Message(
            template=template.text,
            template_node=template,
            with_values=self.values.optional("message.with", MappingNode),
        )

    def _experiment(self, stem: str, message: Message) -> Experiment:
        """Who gets nothing, and the variants; what one of them leaves out is the rule's own.

        People are drawn by the rule's first name: a rename is not a new campaign.
        """
        values = self.values
        earlier = self._renamed_from()
        variants = []
        for variant in values.get("experiment.variants", tuple, ()):
            node = variant.node("template")
            own = Message(
                template=variant.get("template", str, message.template),
                template_node=node if isinstance(node, ScalarNode) else message.template_node,
                with_values=variant.get("with", MappingNode, message.with_values),
            )
            name, weight = variant.get("name", str, ""), variant.get("weight", int, 0)
            variants.append(Variant(name=name, weight=weight, message=own))
        return Experiment(
            holdout=values.get("experiment.holdout", float, 0.0),
            salt=values.get("experiment.salt", str, earlier[0].name if earlier else stem),
            variants=tuple(variants),
        )

    def _ignored(self) -> tuple[Ignored, ...]:
        entries = []
        for entry in self.values.get("ignore", tuple, ()):
            node = entry.node("check")
            assert isinstance(node, ScalarNode)
            entries.append(Ignored(node.text, node.span))
        return tuple(entries)

    def _delivery(self) -> Delivery:
        values = self.values
        push_type = values.get("delivery.type", PushType, PushType.ALERT)
        type_node = values.node("delivery.type")
        priority = int(values.get("delivery.priority", str, str(push_type.priorities[0])))
        if priority not in push_type.priorities:
            possible = " or ".join(map(str, push_type.priorities))
            hint = f"Apple takes {possible}; leave it out: it is {push_type.priorities[0]}"
            message = f"the priority of type `{push_type}` cannot be {priority}"
            self._error("wrong-value", message, "delivery.priority", hint)
        collapse = self._template("delivery.collapse")
        supersede = self._template("delivery.supersede")
        default = Collapse.DERIVED if push_type is PushType.ALERT else Collapse.NONE
        unknown = OnUnknown.DROP if push_type in _NOT_TWICE else OnUnknown.RESEND
        return Delivery(
            push_type=push_type,
            type_node=type_node if isinstance(type_node, ScalarNode) else None,
            priority=priority,
            expires_after=values.get("delivery.expires_after", timedelta, ONE_DAY),
            collapse=default if collapse is None else Collapse.NONE if collapse.text == "none" else collapse,
            supersede=supersede,
            lane=values.get("delivery.lane", Lane, Lane.NORMAL),
            rate=values.optional("delivery.rate", Rate),
            max_age=values.optional("delivery.max_age", timedelta),
            on_unknown=values.get("delivery.on_unknown", OnUnknown, unknown),
            canary=self._canary(),
        )

    def _canary(self) -> Canary | None:
        said = self.values.optional("delivery.canary", Values)
        if said is None:
            return None
        return Canary(
            share=said.get("share", float, 0.0),
            wait=said.get("wait", timedelta, timedelta()),
            max_rejects=said.get("max_rejects", float, 0.0),
        )

    def _reentry(self) -> tuple[Reentry | None, ScalarNode | None]:
        """How often a person may have it, and the key by which; None: always."""
        match self.values.optional("limits.reentry", object):
            case "never":
                return Reentry(), None
            case Values() as said:
                key = said.optional("key", ScalarNode)
                after = said.get("after", timedelta, ONE_DAY)
                return Reentry(after), None if key is None else self._checked_template(key)
        return None, None

    def _condition(self, path: str, roots: frozenset[str]) -> Condition | None:
        node = self.values.optional(path, ScalarNode)
        if node is None:
            return None
        condition, findings = parse_condition(node, self.schema, names=roots, event_type=self.event)
        self.findings.extend(findings)
        return condition

    def _template(self, path: str) -> ScalarNode | None:
        node = self.values.optional(path, ScalarNode)
        return None if node is None else self._checked_template(node)

    def _checked_template(self, node: ScalarNode, *, may_be_field_name: bool = False) -> ScalarNode:
        """`may_be_field_name`: what is called like a field of the event's data may be meant as the text that it is."""
        found = bare_name_in_key(node, () if may_be_field_name else self.schema.event_data(self.event).fields)
        if found is not None:
            self.findings.append(found)
        return node

    def _error(self, code: str, message: str, path: str, hint: str | None = None) -> None:
        self.findings.append(error(code, message, self.values.span(path), hint))
