"""The protocol between the search and the one who decides where it goes."""

from typing import NamedTuple, Protocol

from pfnlab.engine.execution import Execution


class Choice(NamedTuple):
    """One step: which task (by index), and which of its options."""

    task: int
    option: int = 0


class Policy(Protocol):
    """Chooses schedules."""

    name: str
    seed: int | None  # of a random one

    @property
    def bound(self) -> str:
        """What keeps the search from covering every interleaving, in words, or ""."""

    @property
    def complete(self) -> bool:
        """Whether the search, once it has ended, has covered every interleaving."""

    def begin(self) -> bool:
        """Another execution begins; False ends the search."""

    def choose(self, execution: Execution, enabled: list[Choice]) -> Choice | None:
        """The next step, or None to give this execution up."""

    def end(self, execution: Execution, finished: bool) -> None:
        """The execution has come to its end, or was given up."""


def options(execution: Execution) -> list[Choice]:
    """Every step that can happen now, in the order in which tasks were declared."""
    return [
        Choice(task.index, option)
        for task in execution.enabled()
        for option in range(_options(execution, task.index))
    ]


def _options(execution: Execution, task: int) -> int:
    op = execution.pending[task]
    return op.options if op is not None else 0
