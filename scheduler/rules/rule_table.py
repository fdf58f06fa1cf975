"""The fields of a rule, in the order of the reference. Reading, JSON Schema and docs/rules.md are made from it."""

from __future__ import annotations

from scheduler.domain.lanes import Lane
from scheduler.domain.push_types import PushType
from scheduler.domain.quiet_hours import QuietAction
from scheduler.rules.fields import Field, Table
from scheduler.rules.kinds import (
    ANYTHING,
    BOOLEAN,
    CONDITION,
    DURATION,
    EVENT_TYPE,
    EXPIRY,
    MAPPING,
    NAME,
    PERCENT,
    RATE,
    SOME_TIME,
    TEMPLATE,
    TEMPLATES,
    TEXT,
    WHOLE_NUMBER,
    WORD,
    choice,
    one_of,
)
from scheduler.rules.records import either, list_of, one_or_list, record
from scheduler.rules.rule import OnUnknown
from scheduler.rules.time_kinds import MOMENT, POINT_IN_TIME, SCHEDULE, SINCE, TIME_OF_DAY, ZONE
from scheduler.rules.timing import ExitMatch

_PUSH_WORDS = {"push": "alert", "notification": "alert", "silent": "background", "data": "background"}
_PRIORITY_WORDS = {"high": "10", "immediate": "10", "normal": "5", "low": "1"}
_UNKNOWN_WORDS = {"retry": "resend", "again": "resend", "ignore": "drop"}
_LANE_WORDS = {"high": "urgent", "immediate": "urgent", "transactional": "urgent", "default": "normal", "low": "bulk"}
_REENTRY_WORDS = {"once": "never", "false": "never", "no": "never", "true": "always", "yes": "always"}
"""Words that people try, with ours."""

