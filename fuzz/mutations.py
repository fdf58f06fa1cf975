"""Bytes that are nearly right: others with a few mistakes in them. One seed makes the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

LONGEST = 20_000
WORKSPACE_TOKENS: Sequence[bytes] = tuple(
    token.encode("utf-8", "surrogateescape")
    for token in (
        # YAML
        "- ", ": ", "? ", "[", "]", "{", "}", ", ", "'", '"', "''", "\\", "\\u00e9", "\\x4", "\\ud83d", "|", ">",
        ">-", "|+2", "&a ", "*a", "!t ", "! ", "#", " # ", "%", "@", "`", "~", "null", "---\n", "...\n", "<<: ", "\n",
        "\r\n", "\r", "\n  ", "\n    - ", "\t", "  ", "key: ", "\ufeff", "\xa0", "\u200b", "\u2028", "\x85", "\0",
        "\x1b[2J", "\udcff", "\udcc3", "😀", "{a: [", "]}", "a: &b [*b]\n",
        # Jinja
        "{{", "}}", "{{ ", " }}", "{% ", " %}", "{#", "#}", "{%-", "| default(0)", "| default('')", "| string",
        "| omit", "| length", " is defined", " if ", " else ", "{% if x %}", "{% else %}", "{% endif %}",
        "{% for i in range(9) %}", "{% endfor %}", "{% set a = 1 %}", "{% macro m(a) %}", "{% endmacro %}",
        "{% import 'money.j2' as money %}", "{% raw %}", "{% endraw %}", "{{ abort('why') }}", "{{ m(1) }}",
        "loop.index", "self", "__class__", ".x", "[0]", "[1:2]", "(", ")", "~", "**", "//",
        # Names, values and words of the language
        "event.data.home", "event.data.", "event.subject", "user.attributes.spend", "device.attributes.unread",
        "device.topics", "previous", "now", "today", "exit", "slot", " and ", " or ", " not ", " in ", " == ", " != ",
        " < ", "ago('7 days')", "true", "none", "0", "-1", "1e999", "9223372036854775808", "0x1f", "1_000", "5%",
        "100%", "15 minutes", "9000/s", "2026-11-27", "22:00", "Europe/Berlin", "category", "trigger", "event",
        "schedule", "audience", "users", "topics", "where", "everyone", "message", "template", "with", "delivery",
        "collapse", "timing", "limits", "experiment", "variants", "ignore", "aps", "alert", "title", "badge",
        "string?", "enum", "open", "environment", "auth", "key_file", "rate", "lanes", "quiet_hours", "opt_out",
    )
)  # fmt: skip


class Mutator:
    """Makes new bytes of old ones, by chance that `seed` fixes; `tokens` are what it puts into them."""

    def __init__(self, seed: int, tokens: Sequence[bytes]) -> None:
        self.random = Random(seed)
        self._tokens = tokens
        self._ways: Sequence[Callable[[bytes], bytes]] = (
            self._with_token, self._with_token, self._with_token, self._without_some, self._with_some_twice,
            self._with_lines_moved, self._with_another_byte, self._with_token_often, self._cut, self._indented,
        )  # fmt: skip

    def mutated(self, content: bytes, others: Sequence[bytes]) -> bytes:
        """`content` with one to five changes; now and then its rest is that of another one."""
        for _ in range(self.random.randint(1, 5)):
            content = self.random.choice(self._ways)(content)
        if self.random.random() < 0.1:
            other = self.random.choice(others)
            content = content[: self._place(content)] + other[self._place(other) :]
        return content[:LONGEST]

    def _place(self, content: bytes) -> int:
        return self.random.randint(0, len(content))

    def _stretch(self, content: bytes) -> tuple[int, int]:
        start = self._place(content)
        return start, start + self.random.choice([1, 2, 5, 20, 100])

    def _with_token(self, content: bytes) -> bytes:
        at = self._place(content)
        return content[:at] + self.random.choice(self._tokens) + content[at + self.random.choice([0, 0, 1, 5]) :]

    def _without_some(self, content: bytes) -> bytes:
        start, end = self._stretch(content)
        return content[:start] + content[end:]

    def _with_some_twice(self, content: bytes) -> bytes:
        start, end = self._stretch(content)
        return content[:end] + content[start:]

    def _with_lines_moved(self, content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        if lines:
            line = lines.pop(self.random.randrange(len(lines)))
            lines.insert(self.random.randint(0, len(lines)), line)
        return b"".join(lines)

    def _with_another_byte(self, content: bytes) -> bytes:
        at = self._place(content)
        return content[:at] + bytes([self.random.randrange(256)]) + content[at + 1 :]

    def _with_token_often(self, content: bytes) -> bytes:
        at = self._place(content)
        return content[:at] + self.random.choice(self._tokens) * self.random.choice([2, 10, 200, 2_000]) + content[at:]

    def _cut(self, content: bytes) -> bytes:
        return content[: self._place(content)]

    def _indented(self, content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        if lines:
            at = self.random.randrange(len(lines))
            lines[at] = self.random.choice([b" ", b"  ", b"\t", b"    "]) + lines[at]
        return b"".join(lines)
