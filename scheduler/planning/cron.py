"""The wall times of a cron expression, computed by APScheduler: the one place that knows it.

Its triggers are asked in UTC, which has no summer time, with wall times in place of instants: in a zone a daily cron
fires twice in the hour that is repeated. Weekdays are passed by name, because there 0 is Monday. A day that matches by
its date or by its weekday (crontab(5)) is two triggers: there both must hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import merge

from apscheduler.triggers.cron import CronTrigger

from scheduler.rules.cron import CronExpression

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ONE_MINUTE = timedelta(minutes=1)


def cron_walls(cron: CronExpression, after: datetime) -> Iterator[datetime]:
    """The wall times later than `after`, in order, each once; until the calendar ends in the year 9999.

    >>> from scheduler.rules.cron import parse_cron
    >>> next(cron_walls(parse_cron("0 9 * * 0"), datetime(2026, 11, 27)))  # a Friday
    datetime.datetime(2026, 11, 29, 9, 0)
    """
    before = None
    for wall in merge(*(_walls(trigger, after) for trigger in _triggers(cron))):
        if wall != before:
            yield wall
        before = wall


def _walls(trigger: CronTrigger, after: datetime) -> Iterator[datetime]:
    wall = after.replace(second=0, microsecond=0)
    try:
        while True:
            fire = trigger.get_next_fire_time(None, (wall + _ONE_MINUTE).replace(tzinfo=UTC))
            if fire is None:
                return
            wall = fire.replace(tzinfo=None)
            yield wall
    except (OverflowError, ValueError):  # the year 10000
        return


@lru_cache(maxsize=1024)
def _triggers(cron: CronExpression) -> tuple[CronTrigger, ...]:
    days, weekdays = _numbers(cron.days, 31), ",".join(_WEEKDAYS[day] for day in sorted(cron.weekdays))
    if not cron.any_day and not cron.any_weekday:
        return _trigger(cron, days, "*"), _trigger(cron, "*", weekdays)
    return (_trigger(cron, days, weekdays if len(cron.weekdays) < len(_WEEKDAYS) else "*"),)


def _trigger(cron: CronExpression, days: str, weekdays: str) -> CronTrigger:
    return CronTrigger(
        minute=_numbers(cron.minutes, 60),
        hour=_numbers(cron.hours, 24),
        day=days,
        month=_numbers(cron.months, 12),
        day_of_week=weekdays,
        timezone=UTC,
    )


def _numbers(values: Iterable[int], whole: int) -> str:
    found = sorted(values)
    return "*" if len(found) == whole else ",".join(map(str, found))
