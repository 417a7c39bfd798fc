"""Wrong use: one clear line on stderr, status 2, no traceback."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Command, Ran

HEADER = """from dataclasses import replace
from pfnlab import Design
from pfnlab.designs import huge_fault
from pfnlab.kernel import *
"""


def complaint(ran: Ran) -> str:
    """The one line of a command that was used wrongly."""
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("pfnlab: ")
    assert ran.err.endswith("\n")
    assert ran.err.count("\n") == 1
    return ran.err.removeprefix("pfnlab: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["check", "./missing.py"], "there is no file ./missing.py"),
        (["check", "."], ". is a directory, not a Python file"),
        (["show", "./"], "./ is a directory, not a Python file"),
        (["conform", "."], ". is a directory, not a trace"),
        (["check", ""], "the name of a design is empty; pfnlab list shows all there are"),
        (
            ["check", "huge_fault", ""],
            "the name of a scenario is empty; pfnlab list shows all there are",
        ),
        (
            ["replay", "."],
            "replay needs DESIGN SCENARIO SCHEDULE, FILE.py SCHEDULE of a program without a "
            "kernel, or FILE.json that check --save has written",
        ),
        (["compare", "missing.json"], "there is no file missing.json"),
        (
            ["check", "nosuch"],
            "no design is called 'nosuch'; pfnlab list shows all there are, "
            "or give a file: ./nosuch.py",
        ),
        (
            ["check", "huge_fault", "nosuch"],
            "no scenario is called 'nosuch'; pfnlab list shows all there are, "
            "or give a file: ./nosuch.py",
        ),
        (
            ["show", "nosuch"],
            "no design is called 'nosuch'; pfnlab list shows all there are, "
            "or give a file: ./nosuch.py",
        ),
        (["frob"], "No such command 'frob'. See pfnlab --help."),
        (
            ["check", "huge_fault", "first_fault", "surplus"],
            "Got unexpected extra argument(s) (surplus). See pfnlab check --help.",
        ),
        (
            ["check", "first_fault", "huge_fault"],
            "the design comes first: huge_fault first_fault",
        ),
        (
            ["check", "first_fault", "two_faults"],
            "first_fault and two_faults are scenarios: give one, or a design and one",
        ),
        (["new", "design", "class"], "'class' cannot be a name: it is a word of Python"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_is_one_line(
    pfnlab: Command, arguments: list[str], expected: str
) -> None:
    assert complaint(pfnlab(*arguments)) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["--policy", "nosuch"],
        ["--max-schedules", "0"],
        ["--jobs", "0"],
        ["--seed", "x"],
        ["--preemptions", "-1"],
        ["--no-such-option"],
    ],
    ids=" ".join,
)
def test_an_option_that_makes_no_sense_is_one_line(pfnlab: Command, arguments: list[str]) -> None:
    line = complaint(pfnlab("check", "huge_fault", "first_fault", *arguments))

    assert arguments[0] in line
    assert line.endswith(". See pfnlab check --help.")


def test_a_kernel_that_there_is_not_is_said_once_for_all_checks(pfnlab: Command) -> None:
    assert complaint(pfnlab("check", "huge_fault", "--kernel", "v6.99")).startswith(
        "no profile is called 'v6.99' (the nearest is v6.16); there are "
    )


@pytest.mark.parametrize("policy", ["random", "pct"])
def test_schedules_that_are_drawn_have_no_bound_on_preemptions(
    pfnlab: Command, policy: str
) -> None:
    line = complaint(pfnlab("check", "huge_fault", "--policy", policy, "--preemptions", "1"))

    assert line == f"policy {policy} draws schedules, and has no bound on their preemptions"


PRINTING = '''
print("while it is loaded")
from pfnlab import scenario

@scenario
def printing(lab):
    """A task prints."""
    print("while it is set up")
    lab.add_task("task", lambda: print("by a task"))
'''


@pytest.mark.parametrize("command", ["check huge_fault {}", "replay huge_fault {} task:0"])
def test_what_a_file_prints_is_not_among_the_results(
    pfnlab: Command, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "printing.py"
    path.write_text(PRINTING)

    ran = pfnlab(*command.format(path).split(), "--json")

    assert json.loads(ran.out)
    assert "while it is loaded" in ran.err


@pytest.mark.parametrize("command", [["check", "huge_fault"], ["replay", "huge_fault"]])
@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("nosuch", ""),
        ("d1", "did you mean D1? "),
        ("no_deadlok", "did you mean no_deadlock? "),
    ],
)
def test_a_rule_that_there_is_not_names_one_that_there_is(
    pfnlab: Command, command: list[str], rule: str, hint: str
) -> None:
    arguments = [*command, "first_fault", "--rule", rule]
    if command[0] == "replay":
        arguments.insert(3, "vcpu:1")

    assert complaint(pfnlab(*arguments)) == (
        f"no rule is called {rule!r}; {hint}pfnlab list shows all there are"
    )


@pytest.mark.parametrize("release", ["v6.9", "6.9"])
def test_a_kernel_is_named_with_or_without_its_v(pfnlab: Command, release: str) -> None:
    ran = pfnlab("cost", "--size", "4K", "--design", "huge_fault", "--kernel", release)

    assert ran.status == 0
    assert " v6.9 " in ran.out


def test_json_and_a_test_are_not_printed_at_once(pfnlab: Command) -> None:
    line = complaint(pfnlab("replay", "huge_fault", "first_fault", "vcpu:1", "--as-test", "--json"))

    assert line == "--as-test prints Python, and --json JSON: choose one"


@pytest.mark.parametrize("arguments", [["list"], ["--version"]])
def test_output_that_nobody_reads_is_no_verdict(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from pfnlab.cli import main; main()", *arguments]
    try:
        ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)

    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_an_output_that_the_shell_has_closed_changes_no_status(closed: str) -> None:
    text = f"import sys; sys.{closed} = None; from pfnlab.cli import main; main()"
    command = [sys.executable, "-c", text, "check", "remap_on_fault", "first_fault"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (1, "")
    assert bool(ran.stdout) == (closed != "stdout")


def test_no_command_at_all_prints_the_help(pfnlab: Command) -> None:
    ran = pfnlab()

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Usage: pfnlab ")
    assert "See pfnlab --help" not in ran.err


BAD_FILES = {
    "a syntax error": (
        "def page_fault(:\n    pass\n",
        "{file}:1: syntax error: invalid syntax",
    ),
    "an import of what is not there": (
        "import no_such_module\n",
        "{file}:1: ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "no design": (
        "x = 1\n",
        "{file} holds no design; it needs design = Design(...)",
    ),
    "two designs": (
        HEADER + 'a = replace(huge_fault.design, name="a")\n'
        'b = replace(huge_fault.design, name="b")\n',
        "{file} holds several: say which, as in {file}:a",
    ),
    "no hooks": (
        HEADER + 'design = Design(name="mine")\n',
        "{file}:5: design mine has no mmap; give Design(...) mmap=, a function of (vdev, vma)",
    ),
    "a zap hook forgotten": (
        HEADER + 'design = replace(huge_fault.design, name="mine", '
        "zap_and_down_write_memory_lock=None)\n",
        "{file}:5: design mine has no zap_and_down_write_memory_lock; give Design(...) "
        "zap_and_down_write_memory_lock=, a function of (vdev)",
    ),
    "huge_fault without fault": (
        HEADER + 'design = replace(huge_fault.design, name="mine", '
        "vm_ops=VmOperations(huge_fault=huge_fault.huge_fault))\n",
        "{file}:5: design mine has huge_fault and no fault; a fault of one page needs fault",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_holds_no_design_is_one_line(
    pfnlab: Command, tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")

    assert complaint(pfnlab("check", str(file), "first_fault")) == expected.format(file=file)


def test_a_file_with_two_designs_alone_says_that_it_has_two(
    pfnlab: Command, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(BAD_FILES["two designs"][0], encoding="utf-8")

    assert (
        complaint(pfnlab("check", str(file))) == f"{file} holds several: say which, as in {file}:a"
    )


def test_a_file_that_is_no_text_is_one_line(pfnlab: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_bytes(b"\xff\xfe\x00")

    assert complaint(pfnlab("check", str(file), "first_fault")).startswith(f"{file}:1: ")


DAMAGED = {
    "no text": (b"\x00\xff" * 50_000, "it is no text"),
    "no JSON": (b"nothing", "Expecting value: line 1 column 1 (char 0)"),
    "nested too deeply": (b"[" * 100_000, "it is nested too deeply"),
    "something else": (b"{}", "it has no 'schema'"),
    "a list": (b"[]", "its parts are not what they should be"),
    "a number for a name": (
        b'{"schema": "pfnlab measured 1", "cases": [{"case": 1}]}',
        "its parts are not what they should be",
    ),
}


@pytest.mark.parametrize(("content", "why"), DAMAGED.values(), ids=DAMAGED)
def test_measurements_that_are_none_are_one_short_line(
    pfnlab: Command, tmp_path: Path, content: bytes, why: str
) -> None:
    file = tmp_path / "measured.json"
    file.write_bytes(content)

    assert complaint(pfnlab("compare", str(file))) == (
        f"{file} is no file that pfnlab compare --save has written: {why}"
    )


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("check remap_on_fault first_fault --save FILE", "a saved counterexample, which pfnlab re"),
        ("check huge_fault first_fault --json", "what pfnlab check --json prints; what is compare"),
        ("replay huge_fault first_fault vcpu:3 --json", "of schema 1; what is compared is 'pfnlab"),
    ],
)
def test_compare_says_what_a_file_of_another_command_is(
    pfnlab: Command, tmp_path: Path, command: str, what: str
) -> None:
    file = tmp_path / "other.json"
    printed = pfnlab(*command.replace("FILE", str(file)).split()).out
    if not file.exists():
        file.write_text(printed, encoding="utf-8")

    assert complaint(pfnlab("compare", str(file))).startswith(f"{file} is {what}")


@pytest.mark.parametrize("content", [content for content, _why in DAMAGED.values()], ids=DAMAGED)
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["replay"], "{file} is no saved counterexample"),
        (["conform"], "{file} is no trace: "),
        (["check", "--resume", "--checkpoint"], "{file} is no checkpoint of pfnlab check"),
    ],
    ids=["replay", "conform", "check"],
)
def test_a_file_of_something_else_is_one_short_line(
    pfnlab: Command, tmp_path: Path, content: bytes, command: list[str], expected: str
) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(content)

    line = complaint(pfnlab(*command, str(file)))

    assert line.startswith(expected.format(file=file))
    assert len(line) < 300


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("mine.toml", b"\xff", "mine.toml is no calibration: it is no text"),
        ("mine.toml", b"a = " + b"[" * 100_000, "mine.toml: it is nested too deeply"),
        ("mine.json", b"", "mine.json is no calibration: that is a file whose name ends in .toml"),
    ],
    ids=["no text", "nested too deeply", "another name"],
)
def test_a_file_that_is_no_calibration_is_one_line(
    pfnlab: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes,
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)

    assert complaint(pfnlab("cost", "--size", "4K", "--calibration", name)) == why


MISUSE = {
    "vm_flags written directly": (
        """
