"""The trace of one execution, for people: made only when a schedule is followed again."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import NamedTuple

from pfnlab.engine.label import Label
from pfnlab.engine.program import Program
from pfnlab.engine.task import Task

NO_LABEL = Label(())
_ENGINE: dict[object, bool] = {}  # whether a module, by its name, is of the engine


class Frame(NamedTuple):
    """One function of a call stack, and where it stood."""

    function: str
    site: str


class TraceStep(NamedTuple):
    """One line of a trace.

    number  as in a schedule; 0 for an access that is no step, as its field is not traced
    label   empty for a plain access, which has the number of its cell as `word` instead,
            and says if it `writes`
    """

    number: int
    task: str
    verb: str
    detail: str
    site: str
    label: Label = NO_LABEL
    word: int = -1
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """Where a task stood: the line that a reader wants, and the functions down to it."""

    site: str
    frames: tuple[Frame, ...]


class Recorder:
    """Collects trace steps and the stacks under them; `whole`, or the innermost line only."""

    def __init__(self, program: Program, whole: bool = True) -> None:
        self.program = program
        self.whole = whole
        self.steps: list[TraceStep] = []
        self.announced: dict[int, Stack] = {}  # by task: where its pending step was announced
        self.stopped: Stack | None = None  # where the violation was met

    def clear(self) -> None:
        self.steps.clear()
        self.announced.clear()
        self.stopped = None

    def stack(self) -> Stack:
        """The running task's stack without the engine's own frames, outermost first."""
        return self.stack_of(callers())

    def stack_of(self, outwards: Iterable[FrameType]) -> Stack:
        """The same of these frames, of which the innermost comes first."""
        frames = [frame for frame in outwards if not _is_engine(frame)]
        shown = reversed(self.program.worth_showing(frames))
        return Stack(
            self.program.site_of(frames),
            tuple(Frame(f.f_code.co_name, self.program.place(f)) for f in shown),
        )

    def announce(self, task: Task) -> None:
        if self.whole:
            self.announced[task.index] = self.stack()
            return
        frame: FrameType | None = sys._getframe()
        while frame is not None and _is_engine(frame):
            frame = frame.f_back
        self.announced[task.index] = Stack(self.program.place(frame) if frame else "", ())

    def site(self, task: Task) -> str:
        stack = self.announced.get(task.index)
        return stack.site if stack is not None else ""

    def add(self, step: TraceStep) -> None:
        self.steps.append(step)


def callers() -> Iterator[FrameType]:
    """The running stack, innermost first."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_engine(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    found = _ENGINE.get(name)
    if found is None:
        found = _ENGINE[name] = isinstance(name, str) and name.startswith("pfnlab.engine")
    return found
