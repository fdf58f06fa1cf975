"""Secrets that stand in a file of a workspace: whoever reads the repository has them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.diagnostics.source import Source

_SECRETS = (
    (("-----begin",), re.compile(r"-----BEGIN [A-Z ]*(?:PRIVATE KEY|CERTIFICATE)-----"), "a key or certificate",
     "keep it in a file outside of git, and name that in clarion.yaml: `auth: {key_file: …}`"),
    (("eyj",), re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"), "a signed token (JWT)",
     "Clarion signs its own; take it out, and let whoever issued it replace it"),
    (("akia", "asia"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "a key of Amazon's cloud",
     "take it out, and replace the key"),
    (("gh", "glpat", "xox", "sk", "rk_live"),
     re.compile(r"\b(?:ghp|gho|ghs|ghu|github_pat|glpat|xox[abp]|sk_live|rk_live|sk-)[_-]?[A-Za-z0-9_-]{16,}"),
     "an access token", "take it out, and replace the token"),
    (("bearer", "bas"), re.compile(r"(?i)\b(?:bearer|basic) +[A-Za-z0-9+/_=-]{20,}"), "a credential",
     "take it out; payloads go to every device"),
    (("",), re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])", re.IGNORECASE), "a device token",
     "device tokens come from the registry: name users or topics in the audience"),
    (("passw", "secret", "key", "access"),
     re.compile(r"(?i)\b(?:password|passwd|secret|api_?key|access_?token)\s*[:=]\s*[\"']?[^\s\"'{}<>,]{8,}"),
     "a password or key", "secrets come from files or variables, never from a file in git"),
)  # fmt: skip
"""Words of which one is in every such secret, in small letters: to look for them is far faster than the pattern behind
them, and most files have none."""


def check_secrets(source: Source) -> Iterator[Diagnostic]:
    """An error for each secret in a file's text, comments included. The message never repeats it."""
    taken: list[tuple[int, int]] = []
    small = source.text.casefold()
    for words, pattern, what, hint in _SECRETS:
        if not any(word in small for word in words):
            continue
        for match in pattern.finditer(source.text):
            if not any(start < match.end() and match.start() < end for start, end in taken):
                taken.append(match.span())
                yield error("secret", f"this looks like {what}", source.span(*match.span()), hint)
