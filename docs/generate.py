"""Bring README.md, ARCHITECTURE.md and docs/ up to date with the code: `make docs`.

What people wrote stays.  Three things are replaced:

    ```console                 the lines under each "$ pfnlab ..." are what it prints
    ```text                    right after a ```python block: what that block prints
    <!-- generated: NAME -->   up to <!-- end -->: a section made here from the source

Each page is worked through from top to bottom in an empty folder.  A ```python block runs,
and so does every function in it that is called test_...; the blocks of a page share their
names.  One that begins with the comment "# NAME.py" is also written to that file.  A
```diff block changes the file that its first line, "--- NAME.py", names.
"""

import contextlib
import io
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pfnlab import cli
from pfnlab.catalogue import ENGINE_RULES, all_designs, all_rules, all_scenarios, find_design
from pfnlab.engine.program import Invariant, Rule
from pfnlab.fidelity.compare import compare
from pfnlab.fidelity.saved import load
from pfnlab.kernel.profile import profile_for, version_order
from pfnlab.kernel.rule import CONTRACTS, LeafRule
from pfnlab.report.compare import difference_lines, kernels_text, summary
from pfnlab.rules import RULES
from pfnlab.scenarios.numbers import NUMBERS as SCENARIO_NUMBERS

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "pfnlab"

BLOCK = re.compile(r"^```(console|python|text|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
FILE = re.compile(r"# (\w+\.py)\n")
SECONDS = re.compile(r'("seconds": )[\d.]+')  # differs from run to run; all else does not

# The numbers of the demands on a kernel, as the model's references list them.
NUMBERS = (
    *(f"R{n}" for n in range(1, 12)), "R11a", "R11b", "R11c", "R11d",
    *(f"R{n}" for n in range(12, 29)), "R28a", *(f"R{n}" for n in range(29, 34)),
    "D1", "D2", "D3", "D4", "L1", "L2", "L3",
)  # fmt: skip

# What becomes of a number that no rule has.  `name` in backticks is linked if it is a rule.
WITHOUT_A_RULE = {
    "R1": "VMA fields are plain, so a read with no lock that orders it is a `no_data_race`",
    "R6": "a VMA that is used after it was freed is a `no_use_after_free`",
    "R11d": "what the fault path does: a task that is killed between two tries faults no more",
    "R17": "NOPAGE that maps nothing is a `no_livelock`; "
    "a leaf outside of the VMA breaks `leaf_lies_in_its_vma`",
    "R19": "what it leads to breaks `no_leaf_while_memory_disabled`",
    "R20": "what fork() does; a child that is not found breaks `no_leaf_while_memory_disabled`",
    "R23": "what mm does: madvise() refuses such a VMA, and none is merged",
    "R24": "what mm does: a zap of a part clears the whole leaf",
    "R27": "what type1 does: a read-only leaf is -EFAULT, a pfn of RAM is refused",
    "R30": "what vmf_insert_pfn*() do: a slot that is taken is VM_FAULT_NOPAGE; but a page under a "
    "larger leaf is VM_FAULT_OOM, which R11b reports",
}


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]