_IDENTITY = (
    Field(path="rule", kind=WORD, default="the file's stem", meaning="The rule's name. If given, equal to the stem.",
          example="flash-sale"),
    Field(path="description", kind=TEXT, meaning="Shown in reports and alarms.", example="Tell fans about a goal"),
    Field(path="owner", kind=TEXT, meaning="Who answers for it. Shown in reports and alarms.",
          example="sports-desk@example.com"),
    Field(path="category", kind=NAME, required=True, meaning="Caps, opt-outs, quiet hours and reports go by it. Frozen "
          "on what is sent.", example="marketing"),
    Field(path="enabled", kind=BOOLEAN, default="true", meaning="false: no new occasions.", example="false"),
    Field(path="starts", kind=MOMENT, meaning="Not before this date or time.", example="2026-11-27"),
    Field(path="ends", kind=MOMENT, example="2026-11-30",
          meaning="Nothing is sent after it; a date includes that day."),
    Field(path="renamed_from", kind=list_of(WORD, "a list of rule names"), example="[summer-sale]",
          meaning="Earlier names: a rename is not a new campaign."),
)  # fmt: skip
_TRIGGER = (
    Field(path="trigger.event", kind=EVENT_TYPE, meaning="The type of event that starts it; may end in `*`.",
          example="com.example.order.placed"),
    Field(path="trigger.when", kind=CONDITION, default="true", example="event.data.items > 2",
          meaning="Which of these events count. About `event`, `previous`, `now`."),
    Field(path="trigger.once_per", kind=TEMPLATE, default="the event's source and id", example='"{{ event.subject }}"',
          meaning="The occasion's key: events with the same key notify once. A missing part: no run (`key_missing`)."),
    Field(path="trigger.manual", kind=BOOLEAN, default="false", meaning="May be started by `clarion fire`.",
          example="true"),
    Field(path="trigger.schedule", kind=SCHEDULE, example="0 9 * * mon",
          meaning="Again and again: a cron schedule, or every so many days, weeks or months."),
    Field(path="trigger.at", kind=POINT_IN_TIME, meaning="Once, at this time.",
          example="2026-11-27 09:00"),
    Field(path="trigger.time_zone", kind=ZONE, default="`defaults.time_zone`", example="Europe/Vienna",
          meaning="The zone of the schedule; `device`: each device at its own wall time."),
    Field(path="trigger.grace", kind=DURATION, default="1 hour", example="2 hours",
          meaning="How late a slot may start; later it is skipped (`slot_missed`)."),
    Field(path="trigger.catch_up", kind=choice(("skip", "last", "all")), default="last",
          meaning="Which slots run that were missed while the daemon was down.", example="skip"),
)  # fmt: skip
_AUDIENCE = (
    Field(path="audience.app", kind=NAME, default="the only app",
          example="shop", meaning="An app of clarion.yaml. May be left out if there is one."),
    Field(path="audience.users", kind=TEMPLATES,
          example='["{{ event.data.user_id }}"]',
          meaning="User ids, any of. A value that is missing is left out; nothing left: `audience_missing`."),
    Field(path="audience.topics", kind=TEMPLATES,
          example='["team:{{ event.data.home }}"]', meaning="Topics, any of. With `users`: both must match."),
    Field(path="audience.where", kind=CONDITION,
          example='device.attributes.alerts in ["all", "goals"]',
          meaning="About `device`, `user`, `event`, `now`, `today`."),
    Field(path="audience.everyone", kind=BOOLEAN, default="false",
          example="true", meaning="Must be true if there are neither `users`, `topics` nor `where`."),
)  # fmt: skip
_MESSAGE = (
    Field(path="message.template", kind=NAME, required=True, example="goal-alert", meaning="templates/NAME.yaml."),
    Field(path="message.with", kind=MAPPING,
          example='{headline: {en: Goal, de: Tor}}',
          meaning="Values for the template: texts or templates; a mapping whose keys are all locales is localised."),
)  # fmt: skip
_CANARY = record(
    "delivery.canary",
    Field(path="share", kind=PERCENT, required=True, meaning="How many of the people go first.", example="0.5%"),
    Field(path="wait", kind=DURATION, required=True, meaning="How long the rest waits once these are sent.",
          example="5 minutes"),
    Field(path="max_rejects", kind=PERCENT, required=True, example="2%",
          meaning="A larger share of rejects among their answers pauses the run."),
)  # fmt: skip
_DELIVERY = (
    Field(path="delivery.type", kind=one_of(PushType, _PUSH_WORDS), default="alert",
          example="background", meaning="The push type."),
    Field(path="delivery.priority", kind=choice(("10", "5", "1"), meant=_PRIORITY_WORDS),
          default="10; background and fileprovider 5", example="5",
          meaning="10 at once, 5 with regard to power, 1 power first."),
    Field(path="delivery.expires_after", kind=EXPIRY, default="1 day",
          example="15 minutes", meaning="From *due*: how long Apple may keep trying. `never_store`: one attempt."),
    Field(path="delivery.collapse", kind=TEMPLATE, default="derived from the occasion; of other types than alert none",
          example='"game-{{ event.subject }}"',
          meaning="A later notification with the same text replaces the earlier. At most 64 bytes; or `none`."),
    Field(path="delivery.supersede", kind=TEMPLATE, default="`collapse`, if set without `device` and `user`",
          example='"game-{{ event.subject }}"',
          meaning="A newer run of the rule with the same text stops what is unsent of older ones (`superseded`)."),
    Field(path="delivery.lane", kind=one_of(Lane, _LANE_WORDS), default="normal",
          example="urgent", meaning="Which work goes first."),
    Field(path="delivery.rate", kind=RATE, default="no limit",
          example="500/s", meaning="Starts of this rule: `N/s` or `N/min`. For one run: `clarion runs rate ID N/s`."),
    Field(path="delivery.max_age", kind=SOME_TIME, default="1 day; none where quiet hours hold",
          example="10 minutes", meaning="From *due* to the commit of the send, holds counted; later it is `stale`."),
    Field(path="delivery.on_unknown", kind=one_of(OnUnknown, _UNKNOWN_WORDS),
          default="resend; voip, pushtotalk and location drop",
          example="drop", meaning="What is done with what may or may not have been sent."),
    Field(path="delivery.canary", kind=_CANARY,
          meaning="First a share of the people, drawn by a hash; then the rest, unless too many were rejected.",
          example="{share: 0.5%, wait: 5 minutes, max_rejects: 2%}"),
)  # fmt: skip
_UNLESS = record(
    "timing.unless",
    Field(path="event", kind=EVENT_TYPE, required=True, meaning="The type of event that calls it off.",
          example="com.example.order.placed"),
    Field(path="match", kind=one_of(ExitMatch), default="user", example="subject",
          meaning="What it has in common: `data.user_id` is the person's user, or its subject is the rule's event's."),
    Field(path="where", kind=CONDITION, meaning="About `exit`, the exit event, and `event`.",
          example="exit.data.basket_id == event.data.basket_id"),
    Field(path="since", kind=SINCE, default="the trigger's time", example="1 hour before",
          meaning="Exit events count from here on."),
)  # fmt: skip
_QUIET = record(
    "timing.quiet_hours",
    Field(
        path="from",
        kind=TIME_OF_DAY,
        default="the settings'",
        meaning="The quiet hours begin, in the device's zone.",
        example="22:00",
    ),
    Field(
        path="to",
        kind=TIME_OF_DAY,
        default="the settings'",
        meaning="They end; may be the next morning.",
        example="08:00",
    ),
    Field(
        path="then",
        kind=one_of(QuietAction),
        default="the category's",
        meaning="What is done with what falls into them.",
        example="hold",
    ),
)
_REENTRY = record(
    "limits.reentry",
    Field(path="after", kind=DURATION, required=True, meaning="The same person again after this time.",
          example="7 days"),
    Field(path="key", kind=TEMPLATE, meaning="Only with the same key it is the same entry.",
          example='"{{ event.data.basket_id }}"'),
)  # fmt: skip
_VARIANT = record(
    "experiment.variants",
    Field(path="name", kind=WORD, required=True, meaning="The variant's name in reports.", example="short"),
    Field(path="weight", kind=WHOLE_NUMBER, required=True, meaning="Its share, against the other weights.",
          example="50"),
    Field(path="template", kind=NAME, default="the rule's", meaning="A template of its own.", example="basket-short"),
    Field(path="with", kind=MAPPING, default="the rule's", meaning="Values of its own.", example="{headline: Hello}"),
)  # fmt: skip
_IGNORED = record(
    "ignore",
    Field(path="check", kind=WORD, required=True, meaning="The code of a warning or note.", example="overlay-texts"),
    Field(
        path="because", kind=TEXT, required=True, meaning="Why it is all right here.", example="the picture says it all"
    ),
)
_TIMING = (
    Field(path="timing.delay", kind=DURATION, default="none", example="2 hours",
          meaning="Wait so long after the event's time."),
    Field(path="timing.unless", kind=one_or_list(_UNLESS, "a list of events that call it off"),
          meaning="Events that call it off for a person (`exit_event`).", example="{event: com.example.order.placed}"),
    Field(path="timing.recheck", kind=BOOLEAN, default="true", example="false",
          meaning="`where` is evaluated again when the delay is over (`no_longer_matches`)."),
    Field(path="timing.quiet_hours", kind=either(one_of(QuietAction), _QUIET), default="the category's",
          meaning="What is done with what falls into the quiet hours.",
          example="{from: 22:00, to: 08:00}"),
)  # fmt: skip
_LIMITS = (
    Field(path="limits.reentry", kind=either(choice(("always", "never"), meant=_REENTRY_WORDS), _REENTRY),
          default="always; `at`: never",
          meaning="How often one person gets it: `always`, `never` again, or again after a time, by a key.",
          example="never"),
    Field(path="limits.caps", kind=choice(("apply", "ignore")), default="apply",
          meaning="Whether the settings' caps hold, and count it.", example="ignore"),
    Field(path="limits.audience_max", kind=WHOLE_NUMBER, default="the settings'", example="100000",
          meaning="With more devices the run does not start: it is paused, and `runs resume` lets it start."),
    Field(path="limits.fuse", kind=choice(("ignore",)), default="the settings'", example="ignore",
          meaning="`ignore`: it may suddenly select far more devices than ever, and goes on."),
    Field(path="limits.per_user", kind=choice(("all", "latest")), default="all",
          meaning="All devices of a person that match, or the one used last.", example="latest"),
)  # fmt: skip
_EXPERIMENT = (
    Field(path="experiment.holdout", kind=PERCENT, meaning="The share of people that gets nothing (`held_out`).",
          example="5%"),
    Field(path="experiment.salt", kind=TEXT, default="the rule's first name", example="autumn",
          meaning="Rules with the same salt hold out the same people."),
    Field(path="experiment.variants", kind=list_of(_VARIANT, "a list of variants"),
          meaning="Several messages, shared out by weight.", example="[{name: a, weight: 50}, {name: b, weight: 50}]"),
)  # fmt: skip
_IGNORE = (
    Field(path="ignore", kind=list_of(_IGNORED, "a list of checks"), meaning="Warnings to silence in this file.",
          example="[{check: overlay-texts, because: the picture says it all}]"),
)  # fmt: skip
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
    (*_IDENTITY, *_TRIGGER, *_AUDIENCE, *_MESSAGE, *_DELIVERY, *_TIMING, *_LIMITS, *_EXPERIMENT, *_IGNORE, *_RESERVED),
    hints={
        "on": "a rule listens with `trigger: {event: …}`",
        "name": "a rule is called like its file: rules/NAME.yaml",
        "app": "it stands in `audience`",
        "ttl": "did you mean `delivery.expires_after`?",
        "body": "texts stand in the template: `message: {template: NAME}`",
        "title": "texts stand in the template: `message: {template: NAME}`",
        "text": "texts stand in the template: `message: {template: NAME}`",
    },
)
