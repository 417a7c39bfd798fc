"""The state of a search as plain data: what a checkpoint holds, and what workers are sent.

A search is where its frames are, and all that is in them are steps: which task, and which of its
choices.  Labels are left out, as cells have other numbers in another process.  They are found
again by making the steps.  What is forgotten, which races were settled, may be looked at twice.
"""

from typing import Any, NamedTuple

from pfnlab.engine.errors import ModelError
from pfnlab.engine.event import Event
from pfnlab.engine.label import NOTHING
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.optimal import Optimal
from pfnlab.explorer.trie import Step
from pfnlab.explorer.wakeup import EXPLORED, OWN, Branch, Frame, insert, step_of, still_asleep

Steps = tuple[tuple[int, int], ...]


class Twig(NamedTuple):
    """A branch: steps in a row, each with whether its label is known, and what comes after them."""

    row: tuple[tuple[int, int, bool], ...]
    lent: int = OWN
    after: tuple["Twig", ...] = ()

    @property
    def step(self) -> tuple[int, int]:
        """Its first step."""
        return self.row[0][:2]

    @property
    def first(self) -> "Twig":
        """That alone."""
        return Twig(self.row[:1])


class FrameState(NamedTuple):
    """One frame.

    taken    the first branch of the tree is the one that was taken
    slept    steps that were tried from here
    lent     how many of them others are still exploring, by place in `slept`
    """

    taken: bool
    slept: tuple[Twig, ...]
    lent: tuple[int, ...]
    tree: tuple[Twig, ...]


class State(NamedTuple):
    """Frames, and how far the search has come; `base` of them are copies of others' frames."""

    frames: tuple[FrameState, ...]
    base: int = 0
    started: bool = False
    fell_back: bool = False


class Wish(NamedTuple):
    """Something that a part asks of, or tells, the owner of a frame.

    path   the steps to the state that it is about
    steps  a sequence that must be tried from there
    done   it has been tried: it is one step, that was given away
    """

    path: Steps
    steps: Steps
    done: bool = False


BEGINNING = State((FrameState(False, (), (), ()),))


def save(search: Optimal) -> State:
    """The state of a search between two executions."""
    frames = tuple(frame_state(frame) for frame in search.frames)
    return State(frames, search.base, search.started, search.fell_back)


def frame_state(frame: Frame) -> FrameState:
    slept = frame.sleep[len(frame.sleep) - frame.tried :]
    current = frame.current
    return FrameState(
        current is not None,
        tuple(_twig(step) for step in slept),
        tuple(place for place, step in enumerate(slept) if step in frame.lent),
        # What comes after the present step is in the next frame.
        (*([_twig(current)] if current is not None else []), *map(twig_of, frame.tree)),
    )


def _twig(*row: Step) -> Twig:
    return Twig(tuple((step.task, step.choice, step.label is not NOTHING) for step in row))


def twig_of(branch: Branch) -> Twig:
    """A branch; rows that follow each other without an alternative are one."""
    row = [*branch.row[branch.place : branch.stop]]
    last = branch
    while last.then is not None and len(last.then) == 1 and last.then[0].lent == OWN:
        (last,) = last.then
        row += last.row[last.place : last.stop]
    return _twig(*row)._replace(lent=last.lent, after=tuple(map(twig_of, last.then or ())))


def restore(search: Optimal, state: State, wishes: tuple[Wish, ...] = ()) -> None:
    """Bring a new search to a state, and let it try what others have asked for."""
    machine = search.machine
    search.base, search.started, search.fell_back = state.base, state.started, state.fell_back
    search.frames = frames = []
    search.planned = 0
    inherited: list[Step] = []
    for depth, saved in enumerate(state.frames):
        tree = [_branch(machine, twig) for twig in saved.tree]
        slept = [_branch(machine, twig).step for twig in saved.slept]
        frame = Frame([*inherited, *slept])
        frame.tried = len(slept)
        search.planned += _number(saved.tree) - saved.taken
        frame.lent = tuple(slept[place] for place in saved.lent)
        frame.current = tree.pop(0).step if saved.taken else None
        frame.tree = tree
        frames.append(frame)
        path = path_to(state, depth)
        present = saved.tree[0].step if saved.taken else None
        for wish in wishes:
            if wish.path[:depth] == path and wish.path[depth : depth + 1] != (present,):
                _grant(search, wish, depth)
        if frame.current is None:
            break
        event = _make(machine, frame.current.task, frame.current.choice)
        frame.current = step_of(event)
        inherited = still_asleep(frame.sleep, event.task, event.label)


