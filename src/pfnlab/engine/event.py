"""A visible step of an execution."""

from typing import Any, final

from pfnlab.engine.label import Label


class Touch:
    """An access of an event to an object, as a search keeps it.

    position  the place of the event in the execution
    mode      what it did to the object (label.py)
    under     the access before it to the same object
    """

    position: int = -1
    under: "Touch | None" = None

    def __init__(self, position: int, mode: int, under: "Touch | None") -> None:
        self.position = position
        self.mode = mode
        self.under = under


@final
class Event(Touch):
    """Who did what, with the number of steps that a reader sees of it.

    One that touches one object is its own access: most do, and a search makes millions of them.

    task, choice, options  which task, and which of how many options
    steps   this one, if it is counted, and the plain steps that its task made after it

    A search keeps more with it:

    earlier  the event before it of the same task
    past    the events that happen before this one, and itself: positions, as bits
    before  the same, of those alone that come first whatever the labels are
    node    where the task was before
    bore    tasks that may begin since this event
    retry   of a task that tried again: whether it might, and the label of the wait
    verdicts  what rules said before, if that changed
    """

    earlier: "Event | None" = None
    past: int = 0
    before: int = 0
    node: Any = None
    options: int = 1
    bore: tuple[int, ...] = ()
    retry: Any = None
    verdicts: Any = None

    def __init__(self, task: int, choice: int, label: Label, steps: int) -> None:
        self.mode = label.mode
        self.task = task
        self.choice = choice
        self.label = label
        self.steps = steps

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Event)
            and self.task == other.task
            and self.choice == other.choice
            and self.label == other.label
            and self.steps == other.steps
        )

    def __hash__(self) -> int:
        return hash((self.task, self.choice, self.label))

    def __repr__(self) -> str:
        return f"<Event of task {self.task}: {self.label}>"
