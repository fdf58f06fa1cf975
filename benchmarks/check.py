"""`clarion check` of a large workspace: rules, templates and overlays as people write them.

    python benchmarks/check.py [--rules 500] [--at-most 30]

Makes a workspace in which every rule has a template of its own in three locales, and times `check` as a command in a
process of its own. Beside it, in the same run, before and after: PyYAML's C loader alone on the same files, the least
that anything which reads them could cost. Asserts no time; exits 1 if check finds anything, or if it costs more than
so many times as much as that.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

_SETTINGS = """\
apps:
  shop:
    environment: sandbox
    auth: {key_file: secrets/AuthKey_ABC123DEFG.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}
  scores:
    environment: sandbox
    auth: {key_file: secrets/AuthKey_ABC123DEFG.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}
categories: {marketing: {opt_out: true}, sports: {opt_out: true}}
"""
_SCHEMA = """\
users: {attributes: {first_name: "string?", spend: number, plan: {enum: [free, pro]}}}
devices: {attributes: {alerts: {enum: [all, goals, none]}, unread: "integer?"}}
events:
  com.example.score.changed: {home: string, away: string, home_score: integer, away_score: integer,
                              scorer: "string?", minute: integer}
  com.example.sale.started: {sale_id: string, name: string, discount: integer, url: "string?"}
"""
_GOAL = """\
description: Tell fans at once when a goal is scored, number {n}
owner: sports-desk@example.com
category: sports
trigger:
  event: com.example.score.changed
  when: event.data.home_score + event.data.away_score > (previous.data.home_score | default(0)) + {n}
  once_per: "{{{{ event.subject }}}}:{{{{ event.data.home_score }}}}-{{{{ event.data.away_score }}}}"
audience:
  app: scores
  topics: ["team:{{{{ event.data.home }}}}", "team:{{{{ event.data.away }}}}"]
  where: device.attributes.alerts in ["all", "goals"]
message:
  template: goal-{n}
  with: {{headline: {{en: "Goal!", de: "Tor!", fr: "But !"}}}}
delivery: {{lane: urgent, collapse: "game-{{{{ event.subject }}}}", expires_after: 15 minutes, max_age: 10 minutes}}
"""
_SALE = """\
description: Tell customers on the free plan when a sale starts, number {n}
category: marketing
trigger: {{event: com.example.sale.started, when: event.data.discount >= {n}, once_per: "{{{{ event.data.sale_id }}}}"}}
audience:
  app: shop
  where: user.attributes.plan == "free" and user.attributes.spend > {n}
message:
  template: sale-{n}
  with: {{badge_text: {{en: "today only", de: "nur heute", fr: "ce jour"}}}}
delivery: {{lane: bulk, rate: 5000/s, expires_after: 6 hours, max_age: 2 hours}}
"""
_GOAL_BASE = """\
aps:
  alert:
    title: "{{{{ headline }}}} {{{{ event.data.home }}}} {{{{ event.data.home_score }}}}–{{{{ event.data.away_score }}}}"
    body: "{{{{ user.attributes.first_name | default('Hey') }}}}, {{{{ event.data.scorer | default('a goal') }}}} in minute {{{{ event.data.minute }}}}, number {n}."
  sound: default
  badge: "{{{{ (device.attributes.unread | default(0)) + 1 }}}}"
  thread-id: "{{{{ event.subject }}}}"
link: "app://games/{{{{ event.subject }}}}"
"""  # noqa: E501
_GOAL_OVERLAY = """\
aps:
  alert:
    body: "{{{{ user.attributes.first_name | default('Hey') }}}}, {{{{ event.data.scorer | default('?') }}}}, {word} {{{{ event.data.minute }}}}, {n}."
"""  # noqa: E501
_SALE_BASE = """\
aps:
  alert:
    title: "{{{{ event.data.name }}}}: {{{{ event.data.discount }}}} % off, {{{{ badge_text }}}}"
    body: "{{{{ user.attributes.first_name | default('Hello') }}}}, the sale has started. Be quick! {n}"
  sound: default
  interruption-level: active
sale: "{{{{ event.data.sale_id }}}}"
discount: "{{{{ event.data.discount }}}}"
link: "{{{{ event.data.url | default('app://sale') }}}}"
"""
_SALE_OVERLAY = """\
aps:
  alert:
    title: "{{{{ event.data.name }}}}: {{{{ event.data.discount }}}} % {word}, {{{{ badge_text }}}}"
    body: "{{{{ user.attributes.first_name | default('Hallo') }}}}, {word} {n}!"
"""


def make(folder: Path, rules: int) -> None:
    """A workspace of so many rules, half of each kind."""
    (folder / "rules").mkdir()
    (folder / "templates").mkdir()
    (folder / "clarion.yaml").write_text(_SETTINGS, "utf-8")
    (folder / "schema.yaml").write_text(_SCHEMA, "utf-8")
    for n in range(rules):
        kind, rule, base, overlay = (
            ("goal", _GOAL, _GOAL_BASE, _GOAL_OVERLAY) if n % 2 else ("sale", _SALE, _SALE_BASE, _SALE_OVERLAY)
        )
        (folder / "rules" / f"{kind}-{n}.yaml").write_text(rule.format(n=n), "utf-8")
        (folder / "templates" / f"{kind}-{n}.yaml").write_text(base.format(n=n), "utf-8")
        for locale, word in (("de", "Rabatt"), ("fr", "remise")):
            path = folder / "templates" / f"{kind}-{n}.{locale}.yaml"
            path.write_text(overlay.format(n=n, word=word), "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=500)
    parser.add_argument("--at-most", type=float, default=30, help="times of PyYAML's loader")
    options = parser.parse_args()
    rules = options.rules
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, rules)
        texts = [path.read_text("utf-8") for path in folder.rglob("*.yaml")]
        peer = _loading(texts)
        start, before = time.perf_counter(), _children_cpu()
        command = [sys.executable, "-c", "from scheduler.cli.main import main; main()", "check", "--strict"]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        seconds, cpu = time.perf_counter() - start, _children_cpu() - before
        peer = (peer + _loading(texts)) / 2
    print(done.stderr.strip())
    print(f"{rules} rules, {len(texts)} files: {seconds:.2f} s, {cpu:.2f} s of CPU, {cpu / rules * 1000:.1f} ms a rule")
    print(f"PyYAML's C loader alone on the same files: {peer:.2f} s of CPU; check costs {cpu / peer:.1f} times as much")
    return done.returncode or int(cpu > options.at_most * peer)


def _loading(texts: Sequence[str]) -> float:
    """Seconds of CPU that PyYAML needs for all texts. Some rounds, so that it sees as much of the machine as check."""
    rounds = 10
    start = time.process_time()
    for text in rounds * list(texts):
        yaml.load(text, yaml.CSafeLoader)
    return (time.process_time() - start) / rounds


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