def path_to(state: State, depth: int) -> Steps:
    """The steps that lead to the state of a frame."""
    return tuple(frame.tree[0].step for frame in state.frames[:depth])


def _grant(search: Optimal, wish: Wish, depth: int) -> None:
    """Do as a wish says; it is about the state at this depth, or one that is planned after it."""
    machine, frame = search.machine, search.frames[depth]
    tree = frame.tree
    for task, choice in wish.path[depth:]:
        tree = _find(tree, task, choice).after
        _make(machine, task, choice)
    if wish.done:
        (step,) = wish.steps
        machine.undo(depth)
        slept = [lent for lent in frame.lent if (lent.task, lent.choice) == step]
        if tree is frame.tree and slept:
            frame.lent = tuple(lent for lent in frame.lent if lent is not slept[0])
        else:
            _find(tree, *step).lent = EXPLORED
        return
    sequence = [_make(machine, task, choice) for task, choice in wish.steps]
    machine.undo(depth)
    if tree is frame.tree:
        search.want(depth, sequence)
    else:
        search.planned += insert(tree, sequence)[1]


def _find(tree: list[Branch], task: int, choice: int) -> Branch:
    for branch in tree:
        if branch.step.task == task and branch.step.choice == choice:
            return branch
    raise AssertionError("a branch was given away, and nobody knows it any more")


def _branch(machine: Machine, twig: Twig) -> Branch:
    """A branch with the labels that its steps have from here."""
    row: list[Step] = []
    begin = len(machine.events)
    for place, (task, choice, known) in enumerate(twig.row, 1):
        label = NOTHING
        if known or place < len(twig.row) or twig.after:  # if not, nobody knows if it can happen
            event = _make(machine, task, choice)
            label = event.label if known else NOTHING
        row.append(Step(task, choice, label))
    branch = Branch(tuple(row))
    branch.lent, branch.then = twig.lent, [_branch(machine, after) for after in twig.after]
    machine.undo(begin)
    return branch


def _number(twigs: tuple[Twig, ...]) -> int:
    return sum(len(twig.row) + _number(twig.after) for twig in twigs)


def _make(machine: Machine, task: int, choice: int) -> Event:
    if not (task < machine.tasks and machine.enabled(task)):
        raise ModelError(
            "a saved search does not fit: a step of it cannot happen here, as the program has "
            "changed since; search anew, without what was saved"
        )
    return machine.make(task, choice)


# ---- as JSON


def state_from(data: Any) -> State:
    """A state of what JSON has made of it: lists, where it had tuples."""
    frames, base, started, fell_back = data
    every = tuple(_frame_from(frame) for frame in frames)
    return State(every, _whole(base), bool(started), bool(fell_back))


def _frame_from(data: Any) -> FrameState:
    taken, slept, lent, tree = data
    return FrameState(bool(taken), _twigs_from(slept), tuple(map(_whole, lent)), _twigs_from(tree))


def _twigs_from(data: Any) -> tuple[Twig, ...]:
    return tuple(
        Twig(
            tuple((_whole(task), _whole(choice), bool(known)) for task, choice, known in row),
            _whole(lent),
            _twigs_from(after),
        )
        for row, lent, after in data
    )


def wish_from(data: Any) -> Wish:
    path, steps, done = data
    return Wish(_steps_from(path), _steps_from(steps), bool(done))


def _steps_from(data: Any) -> Steps:
    return tuple((_whole(task), _whole(choice)) for task, choice in data)


def _whole(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is no number of a task or choice")
    return number
