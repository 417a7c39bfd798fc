"""What is explored: tasks, and the rules that must hold between their steps."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from inspect import signature
from itertools import pairwise
from types import FrameType
from typing import Any, NamedTuple, Protocol

from pfnlab.engine.cell import Transparent
from pfnlab.engine.declared import difference, must_take, must_yield
from pfnlab.engine.errors import ModelError
from pfnlab.engine.task import Task


@dataclass(frozen=True)
class Rule:
    """Something that must hold: the number it has in docs/rules.md, and one sentence.

    `accepted` marks a rule that is known to break and that nobody will mend: it is told as
    a note, and is no failure.
    """

    name: str
    sentence: str
    number: str = ""
    source: str = ""
    accepted: bool = False


@dataclass(frozen=True)
class Invariant:
    """A rule about the whole state: it yields evidence for every way it is broken.

    Its reads are no steps.  It may read atomic words and watched fields only, as
    the explorer orders every write to those around it.
    """

    rule: Rule
    check: Callable[[Any], Iterator[object]]


class Violation(NamedTuple):
    """A rule that broke: which one, in whose step, and how one can see it."""

    rule: str
    sentence: str
    evidence: tuple[str, ...]
    task: str
    step: int


class Leftover(NamedTuple):
    """A rule that no single execution broke, but several together did."""

    rule: Rule
    evidence: tuple[str, ...]
    schedules: tuple[str, ...]


class Heard(NamedTuple):
    """Something that a monitor was told: what, by which task, after which event."""

    what: Any
    task: str
    event: int


class Found(NamedTuple):
    """A rule that a monitor has found broken.

    call      what the task was about to do, for the last line of the trace
    relevant  events to keep in a shortest trace
    """

    rule: Rule
    evidence: tuple[str, ...]
    call: str
    relevant: frozenset[int]


class Monitor(Protocol):
    """Hears of every lock that a task is about to take, in every execution."""

    def acquiring(
        self, task: Task, lock: Any, verb: str, mode: str, tried: bool, subclass: int
    ) -> Any:
        """Called on the task's own stack: what is worth hearing of it, or None.

        A function of what the task holds; it may call `violate`.
        """

    def heard(self, heard: list[Heard], execution: Any) -> Found | None:
        """All that was heard in this execution, the newest last."""

    def leftover(self) -> Leftover | None:
        """What the executions so far have broken together."""

    def memory(self) -> list[Any]:
        """What it keeps over executions, as plain data."""

    def remember(self, memory: list[Any]) -> None:
        """Add what another one, of the same program, has kept."""


_WORD = r"[^\s,:;!\[\]]+"
NAME = rf"{_WORD}(?: {_WORD})*"  # of a task, as a schedule can name it


@dataclass
class Program(Transparent):
    """The tasks and rules of one scenario; a scenario is a function that fills it in.

    Tasks do not change it: whatever they share is in cells.
    """

    tasks: list[Task] = field(default_factory=list)
    invariants: list[Invariant] = field(default_factory=list)
    monitors: list[Monitor] = field(default_factory=list)
    enforced: frozenset[str] | None = None  # names of rules; None is all of them
    alike: list[tuple[int, ...]] = field(default_factory=list)  # interchangeable tasks
    racing: frozenset[str] = frozenset()  # plain fields whose every access is a visible step
    is_set_up: bool = False  # the scenario has filled it in

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("is_set_up"):
            raise ModelError(
                f"{name} of the {type(self).__name__.lower()} is set by a task, where no other one "
                "sees it: declare it as a field of a Shared object"
            )
        super().__setattr__(name, value)

    def task(self, function: Callable[[], None]) -> Callable[[], None]:
        """Declare a task; it has the name of its function.  A decorator."""
        return self.add_task(function.__name__, function)

    def add_task(
        self, name: str, function: Callable[[], Any], *, lazy: bool = False
    ) -> Callable[[], Any]:
        """Declare a task by name.  A lazy one begins when another task calls start(name)."""
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise ModelError(
                f"a task cannot be called {name!r}: schedules name it, so its name is a word, or "
                "some with a blank between two, without , : ; ! [ ]"
            )
        if not callable(function):
            raise ModelError(f"task {name} is {function!r}; a task is a function")
        must_take(function, f"task {name}")
        if self.is_set_up:
            raise ModelError(
                f"task {name} is declared by a task: declare it while the scenario is set up, with "
                "lazy=True, and start() it"
            )
        if any(task.name == name for task in self.tasks):
            raise ModelError(f"two tasks are called {name}; give each its own name")
        self.tasks.append(Task(name, len(self.tasks), function, lazy))
        return function

    def interchangeable(self, *names: str) -> None:
        """Declare that these tasks differ in their names only.

        Then of executions that differ in which of them did what, one is enough: the search
        lets each make its first step only after the one before it has made its own.
        """
        known = {task.name: task.index for task in self.tasks}
        for name in names:
            if name not in known:
                raise ModelError(f"interchangeable({name!r}): no task has this name")
            if names.count(name) > 1 or any(known[name] in group for group in self.alike):
                raise ModelError(f"interchangeable({name!r}): it is in a group already")
        for first, second in pairwise(names):
            ours, others = self.tasks[known[first]], self.tasks[known[second]]
            if found := difference(ours.function, others.function):
                raise ModelError(f"tasks {first} and {second} are not alike: they differ {found}")
        self.alike.append(tuple(known[name] for name in names))

    def task_named(self, name: str) -> Task:
        """The task that another one starts, waits for or kills."""
        for task in self.tasks:
            if task.name == name:
                if any(task.index in group for group in self.alike):
                    raise ModelError(
                        f"{name} is declared interchangeable, and a task names it: then it is not"
                    )
                return task
        raise ModelError(f"no task is called {name!r}")

    def always(self, *rules: Invariant) -> None:
        """Rules that must hold after every step."""
        if self.is_set_up:
            raise ModelError("always() is called by a task: call it while the scenario is set up")
        for rule in rules:
            if isinstance(rule, list | tuple):
                raise ModelError("always() takes rules one by one: write always(*RULES)")
            if not isinstance(rule, Invariant):
                raise ModelError(f"always() takes functions marked @invariant, not {rule!r}")
            self.invariants.append(rule)

    @property
    def is_stateless(self) -> bool:
        """Whether no rule is about the state; a setup that failed may not have come to them."""
        return self.is_set_up and not self.invariants

    def enforces(self, rule: Rule) -> bool:
        wanted = self.enforced
        return wanted is None or rule.name in wanted or rule.number in wanted

    def is_judged(self, frames: Iterable[FrameType]) -> bool:
        """Whether code runs that the rules are about, and not only that of the scenario."""
        return False

    # How a trace names places; a layer that knows more about its files says more.

    def site_of(self, frames: list[FrameType]) -> str:
        """The source line that a reader wants to see for a step, innermost frame first."""
        return self.place(frames[0]) if frames else ""

    def place(self, frame: FrameType) -> str:
        """file:line as printed in a trace."""
        filename = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
        return f"{filename}:{frame.f_lineno}"

    def worth_showing(self, frames: list[FrameType]) -> list[FrameType]:
        """The functions of a call stack that a reader wants to see, innermost first."""
        return frames


@dataclass(frozen=True)
class Scenario:
    """A named program: who does what at the same time."""

    name: str
    sentence: str
    build: Callable[[Any], None]

    def __call__(self, program: Any) -> None:
        self.build(program)

    @property
    def is_plain(self) -> bool:
        """Whether there is no kernel in it: it says that it takes a Program."""
        takes = [its.annotation for its in signature(self.build).parameters.values()]
        return takes[:1] in ([Program], ["Program"])


def scenario(function: Callable[[Any], None]) -> Scenario:
    """Make a scenario of a function that gets a Program (or a Lab).  A decorator."""
    must_take(function, f"scenario {function.__name__}", "lab")
    return Scenario(function.__name__, first_line(function, "scenario"), function)


def invariant(function: Callable[[Any], Iterator[object]]) -> Invariant:
    """Make a rule of a generator of evidence.  A decorator; see rule_of()."""
    return checked(rule_of(function, "invariant"), function)


def known_exception(function: Callable[[Any], Iterator[object]]) -> Invariant:
    """Make an invariant whose breaches are told as notes, not as failures.  A decorator."""
    return checked(replace(rule_of(function, "known exception"), accepted=True), function)


def checked(rule: Rule, function: Callable[[Any], Iterator[object]]) -> Invariant:
    """A rule with its function, if that can be asked.  Raises ModelError."""
    must_take(function, f"rule {rule.name}", "lab")
    must_yield(function, f"rule {rule.name}")
    return Invariant(rule, function)


def rule_of(function: Callable[..., object], what: str) -> Rule:
    """The rule that a function's docstring states.

    Its first line is the sentence that is printed when the rule breaks.  A line
    "Rule: D1." gives its number; what follows is its source.
    """
    sentence = first_line(function, what)
    _text, found, rest = (function.__doc__ or "").partition("Rule:")
    number, _stop, source = rest.strip().partition("\n")
    if not found:
        return Rule(function.__name__, sentence)
    return Rule(function.__name__, sentence, number.strip(" ."), " ".join(source.split()))


def first_line(function: Callable[..., object], what: str) -> str:
    text = (function.__doc__ or "").strip()
    if not text:
        raise ModelError(f"{what} {function.__name__} needs a docstring: its first line is printed")
    return text.splitlines()[0]