def mmap(vdev, vma):
    vma.vm_flags = VM_PFNMAP
    return 0
""",
        "vma.vm_flags is read-only; call vm_flags_set(vma, flags)",
        "vma.vm_flags =",
    ),
    "mmap returns None": (
        """
def mmap(vdev, vma):
    pass
""",
        "mmap returned None; return 0 or a negative error number",
        "def mmap",
    ),
    "mmap returns a positive error": (
        """
def mmap(vdev, vma):
    return ENOMEM
""",
        "mmap returned 12; return 0 or a negative error number",
        "def mmap",
    ),
    "a handler returns None": (
        """
def page_fault(vmf):
    pass
""",
        "page_fault returned None; return VM_FAULT_NOPAGE, VM_FAULT_SIGBUS or another "
        "VM_FAULT_ code",
        "def page_fault",
    ),
    "a handler promises a struct page": (
        """
def page_fault(vmf):
    return vm_fault_t(0)
""",
        "page_fault returned 0, which promises a struct page; a pfn mapping returns "
        "VM_FAULT_NOPAGE",
        "def page_fault",
    ),
    "a handler is done and maps nothing": (
        """
def page_fault(vmf):
    return VM_FAULT_COMPLETED
""",
        "page_fault returned VM_FAULT_COMPLETED, which promises a struct page; a pfn mapping "
        "returns VM_FAULT_NOPAGE",
        "def page_fault",
    ),
    "a KeyError in a handler": (
        """
