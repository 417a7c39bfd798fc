"""Checkpoints: how far a command has come, in a file, so that another can go on from there.

A checkpoint fits the very sources that it was made with: with others the same steps could mean
something else.  So it has a hash of each, and what does not match is refused with the reason.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pfnlab
from pfnlab.catalogue import is_path
from pfnlab.cli.board import Board, Check
from pfnlab.cli.checker import reduced
from pfnlab.cli.runs import Options, Pair, as_given
from pfnlab.errors import UNREADABLE, ModelError
from pfnlab.explorer.frontier import Frontier
from pfnlab.explorer.totals import Totals
from pfnlab.lab.files import default_cache, locked, written
from pfnlab.sources import changes, file_of, own_sources, package_hash

FORMAT = 3
EVERY = 10.0  # seconds
KEPT = 30 * 24 * 3600.0  # seconds


class BadCheckpoint(ModelError):
    """A file is no checkpoint, or one of something else; the message says of what."""


class Checkpoint:
    """The file of one command."""

    def __init__(self, path: Path | None, pairs: list[Pair], options: Options) -> None:
        self.path = path if path is not None else folder() / _name(pairs, options)
        self.options = options
        specs = dict.fromkeys(spec for pair in pairs for spec in pair)
        self.sources = {spec: own_sources(spec) for spec in specs}
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
        text = json.dumps(self._data(board))
        try:
            if not self.made:
                tidy()
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

    def load(self, data: dict[str, Any], board: Board) -> None:
        """Put what it holds on a board, to go on from there; raises BadCheckpoint."""
        over: dict[int, str] = {}
        with readable(self.path):
            for index, (check, saved) in enumerate(zip(board.checks, data["checks"], strict=True)):
                if not saved["begun"]:
                    continue
                check.begun = True
                check.totals = Totals.of(saved["totals"])
                check.racing = frozenset(saved["racing"])
                check.seconds = float(saved["seconds"])
                if saved["over"]:
                    over[index] = saved["why"]
                else:
                    check.frontier = Frontier.of(saved["frontier"])
        for index, check in enumerate(board.checks):
            if index in over:
                check.result = board.checker.result(
                    check.pair, check.totals, check.racing, over[index], check.seconds
                )
            elif check.frontier is not None:
                board.look(index)
        self.made = True

    def remove(self) -> None:
        """The command has come to its end."""
        if self.made:
            self.path.unlink(missing_ok=True)

    def _data(self, board: Board) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": pfnlab.__version__,
            "package": package_hash(),
            "sources": self.sources,
            "options": asdict(self.options),
            "checks": [_check_data(check) for check in board.checks],
        }


@contextmanager
def alone(path: Path | None) -> Iterator[None]:
    """No other command writes the file meanwhile; raises BadCheckpoint if one does.

    The lock is elsewhere, as the file is another one whenever it is written.  The usual file is
    of a command that is the same: whichever ends first, what it kept is right for both.
    """
    with ExitStack() as stack:
        if path is not None:
            name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
            try:
                stack.enter_context(locked(folder() / f"{name}.lock", wait=False))
            except BlockingIOError as error:
                raise BadCheckpoint(
                    f"{path} is the checkpoint of another pfnlab check, which runs now: give each "
                    "its own"
                ) from error
            except OSError:  # no cache, and so no lock
                pass
        yield


def folder() -> Path:
    """Where checkpoints are unless the user says where."""
    return default_cache() / "checkpoints"


def tidy() -> None:
    """Remove what nobody has gone on with for long, and what a kill has left half written."""
    for file in folder().glob("*"):
        with suppress(OSError):  # another command does the same
            if time.time() - file.stat().st_mtime > KEPT:
                file.unlink()


def newest() -> Path:
    """The checkpoint that was written last; raises BadCheckpoint."""
    files = list(folder().glob("*.json"))
    if not files:
        raise BadCheckpoint(f"there is nothing to resume in {folder()}")
    return max(files, key=lambda file: file.stat().st_mtime)


def unlimited(options: Options) -> Options:
    """What is searched, however far."""
    return replace(options, max_schedules=None, max_seconds=None)


def _name(pairs: list[Pair], options: Options) -> str:
    where = [[str(Path(spec).resolve()) if is_path(spec) else spec for spec in p] for p in pairs]
    key = json.dumps([where, asdict(unlimited(options))])
    return f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _check_data(check: Check) -> dict[str, Any]:
    interrupted = check.result is not None and check.result.why_incomplete == "interrupted"
    over = check.result is not None and check.told and not (check.unfinished or interrupted)
    return {
        "pair": check.pair,
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
    if not path.is_file():
        raise BadCheckpoint(f"there is no checkpoint {path}")
    with readable(path):
        data = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(check["pair"][0], check["pair"][1]) for check in data["checks"]]
        if not pairs:
            raise ValueError("it is of no check")
        asked = data["options"]
        rules = tuple(asked["rules"]) if asked["rules"] is not None else None
        options = Options(**{**asked, "rules": rules})
        version, its_format, package = data["version"], data["format"], data["package"]
        sources = {spec: dict(data["sources"][spec]) for pair in pairs for spec in pair}
    if version != pfnlab.__version__ or its_format != FORMAT:
        raise BadCheckpoint(f"{path} is of pfnlab {version}, this is {pfnlab.__version__}")
    for spec in sources:
        if is_path(spec) and not file_of(spec).is_file():
            raise BadCheckpoint(f"{path} is of {spec}, and there is no such file from here")
    changed = [name for spec in sources for name in changes(spec, sources[spec])]
    if package != package_hash():
        changed.append("pfnlab itself")
    if changed:
        raise BadCheckpoint(
            f"{path} does not fit any more, as {changed[0]} has changed since: "
            "start anew, without --resume"
        )
    return pairs, options, data


def check_overwritten(path: Path) -> None:
    """Raise BadCheckpoint if a new checkpoint would take the place of something else."""
    if path.is_file() and path.stat().st_size:
        with readable(path):
            data = json.loads(path.read_text(encoding="utf-8"))
            if not {"checks", "format"} <= data.keys():
                raise ValueError("it has none of the parts of one")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Whatever a file lacks that should be a checkpoint, it is none."""
    try:
        yield
    except UNREADABLE as error:
        raise BadCheckpoint(f"{path} is no checkpoint of pfnlab check") from error


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
    what = as_given(its_pairs[0]) if len(its_pairs) == 1 else f"{len(its_pairs)} checks"
    if not whatever and its_pairs != pairs:
        raise BadCheckpoint(f"{path} is of {what}, not of what is asked for")
    if whatever:
        return its_pairs, its_options.with_limits(options), data
    if unlimited(its_options) != unlimited(options):
        raise BadCheckpoint(f"{path} was made with other options")
    return its_pairs, options, data