class Page:
    """One page: `regenerated()` is what it should say."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: dict[str, Any] = {"__name__": "docs"}
        self.printed = ""  # by the newest python block
        self.ended = -1  # where that block ended

    def regenerated(self) -> str:
        text = self.path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            text = BLOCK.sub(self._block, text)
        return SECTION.sub(lambda found: found[1] + SECTIONS[found[2]]() + found[3], text)

    def _block(self, found: re.Match[str]) -> str:
        kind, body = found[1], found[2]
        if kind == "console":
            body = self._console(body)
        elif kind == "diff":
            apply_diff(body)
        elif kind == "python":
            self._python(body, found.string.count("\n", 0, found.start()) + 1)
            self.ended = found.end()
        elif self.ended >= 0 and not found.string[self.ended : found.start()].strip():
            body = self.printed
        return f"```{kind}\n{body}```"

    def _console(self, body: str) -> str:
        lines: list[str] = []
        ours = False
        for line in body.splitlines():
            if line.startswith("$ "):
                ours = line.startswith("$ pfnlab ")
                lines.append(line)
                if ours:
                    lines += run(line).splitlines()
            elif not ours:
                lines.append(line)
        return "".join(f"{line}\n" for line in lines)

    def _python(self, body: str, line: int) -> None:
        file = FILE.match(body)
        if file is not None:
            Path(file[1]).write_text(body, encoding="utf-8")
            code = compile(body, file[1], "exec")
        else:
            code = compile("\n" * line + body, self.path.name, "exec")
        before = set(self.names)
        with printed() as output:
            exec(code, self.names)
            for name in set(self.names) - before:
                if name.startswith("test_"):
                    self.names[name]()
        self.printed = output.getvalue()


def run(line: str) -> str:
    """What a command prints, and its exit status if the line asks for it."""
    command = line.removesuffix("; echo $?")
    with printed() as output:
        status = cli.run(shlex.split(command, comments=True)[2:])
        if command != line:
            print(status)
    return SECONDS.sub(r"\g<1>0.004", output.getvalue())


@contextlib.contextmanager
def printed() -> Iterator[io.StringIO]:
    """Collect what is printed; and leave no compiled file that a changed one could be taken for."""
    output = io.StringIO()
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            yield output
    finally:
        sys.dont_write_bytecode = before


def apply_diff(body: str) -> None:
    """Replace the old lines of a diff by the new ones, in the file that it names."""
    header, *lines = body.splitlines()
    file = Path(header.removeprefix("--- "))
    text = file.read_text(encoding="utf-8")
    old, new = (
        "".join(f"{line[1:]}\n" for line in lines if line[:1] not in leave_out)
        for leave_out in ("+", "-")
    )
    if text.count(old) != 1:
        raise ValueError(f"{file} does not hold this exactly once:\n{old}")
    file.write_text(text.replace(old, new), encoding="utf-8")


def rules() -> str:
    """Every number, and every rule: number, name, sentence, source."""
    sources = {checked.rule.name: source_of(checked.check.__doc__) for checked in RULES}
    groups = {
        "The state after every step": [r.rule for r in RULES if isinstance(r, Invariant)],
        "Every leaf, when it is installed": [r.rule for r in RULES if isinstance(r, LeafRule)],
        "Contracts of kernel functions, when they are called": list(CONTRACTS.values()),
        "Every program, with or without a kernel": list(ENGINE_RULES),
    }
    text = numbers()
    for title, group in groups.items():
        text += f"\n## {title}\n"
        for rule in group:
            source = rule.source or sources.get(rule.name, "")
            number = f" ({rule.number})" if rule.number else ""
            text += f"\n### {rule.name}{number}\n\n{rule.sentence}\n"
            text += f"\nSource: {source}\n" if source else ""
    return text + "\n"


def numbers() -> str:
    """A table: which rules check each number, or why none does."""
    text = "\n## Numbers\n\n| Number | Checked by |\n| --- | --- |\n"
    for number in NUMBERS:
        rules = [rule for rule in all_rules().values() if rule.number == number]
        words = ", ".join(map(link, rules)) if rules else explained(WITHOUT_A_RULE[number])
        text += f"| {number} | {words} |\n"
    return text


def fidelity() -> str:
    """Kernels beside the model: how many counts of each workload are equal, and which are not."""
    found = []
    for path in sorted((ROOT / "tests/data/measured").glob("*.json"), key=release_order):
        found.append(
            [
                compare(name, one, find_design(one.design), profile_for(one.version))
                for name, one in load(path)
            ]
        )
    lines = ["", "```text", kernels_text(found), "```", ""]
    for comparisons in found:
        first = comparisons[0].measured
        lines.append(
            f"- Linux {first.version} ({first.kernel}), {first.date[:10]}, in {first.machine}: "
            f"{summary(comparisons)}"
        )
        for one in comparisons:
            lines += [
                f"  - {one.name}:{line.removeprefix('  *')}" for line in difference_lines(one)
            ]
    return "\n".join([*lines, "", ""])


def release_order(path: Path) -> tuple[int, ...]:
    return version_order(path.stem)


def link(rule: Rule) -> str:
    """The name of a rule, linked to its section in the page on rules."""
    heading = f"{rule.name} {rule.number or ''}".strip().lower().replace(" ", "-")
    return f"[{rule.name}](#{heading})"


def explained(words: str) -> str:
    """A sentence in which each rule in backticks is a link."""
    return re.sub(r"`(\w+)`", lambda found: link(all_rules()[found[1]]), words)


def source_of(docstring: str | None) -> str:
    """What follows the line "Rule: ..." in the docstring of a rule."""
    lines = [line.strip() for line in (docstring or "").splitlines()]
    numbered = [index for index, line in enumerate(lines) if line.startswith("Rule:")]
    return " ".join(lines[numbered[0] + 1 :]).strip() if numbered else ""


def designs() -> str:
    """Every design that ships: its docstring, and where it is."""
    text = ""
    for name, design in all_designs().items():
        module = sys.modules[str(design.own_hook.__module__)]
        place = Path(module.__file__ or "").relative_to(ROOT).as_posix()
        story = (module.__doc__ or "").strip().removeprefix(f"{name}: ")
        story = story[:1].upper() + story[1:]
        text += (
            f"\n## {name}\n\n{story}\n\nKernels: {design.kernels}. Source: [{place}](../{place})\n"
        )
    return text + "\n"


def departures() -> str:
    """Every comment of the source that begins with "Model:"."""
    text = "\n"
    for path in sorted(SOURCE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for found in re.finditer(r"^ *(#?) *Model: (.*\n(?: *\1 *[^\s\"#].*\n)*)", source, re.M):
            words = found[2].replace("#", "").replace('"""', "").split()
            text += f"- {path.relative_to(SOURCE).as_posix()}: {' '.join(words)}\n"
    return text + "\n"


def scenarios() -> str:
    """Every number of the catalogue, and every scenario that has none."""
    text = "\n## Numbers\n\n| Number | What happens | Scenarios | Stories |\n"
    text += "| --- | --- | --- | --- |\n"
    for number, row in SCENARIO_NUMBERS.items():
        names = ", ".join(f"`{name}`" for name in row.scenarios.split())
        stories = ", ".join(map(link_to_story, row.stories.split()))
        own = " (own)" if row.own else ""
        text += f"| {number}{own} | {row.sentence} | {names} | {stories} |\n"
    text += "\n## Without a number\n\n"
    numbered = {name for row in SCENARIO_NUMBERS.values() for name in row.scenarios.split()}
    for name, scenario in all_scenarios().items():
        if name not in numbered and "+" not in name:
            text += f"- `{name}`: {scenario.sentence}\n"
    return text + "\n"


def link_to_story(name: str) -> str:
    return f"[{name}](../tests/stories/test_{name}.py)"


SECTIONS = {
    "rules": rules,
    "designs": designs,
    "departures": departures,
    "scenarios": scenarios,
    "fidelity": fidelity,
}


if __name__ == "__main__":
    for path in pages():
        text = Page(path).regenerated()
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