def page_fault(vmf):
    return {}["nothing"]
""",
        "KeyError: 'nothing' (in task vcpu)",
        'return {}["nothing"]',
    ),
    "a field that is not declared": (
        """
def page_fault(vmf):
    vmf.vma.vm_private_data.faults = 1
    return VM_FAULT_SIGBUS
""",
        "VfioPciDevice has no field faults; declare it in the class, as in `faults = field(...)`: "
        "only fields are seen by the explorer",
        "faults = 1",
    ),
    "a field that is not there": (
        """
def page_fault(vmf):
    return vmf.vma.vm_private_data.faults
""",
        "AttributeError: 'VfioPciDevice' object has no attribute 'faults' (in task vcpu)",
        "return vmf",
    ),
    "arithmetic with an order": (
        """
def page_fault(vmf):
    return PAGE_SIZE << (PMD_ORDER + 1)
""",
        "an order is a level, not a number: write PAGE_SIZE << order",
        "PMD_ORDER + 1",
    ),
}


@pytest.mark.parametrize(("code", "expected", "where"), MISUSE.values(), ids=MISUSE)
def test_misuse_of_the_model_is_one_line_with_its_place(
    pfnlab: Command, tmp_path: Path, code: str, expected: str, where: str
) -> None:
    hook = "mmap=mmap" if "def mmap" in code else "vm_ops=VmOperations(fault=page_fault)"
    file = tmp_path / "mine.py"
    text = HEADER + code + f'design = replace(huge_fault.design, name="mine", {hook})\n'
    file.write_text(text, encoding="utf-8")
    line = next(n for n, row in enumerate(text.splitlines(), start=1) if where in row)

    assert complaint(pfnlab("check", str(file), "first_fault")) == f"{file}:{line}: {expected}"


RAISES = """
def page_fault(vmf):
    raise ValueError("no page for you")
