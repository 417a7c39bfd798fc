"""What a kernel did with the cases of a comparison, in a file: to be compared again without it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pfnlab.errors import UNREADABLE, ModelError, why_unreadable
from pfnlab.lab.files import written
from pfnlab.measured import Measured, measured_from_data, measured_to_data

SCHEMA = "pfnlab measured 1"
Named = tuple[str, Measured]  # the name of a case, and what was measured


def save(path: Path, measured: Sequence[Named]) -> None:
    """All of it is in place, or the file is as it was."""
    cases = [{"case": name, **measured_to_data(one)} for name, one in measured]
    lines = ",\n".join(json.dumps(case) for case in cases)
    with written(path) as file:
        file.write(f'{{"schema": "{SCHEMA}", "cases": [\n{lines}\n]}}\n'.encode())


def load(path: Path) -> list[Named]:
    """Raises ModelError, of one line, for a file that is something else."""
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ModelError(f"{path} is {what_it_is(data)}; what is compared is {SCHEMA!r}")
        return [
            (_name(case), measured_from_data({k: case[k] for k in case if k != "case"}))
            for case in data["cases"]
        ]
    except UNREADABLE as error:
        raise ModelError(
            f"{path} is no file that pfnlab compare --save has written: {why_unreadable(error)}"
        ) from error


def _name(case: dict[str, Any]) -> str:
    name = case["case"]
    if not isinstance(name, str):
        raise TypeError("the name of a case is a text")
    return name


def what_it_is(data: dict[str, Any]) -> str:
    """Of another file, in words: those of other commands have no name for a schema."""
    if data.get("kind") == "counterexample":
        return "a saved counterexample, which pfnlab replay follows"
    if "results" in data:
        return "what pfnlab check --json prints"
    return f"of schema {data['schema']!r}"
