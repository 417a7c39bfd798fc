"""Checkpoints: how far a command has come, in a file, so that another can go on from there.

A checkpoint fits the very sources that it was made with: with others the same steps could mean
something else.  So it has a hash of each, and what does not match is refused with the reason.
"""

import hashlib
import inspect
import json
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pfnlab
from pfnlab.catalogue import find_design, find_scenario
from pfnlab.cli.board import Board, Check
from pfnlab.cli.checker import Checker, reduced
from pfnlab.cli.runs import Options, Pair
from pfnlab.engine.errors import ModelError
from pfnlab.explorer.frontier import Frontier
from pfnlab.explorer.totals import Totals
from pfnlab.lab.files import written

FORMAT = 1
EVERY = 10.0  # seconds


class BadCheckpoint(ModelError):
    """A file is no checkpoint, or one of something else; the message says of what."""


class Checkpoint:
    """The file of one command."""

    def __init__(self, path: Path | None, pairs: list[Pair], options: Options) -> None:
        self.path = path if path is not None else folder() / _name(pairs, options)
        self.options = options
        self.tried = time.monotonic()
        self.failed = False  # it could not be written, which was said
        self.made = False  # whether this command has written it, or goes on from it

    def write(self, board: Board, *, now: bool = False) -> None:
        """Write it if there is something worth it, and the last one is old enough.

        What was found must not be lost over a disk that is full: that is said once.
        """
        if reduced(self.options) is None:
            return
        if not now and time.monotonic() - self.tried < EVERY:
            return
        text = json.dumps(_data(board, self.options))
        try:
            with written(self.path) as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            self.made = True
        except OSError as error:
            if not self.failed:
                why = error.strerror or error
                print(f"pfnlab: no checkpoint: {self.path}: {why}", file=sys.stderr)
            self.failed = True
        self.tried = time.monotonic()

    def remove(self) -> None:
        """The command has come to its end."""
        if self.made:
            self.path.unlink(missing_ok=True)


def folder() -> Path:
    """Where checkpoints are unless the user says where."""
    return Path.home() / ".cache" / "pfnlab"


def newest() -> Path:
    """The checkpoint that was written last; raises BadCheckpoint."""
    files = list(folder().glob("*.json")) if folder().is_dir() else []
    if not files:
        raise BadCheckpoint(f"there is nothing to resume in {folder()}")
    return max(files, key=lambda file: file.stat().st_mtime)


def unlimited(options: Options) -> Options:
    """What is searched, however far."""
    return replace(options, max_schedules=None, max_seconds=None)


def _name(pairs: list[Pair], options: Options) -> str:
    key = json.dumps([pairs, asdict(unlimited(options))])
    return f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _data(board: Board, options: Options) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": pfnlab.__version__,
        "sources": package_hash(),
        "options": asdict(options),
        "checks": [_check_data(check) for check in board.checks],
    }


def _check_data(check: Check) -> dict[str, Any]:
    interrupted = check.result is not None and check.result.why_incomplete == "interrupted"
    over = check.result is not None and check.told and not (check.unfinished or interrupted)
    return {
        "pair": check.pair,
        "design": design_hash(check.pair[0]),
        "scenario": scenario_hash(check.pair[1]),
        "begun": over or check.unfinished,
        "over": over,
        "why": check.result.why_incomplete if check.result is not None and over else "",
        "totals": check.counted.data(),
        "racing": sorted(check.racing),
        "seconds": check.spent(),
        "frontier": check.frontier.data()
        if check.frontier is not None and check.unfinished
        else None,
    }


def read(path: Path) -> tuple[list[Pair], Options, dict[str, Any]]:
    """What a checkpoint is of, and all that it holds; raises BadCheckpoint if it does not fit."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(check["pair"][0], check["pair"][1]) for check in data["checks"]]
        asked = data["options"]
        rules = tuple(asked["rules"]) if asked["rules"] is not None else None
        options = Options(**{**asked, "rules": rules})
        version, sources, its_format = data["version"], data["sources"], data["format"]
    except FileNotFoundError:
        raise BadCheckpoint(f"there is no checkpoint {path}") from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BadCheckpoint(f"{path} is no checkpoint of pfnlab check") from error
    if version != pfnlab.__version__ or its_format != FORMAT:
        raise BadCheckpoint(f"{path} is of pfnlab {version}, this is {pfnlab.__version__}")
    for check in data["checks"]:
        for what, now in (("design", design_hash), ("scenario", scenario_hash)):
            name = check["pair"][what == "scenario"]
            if check[what] != now(name):
                raise BadCheckpoint(f"{path} is of another version of the {what} {name}")
    if sources != package_hash():
        raise BadCheckpoint(f"{path} was made before pfnlab's own sources were changed")
    return pairs, options, data


def resumable(
    file: Path | None, pairs: list[Pair], options: Options, *, whatever: bool
) -> tuple[list[Pair], Options, dict[str, Any]]:
    """The checkpoint that a command goes on from; raises BadCheckpoint if it is of another.

    The limits may be others.  A command that names neither design nor scenario goes on with
    whatever is there, and with its limits unless it has some.
    """
    usual = folder() / _name(pairs, options)
    path = file or (usual if not whatever or usual.exists() else newest())
    its_pairs, its_options, data = read(path)
    if not whatever and its_pairs != pairs:
        what = " ".join(its_pairs[0]) if len(its_pairs) == 1 else f"{len(its_pairs)} checks"
        raise BadCheckpoint(f"{path} is of {what}, not of what is asked for")
    if whatever:
        asked = {"max_schedules": options.max_schedules, "max_seconds": options.max_seconds}
        limits = {name: limit for name, limit in asked.items() if limit is not None}
        return its_pairs, replace(its_options, **limits), data
    if unlimited(its_options) != unlimited(options):
        raise BadCheckpoint(f"{path} was made with other options")
    return its_pairs, options, data


def load(data: dict[str, Any], board: Board, checker: Checker) -> None:
    """Put what a checkpoint holds on a board."""
    for index, (check, saved) in enumerate(zip(board.checks, data["checks"], strict=True)):
        if not saved["begun"]:
            continue
        check.begun = True
        check.totals = Totals.of(saved["totals"])
        check.racing = frozenset(saved["racing"])
        check.seconds = saved["seconds"]
        if saved["over"]:
            check.result = checker.result(
                check.pair, check.totals, check.racing, saved["why"], check.seconds
            )
        else:
            check.frontier = Frontier.of(saved["frontier"])
            board.look(index)


# ---- what a checkpoint depends on


def design_hash(spec: str) -> str:
    return _hash(find_design(spec).files())


def scenario_hash(spec: str) -> str:
    return _hash({inspect.getfile(inspect.unwrap(find_scenario(spec).build))})


def package_hash() -> str:
    """Of all that decides what a step is; texts may change."""
    root = Path(pfnlab.__file__).parent
    parts = ("engine", "explorer", "kernel", "rules", "scenarios")
    return _hash({str(file) for part in parts for file in (root / part).glob("*.py")})


def _hash(files: set[str]) -> str:
    whole = hashlib.sha256()
    for file in sorted(files):
        whole.update(Path(file).read_bytes())
    return whole.hexdigest()[:16]
