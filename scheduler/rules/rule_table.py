"""The fields of a rule, in the order of the reference. Reading, JSON Schema and docs/rules.md are made from it."""

from __future__ import annotations

from scheduler.domain.lanes import Lane
from scheduler.rules.fields import Field, Table
from scheduler.rules.kinds import (
    ANYTHING,
    BOOLEAN,
    CONDITION,
    EVENT_TYPE,
    EXPIRY,
    MAPPING,
    NAME,
    RATE,
    SOME_TIME,
    TEMPLATE,
    TEMPLATES,
    TEXT,
    WORD,
    choice,
    one_of,
)
from scheduler.rules.rule import OnUnknown

PUSH_TYPES = ("alert", "background")
UNBUILT_PUSH_TYPES = (
    "liveactivity", "voip", "complication", "fileprovider", "mdm", "location", "pushtotalk", "widgets", "controls",
)  # fmt: skip

_IDENTITY = (
    Field(path="rule", kind=WORD, default="the file's stem", meaning="The rule's name. If given, equal to the stem."),
    Field(path="description", kind=TEXT, meaning="Shown in reports and alarms."),
    Field(path="owner", kind=TEXT, meaning="Who answers for it. Shown in reports and alarms."),
    Field(path="category", kind=NAME, required=True, meaning="Opt-outs and reports go by it. Frozen on what is sent."),
    Field(path="enabled", kind=BOOLEAN, default="true", meaning="false: no new occasions."),
    Field(path="starts", kind=ANYTHING, built=False, meaning="Not before this date or instant."),
    Field(path="ends", kind=ANYTHING, built=False, meaning="Nothing is sent after this date or instant."),
    Field(path="renamed_from", kind=ANYTHING, built=False, meaning="Earlier names: a rename is not a new campaign."),
)
_TRIGGER = (
    Field(path="trigger.event", kind=EVENT_TYPE, meaning="The type of event that starts it; may end in `*`."),
    Field(path="trigger.when", kind=CONDITION, default="true",
          meaning="Which of these events count. About `event`, `previous`, `now`."),
    Field(path="trigger.once_per", kind=TEMPLATE, default="the event's source and id",
          meaning="The occasion's key: events with the same key notify once. A missing part: no run (`key_missing`)."),
    Field(path="trigger.manual", kind=BOOLEAN, default="false", meaning="May be started by `clarion fire`."),
    Field(path="trigger.schedule", kind=ANYTHING, built=False, meaning="A cron schedule."),
    Field(path="trigger.at", kind=ANYTHING, built=False, meaning="One instant."),
    Field(path="trigger.time_zone", kind=ANYTHING, built=False, meaning="The zone of a schedule."),
    Field(path="trigger.grace", kind=ANYTHING, built=False, meaning="How late a slot may start."),
    Field(path="trigger.catch_up", kind=ANYTHING, built=False, meaning="Which missed slots run after downtime."),
)  # fmt: skip
_AUDIENCE = (
    Field(path="audience.app", kind=NAME, default="the only app",
          meaning="An app of clarion.yaml. May be left out if there is one."),
    Field(path="audience.users", kind=TEMPLATES,
          meaning="User ids, any of. A value that is missing is left out; nothing left: `audience_missing`."),
    Field(path="audience.topics", kind=TEMPLATES, meaning="Topics, any of. With `users`: both must match."),
    Field(path="audience.where", kind=CONDITION, meaning="About `device`, `user`, `event`, `now`."),
    Field(path="audience.everyone", kind=BOOLEAN, default="false",
          meaning="Must be true if there are neither `users`, `topics` nor `where`."),
)  # fmt: skip
_MESSAGE = (
    Field(path="message.template", kind=NAME, required=True, meaning="templates/NAME.yaml."),
    Field(path="message.with", kind=MAPPING,
          meaning="Values for the template: texts or templates; a mapping whose keys are all locales is localised."),
)  # fmt: skip
_DELIVERY = (
    Field(path="delivery.type", kind=choice(PUSH_TYPES, UNBUILT_PUSH_TYPES), default="alert",
          meaning="The push type."),
    Field(path="delivery.priority", kind=choice(("10", "5", "1")), default="10; background 5",
          meaning="10 at once, 5 with regard to power, 1 power first."),
    Field(path="delivery.expires_after", kind=EXPIRY, default="1 day",
          meaning="From *due*: how long Apple may keep trying. `never_store`: one attempt."),
    Field(path="delivery.collapse", kind=TEMPLATE, default="derived from the occasion; background none",
          meaning="A later notification with the same text replaces the earlier. At most 64 bytes; or `none`."),
    Field(path="delivery.supersede", kind=TEMPLATE, default="`collapse`, if set without `device` and `user`",
          meaning="A newer run with the same text stops what is unsent of older ones. Stored; it does not act yet."),
    Field(path="delivery.lane", kind=one_of(Lane), default="normal", meaning="Which work goes first."),
    Field(path="delivery.rate", kind=RATE, default="no limit", meaning="Starts of this rule: `N/s` or `N/min`."),
    Field(path="delivery.max_age", kind=SOME_TIME, default="1 day",
          meaning="From *due* to the commit of the send; later it is `stale`."),
    Field(path="delivery.on_unknown", kind=one_of(OnUnknown), default="resend",
          meaning="What is done with what may or may not have been sent."),
    Field(path="delivery.canary", kind=ANYTHING, built=False, meaning="A share first, then the rest."),
)  # fmt: skip
_LATER = (
    Field(path="timing.delay", kind=ANYTHING, built=False, off=("0 s",), meaning="Wait after the event."),
    Field(path="timing.unless", kind=ANYTHING, built=False, meaning="Events that call it off."),
    Field(path="timing.recheck", kind=ANYTHING, built=False, off=("true",), meaning="`where` again after the delay."),
    Field(path="timing.quiet_hours", kind=ANYTHING, built=False, off=("ignore",), meaning="Nothing at night."),
    Field(path="limits.reentry", kind=ANYTHING, built=False, off=("always",), meaning="How often one person gets it."),
    Field(path="limits.caps", kind=ANYTHING, built=False, off=("ignore",), meaning="Whether the settings' caps hold."),
    Field(path="limits.audience_max", kind=ANYTHING, built=False, meaning="Above it the run does not start."),
    Field(path="limits.fuse", kind=ANYTHING, built=False, off=("ignore",), meaning="Stop at an unusual audience."),
    Field(path="limits.per_user", kind=ANYTHING, built=False, off=("all",), meaning="All devices of a person or one."),
    Field(path="experiment", kind=ANYTHING, built=False, meaning="Holdout and variants."),
    Field(path="ignore", kind=ANYTHING, built=False, meaning="Warnings to silence in this file."),
)
_RESERVED = tuple(
    Field(path=word, kind=ANYTHING, reserved=True, meaning=hint)
    for word, hint in (
        ("steps", "write one rule for each step"),
        ("collect", "a rule of today runs once for each occasion"),
        ("segment", "write its condition in `audience.where`"),
        ("window", "say how long it may take with `delivery.expires_after`"),
        ("conversions", "measure them where they happen"),
        ("live_activity", "send an alert"),
    )
)

RULE_TABLE = Table(
    (*_IDENTITY, *_TRIGGER, *_AUDIENCE, *_MESSAGE, *_DELIVERY, *_LATER, *_RESERVED),
    hints={
        "on": "a rule listens with `trigger: {event: …}`",
        "name": "a rule's name is its file's stem",
        "app": "it stands in `audience`",
        "ttl": "did you mean `delivery.expires_after`?",
        "body": "texts stand in the template: `message: {template: NAME}`",
        "title": "texts stand in the template: `message: {template: NAME}`",
    },
)
