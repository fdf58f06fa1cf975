"""How results look: JSON on stdout, remarks on stderr. Tables and progress: tables.py."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from scheduler.domain.errors import OperatorError


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


HowMany: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
"""The type of an option that bounds how much is shown."""


def counted(number: int, noun: str) -> str:
    """`1 device`, `2 devices`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def remark(text: str) -> None:
    """Something that is not a result: to stderr."""
    print(text, file=sys.stderr)


def confirmed(question: str) -> bool:
    """Ask on stderr, for stdout is for results. OperatorError where nobody can answer."""
    if not sys.stdin.isatty():
        raise OperatorError("nobody is there to confirm", hint="give --yes in scripts")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def print_json(value: Any) -> None:
    """A result as JSON, readable for people too."""
    encoded = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
    sys.stdout.write(encoded.decode() + "\n")


def local(instant: datetime | None) -> str | None:
    """An instant for people: the machine's zone, to the second."""
    return None if instant is None else instant.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def one_line(text: str) -> str:
    """An occasion's key in one line: the default key has its parts in two."""
    return text.replace("\n", " ")