"""
READS = """
def page_fault(vmf):
    while vmf.vma.vm_private_data.memory_enabled:
        pass
    return VM_FAULT_SIGBUS
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (RAISES, "{file}:7: ValueError: no page for you"),
        (READS, "{file}:7: the design reads for ever: see pfnlab check"),
    ],
    ids=["raises", "reads for ever"],
)
@pytest.mark.parametrize("command", ["cost", "explain", "compare"])
def test_a_handler_that_fails_is_one_line_of_whatever_runs_it(
    pfnlab: Command, tmp_path: Path, command: str, code: str, expected: str
) -> None:
    file = tmp_path / "mine.py"
    hook = "vm_ops=VmOperations(fault=page_fault)"
    file.write_text(HEADER + code + f'design = replace(huge_fault.design, name="mine", {hook})\n')
    arguments = {
        "cost": ["--size", "4K"],
        "explain": ["--size", "4K"],
        "compare": [str(Path(__file__).parent.parent / "data" / "measured" / "6.12.95.json")],
    }[command]

    assert complaint(pfnlab(command, *arguments, "--design", str(file))) == (
        expected.format(file=file)
    )


@pytest.mark.parametrize(
    "arguments",
    [
        "check huge_fault first_fault --save {path}.json",
        "cost --size 4K --plot {path}.svg",
        "calibrate --output {path}.toml",
        "lab trace --output {path}.jsonl",
        "compare --kernel 6.12 --save {path}.json",
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    pfnlab: Command, tmp_path: Path, arguments: str
) -> None:
    path = tmp_path / "none" / "file"
    line = complaint(pfnlab(*arguments.format(path=path).split()))

    assert line.startswith(f"{path}.")
    assert line.endswith(f" cannot be written: there is no directory {path.parent}")
    assert not path.parent.exists()


@pytest.mark.parametrize("command", ["lab run first", "lab trace -o x.jsonl", "compare"])
def test_a_guest_without_time_is_refused(pfnlab: Command, command: str) -> None:
    line = complaint(pfnlab(*command.split(), "--timeout", "-1"))

    which = command.partition(" first")[0].partition(" -o")[0]
    assert line == (
        "Invalid value for '--timeout': -1.0 is not in the range x>=1.0. "
        f"See pfnlab {which} --help."
    )


@pytest.mark.parametrize("command", ["lab run first --timeout", "check --max-seconds"])
@pytest.mark.parametrize("seconds", ["nan", "inf"])
def test_seconds_that_nobody_can_count_are_refused(
    pfnlab: Command, command: str, seconds: str
) -> None:
    line = complaint(pfnlab(*command.split(), seconds))

    assert f"{seconds} is no number of seconds. See pfnlab " in line


@pytest.fixture
def no_room() -> Iterator[None]:
    """Files may not grow beyond 100 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("no_room")
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("check remap_on_fault two_faults --save mine.json", "mine.json"),
        pytest.param(
            "cost --size 4K --design huge_fault --plot mine.svg", "mine.svg", marks=pytest.mark.slow
        ),
    ],
)
def test_where_there_is_no_room_the_older_file_stays(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("older", encoding="utf-8")

    ran = pfnlab(*arguments.split())

    assert (ran.status, ran.err) == (2, f"pfnlab: {name} cannot be written: File too large\n")
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["older"]


@pytest.mark.usefixtures("no_room")
def test_where_there_is_no_room_no_design_is_begun(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert complaint(pfnlab("new", "design", "mine")) == "mine.py cannot be written: File too large"
    assert list(tmp_path.iterdir()) == []


def test_state_outside_of_fields_is_named_as_such(pfnlab: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        HEADER
        + """
seen = []


def page_fault(vmf):
    seen.append(vmf.address)
    if len(seen) % 2:
        return VM_FAULT_SIGBUS
    return huge_fault.page_fault(vmf)


design = replace(huge_fault.design, name="mine", vm_ops=VmOperations(fault=page_fault))
""",
        encoding="utf-8",
    )

    line = complaint(pfnlab("check", str(file), "first_fault"))

    assert "hidden nondeterminism: step 8 of the same schedule was " in line
    assert line.endswith("; all shared state must be in fields")


@pytest.mark.parametrize(
    "command",
    ["lab kernels", "lab fetch 6.12", "lab run", "lab trace -o x", "compare --kernel 6.12"],
)
def test_a_cache_that_cannot_be_is_one_line(pfnlab: Command, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    ran = pfnlab(*command.split(), "--cache", str(tmp_path / "file" / "cache"))

    assert complaint(ran) == (
        f"{tmp_path}/file/cache cannot be a cache: Not a directory; --cache names another"
    )


def test_a_directory_that_has_the_name_of_a_counterexample_is_one_line(
    pfnlab: Command, tmp_path: Path
) -> None:
    (tmp_path / "x.json").mkdir()
    told = complaint(pfnlab("replay", str(tmp_path / "x.json")))

    assert told == f"{tmp_path}/x.json is a directory, not a saved counterexample"


def test_a_file_may_have_a_colon_in_its_name(pfnlab: Command, tmp_path: Path) -> None:
    path = tmp_path / "a:b.py"
    path.write_text(f'{HEADER}mine = replace(huge_fault.design, name="mine")\n')

    for spec in (str(path), f"{path}:mine"):
        assert pfnlab("check", spec, "first_fault").out.startswith("first_fault on mine: ok")
    assert complaint(pfnlab("check", f"{path}:no", "first_fault")) == (
        f"{path} holds no design 'no'; there is mine"
    )


def test_a_group_of_commands_without_one_prints_its_help(pfnlab: Command) -> None:
    ran = pfnlab("lab")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Usage: pfnlab lab [OPTIONS] COMMAND")
    assert "See pfnlab" not in ran.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
def test_output_that_has_no_room_is_one_line(buffered: bool) -> None:
    environment = dict(os.environ, PYTHONUNBUFFERED="" if buffered else "1")
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "pfnlab", "show", "huge_fault"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment,
        )  # fmt: skip

    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].endswith("No space left on device")
    assert "Traceback" not in ran.stderr
    assert "Errno" not in ran.stderr


@pytest.mark.parametrize(("command", "option"), [("cost", "--plot"), ("measure", "--bar")])
def test_an_option_without_its_argument_leads_to_the_help_of_its_command(
    pfnlab: Command, command: str, option: str
) -> None:
    told = complaint(pfnlab(command, option))

    assert told == f"Option '{option}' requires an argument. See pfnlab {command} --help."


def test_the_usage_of_new_reads_as_a_command(pfnlab: Command) -> None:
    assert "pfnlab new [OPTIONS] {design} {name}" in pfnlab("new", "--help").out
