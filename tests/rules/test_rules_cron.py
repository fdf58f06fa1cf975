"""Cron expressions: what they name, and what is said about those that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.rules.cron import CronMistake, parse_cron


@pytest.mark.parametrize(
    ("text", "minutes", "hours", "days", "months", "weekdays"),
    [
        ("0 9 * * *", {0}, {9}, set(range(1, 32)), set(range(1, 13)), set(range(7))),
        ("*/20 * * * *", {0, 20, 40}, set(range(24)), set(range(1, 32)), set(range(1, 13)), set(range(7))),
        ("5,10-14/2 1 2 3 4", {5, 10, 12, 14}, {1}, {2}, {3}, {4}),
        ("0 0 * * 0", {0}, {0}, set(range(1, 32)), set(range(1, 13)), {0}),
        ("0 0 * * 7", {0}, {0}, set(range(1, 32)), set(range(1, 13)), {0}),
        ("0 0 * * 5-7", {0}, {0}, set(range(1, 32)), set(range(1, 13)), {5, 6, 0}),
        ("0 0 * * fri-sun", {0}, {0}, set(range(1, 32)), set(range(1, 13)), {5, 6, 0}),
        ("0 0 * JAN,mar Mon-Wed", {0}, {0}, set(range(1, 32)), {1, 3}, {1, 2, 3}),
        ("0 0 29 2 *", {0}, {0}, {29}, {2}, set(range(7))),
        ("0 0 30 2 mon", {0}, {0}, {30}, {2}, {1}),
        (" 0  9   * * * ", {0}, {9}, set(range(1, 32)), set(range(1, 13)), set(range(7))),
    ],
)
def test_expression_names_these_times(
    text: str, minutes: set[int], hours: set[int], days: set[int], months: set[int], weekdays: set[int]
) -> None:
    cron = parse_cron(text)
    assert (cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays) == (minutes, hours, days, months, weekdays)


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("* * * *", "* * * *", "a schedule has five fields, and this has 4",
         'minute, hour, day of the month, month, day of the week: "0 9 * * mon" is Mondays at 9:00'),
        ("0 0 9 * * *", "0 0 9 * * *", "a schedule has five fields, and this has 6",
         "there are no seconds: leave the first field out"),
        ("@daily", "@daily", "'@daily' is no schedule here", 'write "0 0 * * *"'),
        ("60 * * * *", "60", "60 is no minute: those are 0 to 59", None),
        ("0 24 * * *", "24", "24 is no hour: those are 0 to 23", None),
        ("0 9 0 * *", "0", "0 is no day of the month: those are 1 to 31", None),
        ("0 9 * 13 *", "13", "13 is no month: those are 1 to 12", None),
        ("0 9 * * 8", "8", "8 is no day of the week: those are 0 to 7", None),
        ("0 9 * * monday", "monday", "'monday' is no day of the week", "did you mean 'mon'?"),
        ("0 9 * decembre *", "decembre", "'decembre' is no month", "did you mean 'dec'?"),
        ("0 9 * * 5L", "5L", "'5L' is no day of the week",
         "`L`, `W` and `#` are not known; fire the rule by hand, or write several rules"),
        ("0 9 ? * mon", "?", "'?' is no day of the month", "write `*`"),
        ("0 22-2 * * *", "22-2", "the range '22-2' runs backwards", "write `22-23,0-2`"),
        ("5/10 * * * *", "5/10", "'5/10' steps from a single minute", "write `5-59/10`"),
        ("*/0 * * * *", "*/0", "a step of 0 does not fit the minute", "write a step from 1 to 59"),
        ("0 9 30 2 *", "30 2", "this day never comes: no such month has so many days",
         "write a day that such a month has, `28` say, or another month"),
        ("0 9 31 2,4,6 *", "31 2,4,6", "this day never comes: no such month has so many days",
         "write a day that such a month has, `28` say, or another month"),
        ("0 9 1, * *", "1,", "'' is no day of the month",
         "write numbers, names, `*`, a range `1-5`, a list `1,3`, a step `*/15`"),
    ],
)  # fmt: skip
def test_mistake_says_what_where_and_the_way_out(text: str, place: str, message: str, hint: str | None) -> None:
    with pytest.raises(CronMistake) as caught:
        parse_cron(text)
    mistake = caught.value
    assert (text[mistake.start : mistake.end].strip(), str(mistake), mistake.hint) == (
        place if place != "1," else "", message, hint
    )  # fmt: skip


@given(st.text("0123456789*/,-LW#? monjanSUN@", max_size=20))
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    try:
        cron = parse_cron(text)
    except CronMistake:
        return
    assert all((cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays))
    assert cron.minutes <= set(range(60))
    assert cron.weekdays <= set(range(7))
