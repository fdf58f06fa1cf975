"""Random conditions and random values for them, hard ones first: for the laws of binding and of SQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from scheduler.conditions.expressions import (
    And,
    Call,
    Changed,
    Compare,
    Comparison,
    Constant,
    Default,
    Expression,
    Function,
    In,
    IsDefined,
    ListOf,
    LocalDate,
    Name,
    Not,
    Or,
    Sum,
    WallTime,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HARD_STRINGS = [
    "",
    "a",
    "A",
    "aa",
    "é",
    "Z",
    "z",
    "'",
    '"',
    "\\",
    "%",
    "_",
    "1",
    "0",
    "true",
    "null",
    "1.0",
    "de",
    "vip",
    "\uffff",
    "\U0001f600",
    "a\nb",
    " a",
    "team:FCB",
    "ß",
    "İ",
    "ﬁ",
    "ς",
    "σ",
    "\u212a",  # Kelvin's sign: in lower case a plain k
    "k",
    "ſ",  # in upper case a plain S
    "S",
    "2026-11-23",
    "2026-02-30",
    "0001-01-01",
    "9999-12-31",
    "2026-11-23T12:00:00Z",
    "2026-11-23T13:00:00+01:00",
    "2026-11-22t12:01:00-23:59",
    "2026-11-24 11:59:00.000001+23:59",
    "9999-12-31T23:59:59-23:59",
    "9223372036854775808",
    " 7 ",
]
HARD_NUMBERS: list[int | float] = [0, 1, -1, 2, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**62, 0.0, -0.0, 1.0, 0.1, 0.5,
    0.30000000000000004, 19.99, 99.99999999999999, 100, 110.00000000000001, -0.1, 1e308, -1e308, 5e-324, 9.2e18,
    2**53 - 1, -(2**53) - 1, 2.0**53, 2.0**63, 1e16, 1.7976931348623157e308, 2.2250738585072014e-308, 3, 1.5,
]  # fmt: skip
INSTANTS = [
    NOON, NOON + timedelta(milliseconds=1), NOON + timedelta(microseconds=1), NOON - timedelta(days=900),
    NOON.astimezone(ZoneInfo("Pacific/Kiritimati")), datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC),
]  # fmt: skip
MOMENTS: list[date | datetime] = [
    date(2026, 11, 23), date(2026, 3, 29), datetime(2026, 3, 29, 2, 30), datetime(2026, 10, 25, 2, 30),  # noqa: DTZ001
    datetime(2026, 11, 24, 2), datetime(2011, 12, 30, 12),  # noqa: DTZ001 - the latter is no day in Apia
    date.min, date.max, datetime(9999, 12, 31, 23, 59),  # noqa: DTZ001 - no instants in some zones
]  # fmt: skip
ZONES = [ZoneInfo("Europe/Berlin"), ZoneInfo("UTC"), ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/Sao_Paulo"),
         ZoneInfo("Pacific/Apia"), ZoneInfo("Etc/GMT+12")]  # fmt: skip
KEYS = ["a", "a", "a", "b", "a.b", "a b", 'q"x', "é", "0", "x\\y", "a-b", "", "\n", "'"]

strings = st.one_of(
    st.sampled_from(HARD_STRINGS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
)
numbers = st.one_of(
    st.sampled_from(HARD_NUMBERS),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
scalars = st.one_of(strings, numbers, st.booleans(), st.none())
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
    max_leaves=4,
)
attributes = st.dictionaries(st.sampled_from(KEYS), json_values, max_size=5)

_paths = st.lists(st.sampled_from(KEYS), min_size=1, max_size=2).map(tuple)
_attribute_names = st.builds(lambda root, keys: Name(root, ("attributes", *keys)), st.sampled_from(["device", "user"]),
                             _paths)  # fmt: skip
_built_in_names = st.sampled_from(
    [Name("device", (key,)) for key in ("id", "app", "locale", "language", "time_zone", "environment", "topics",
                                        "registered_at", "last_seen_at", "attributes")]
    + [Name("user", (key,)) for key in ("id", "locale", "time_zone", "attributes")]
    + [Name("user"), Name("device")]
)  # fmt: skip
registry_names = st.one_of(_attribute_names, _attribute_names, _built_in_names)
event_names = st.one_of(
    st.builds(lambda root, keys: Name(root, ("data", *keys)), st.sampled_from(["event", "previous"]), _paths),
    st.sampled_from([Name("previous"), Name("event", ("id",)), Name("event", ("time",)), Name("now")]),
)


constants = st.one_of(scalars, scalars, st.sampled_from(INSTANTS)).map(Constant)
constant_lists = st.one_of(st.lists(scalars, max_size=3), st.lists(strings, min_size=1, max_size=3)).map(Constant)


_QUESTIONS = ["compare", "compare", "compare", "in", "in", "topic", "defined", "starts", "changed", "name", "constant",
              "days", "instant"]  # fmt: skip
_FILTERS = [Function.LOWER, Function.UPPER, Function.LENGTH, Function.INT, Function.FLOAT, Function.FIRST,
            Function.LAST, Function.INSTANT]  # fmt: skip
_PAIRS = [Function.PRODUCT, Function.JOIN, Function.DAYS_BETWEEN]


@st.composite
def conditions(draw: st.DrawFn, names: st.SearchStrategy[Name], depth: int = 3) -> Expression:
    """Expressions over these names, also ones that a checked condition would refuse for their types."""
    if depth > 0 and draw(st.integers(0, 2)):
        match draw(st.sampled_from([Not, And, Or])):
            case kind if kind is Not:
                return Not(draw(conditions(names, depth - 1)))
            case kind:
                return kind(tuple(draw(st.lists(conditions(names, depth - 1), min_size=1, max_size=3))))
    match draw(st.sampled_from(_QUESTIONS)):
        case "compare":
            comparison, left = draw(st.sampled_from(Comparison)), draw(_values(names))
            return Compare(comparison, left, draw(st.one_of(constants, constants, _values(names))))
        case "in":
            return In(draw(_values(names)), draw(_lists(names)))
        case "topic":
            return In(Constant(draw(strings)), Name("device", ("topics",)))
        case "defined":
            return IsDefined(draw(names))
        case "days":
            return Compare(draw(st.sampled_from(Comparison)), draw(_days(names)), Constant(draw(_counts)))
        case "instant":
            asked, moment = Call(Function.INSTANT, (draw(names),)), draw(_moments)
            sides = draw(st.permutations([asked, moment]))
            return Compare(draw(st.sampled_from(Comparison)), *sides)
        case "starts":
            return Call(Function.STARTS_WITH, (draw(_values(names)), draw(st.one_of(constants, _values(names)))))
        case "changed":
            return Changed(draw(names), draw(names), draw(st.one_of(names, constants)))
        case "name":
            name = draw(names)
            return draw(st.sampled_from([name, Default(name, draw(constants))]))
        case _:
            return Constant(draw(st.sampled_from([True, False, None])))


_moments = st.one_of(st.sampled_from(INSTANTS).map(Constant), st.sampled_from(MOMENTS).map(WallTime))
_counts = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -1.5, 10**12, True]))


@st.composite
def _days(draw: st.DrawFn, names: st.SearchStrategy[Name]) -> Expression:
    """The days between a name and a day that is known, either way."""
    asked: st.SearchStrategy[Expression] = st.one_of(names, names.map(LocalDate))
    day = st.one_of(st.sampled_from(["2026-11-23", "0001-01-01"]).map(Constant), _moments.map(LocalDate))
    return Call(Function.DAYS_BETWEEN, tuple(draw(st.permutations([draw(asked), draw(day)]))))


@st.composite
def _values(draw: st.DrawFn, names: st.SearchStrategy[Name]) -> Expression:
    simple = st.one_of(names, names, constants)
    match draw(
        st.sampled_from(["simple", "simple", "simple", "default", "sum", "filter", "pair", "ago", "wall", "date"])
    ):
        case "default":
            return Default(draw(names), draw(simple), draw(st.booleans()))
        case "sum":
            return Sum(draw(simple), draw(simple), draw(st.booleans()))
        case "filter":
            return Call(draw(st.sampled_from(_FILTERS)), (draw(simple),))
        case "pair":
            return Call(draw(st.sampled_from(_PAIRS)), (draw(simple), draw(simple)))
        case "ago":
            return Call(Function.AGO, (draw(simple), Constant(draw(st.timedeltas()))))
        case "wall":
            return WallTime(draw(st.sampled_from(MOMENTS)))
        case "date":
            return LocalDate(draw(simple), draw(st.sampled_from([None, *ZONES])))
        case _:
            return draw(simple)


@st.composite
def _lists(draw: st.DrawFn, names: st.SearchStrategy[Name]) -> Expression:
    match draw(st.sampled_from(["constant", "constant", "list", "name"])):
        case "constant":
            return draw(constant_lists)
        case "list":
            return ListOf(tuple(draw(st.lists(st.one_of(names, constants), min_size=1, max_size=3))))
        case _:
            return draw(names)


_events = st.one_of(st.none(), st.just({}), st.fixed_dictionaries({"data": attributes, "id": json_values}))
scopes = st.fixed_dictionaries({
    "event": _events,
    "previous": _events,
    "now": st.sampled_from(INSTANTS),
    "user": st.one_of(st.just({}), st.fixed_dictionaries({"id": json_values, "attributes": attributes})),
    "device": st.fixed_dictionaries({"id": st.integers(0, 3), "attributes": attributes}),
    "zone": st.sampled_from([None, *ZONES]),
})  # fmt: skip
"""What a condition is evaluated with."""
