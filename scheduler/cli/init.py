"""`clarion init`: a small workspace to begin with."""

from __future__ import annotations

import shutil
from pathlib import Path

from scheduler.cli.output import remark
from scheduler.domain.errors import OperatorError
from scheduler.workspace.reference import json_schemas

STARTER = Path(__file__).parent / "starter"


def init(folder: Path, /) -> int:
    """Make a small workspace that passes `check --strict` and runs against the simulator.

    Example: clarion init campaigns

    Parameters
    ----------
    folder
        A new folder, or one without a clarion.yaml. Files that are there already stay as they are.
    """
    if (folder / "clarion.yaml").exists():
        raise OperatorError("there is a workspace already", where=str(folder), hint="choose another folder")
    try:
        for source in sorted(STARTER.rglob("*")):
            target = folder / source.relative_to(STARTER)
            if source.name == "gitignore":
                target = target.with_name(".gitignore")
            if source.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        for path, text in json_schemas().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
    except OSError as problem:
        raise OperatorError(f"cannot be written: {problem.strerror}", where=str(problem.filename or folder),
                            hint="choose a folder that you may write to") from problem  # fmt: skip
    remark(
        f"{folder} is a workspace. Next:\n"
        f"  cd {folder}\n"
        "  clarion check --strict\n"
        "  clarion devices import samples/devices.csv\n"
        "  clarion preview breaking-news --event samples/article.json\n"
        "  clarion simulator                  # in another terminal\n"
        "  clarion emit samples/article.json\n"
        "  clarion run --until-idle\n"
        "  clarion runs list"
    )
    return 0
