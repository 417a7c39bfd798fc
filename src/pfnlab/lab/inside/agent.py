"""Run jobs in a guest: a request comes in on one line, and each answer goes out on one.

    {"module": NAME, "source": TEXT or null, "arguments": {}, "ports": [ADDRESS], "time": SECONDS}

asks for a job: the module is run as `python -m NAME` does, in a process of its own, which is there
already.  It finds its arguments as one line of JSON on its standard input, with "devices" added,
the address of the device below each port, which is waited for, and "device", the first of them.
What it prints comes back as it is printed:

    {"ready": PYTHON}     once, when the agent has started
    {"output": LINES}     lines of standard output, with their newlines
    {"message": LINES}    lines of standard error
    {"exit": STATUS}      the job is over; minus a signal's number if one has ended it

An answer that is long comes packed, {"packed": TEXT}: base64 of zlib of its JSON.  A serial port
takes 10 us for every byte of it.
"""

import binascii
import contextlib
import gc
import importlib
import importlib.util
import io
import json
import os
import select
import sys
import termios
import time
import types
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DEVICES = "/sys/bus/pci/devices"
PATIENCE = 30.0  # seconds until a device is there
LONGEST = 1 << 16
HERE = b"."  # what a process says when it waits for a request
PACKED_FROM = 500
# What the usual job imports, and finds out about the kernel: done before a snapshot is made, it is
# there in each run.
EARLY = ("pfnlab.host.device", "pfnlab.host.run", "pfnlab.host.job")
LEARNS = "pfnlab.host.run"
KNOWN = "/lab/known"  # what the lab has read from the files of the kernel

Answer = Callable[[Mapping[str, object]], None]
SetClock = Callable[[float], None]


def guest_clock(seconds: float) -> None:
    """A guest that comes from a snapshot believes that it is still the day of the snapshot."""
    time.clock_settime(time.CLOCK_REALTIME, seconds)


def no_clock(seconds: float) -> None:
    """For a test, which is no guest."""


def serve(fd: int, path: str = DEVICES, set_clock: SetClock = no_clock) -> None:
    """Run what is asked for on `fd` until nobody can ask any more."""

    def answer(data: Mapping[str, object]) -> None:
        text = packed(json.dumps(data)).encode() + b"\n"
        while text:
            text = text[os.write(fd, text) :]

    job = start(path, set_clock)
    answer({"ready": sys.version})
    waiting = b""
    while data := os.read(fd, LONGEST):
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            if line.strip():
                run(job, line + b"\n", answer)
                job = start(path, set_clock)
    run(job, b"", lambda _data: None)


def packed(text: str) -> str:
    """The JSON itself, or shorter JSON that has it inside."""
    if len(text) < PACKED_FROM:
        return text
    return json.dumps(
        {"packed": binascii.b2a_base64(zlib.compress(text.encode(), 1), newline=False).decode()}
    )


@dataclass(frozen=True)
class Waiting:
    """A process that waits for a request, where that is written to, and what it prints to."""

    pid: int
    into: int
    ends: Mapping[int, str]


def start(path: str = DEVICES, set_clock: SetClock = no_clock) -> Waiting:
    """Fork a process for a request that is still to come: in a snapshot it is there already."""
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    read_err, write_err = os.pipe()
    child = os.fork()
    if child == 0:
        for number, end in enumerate((read_in, write_out, write_err)):
            os.dup2(end, number)
        os.closerange(3, 256)
        status = 1
        try:
            status = obey(path, set_clock)
        finally:
            os._exit(status)
    for end in (read_in, write_out, write_err):
        os.close(end)
    os.read(read_out, len(HERE))
    return Waiting(child, write_in, {read_out: "output", read_err: "message"})


def run(job: Waiting, request: bytes, answer: Answer) -> None:
    """Hand a request on to the process that waits for it, and answer until it is over."""
    # Longer requests than a pipe holds would wait for the child, which reads all of its input.
    with contextlib.suppress(BrokenPipeError):  # it has ended and read nothing
        while request:
            request = request[os.write(job.into, request) :]
    os.close(job.into)
    try:
        relay(job.ends, answer)
    finally:
        _, status = os.waitpid(job.pid, 0)
    answer({"exit": os.waitstatus_to_exitcode(status)})


def obey(path: str, set_clock: SetClock) -> int:
    """Wait for a request on standard input, and run it; the exit status."""
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    os.write(1, HERE)
    line = sys.stdin.readline()
    if not line:
        return 0  # nobody asks any more
    request = json.loads(line)
    set_clock(request["time"])
    try:
        devices = [device_below(port, path) for port in request["ports"]]
    except (OSError, LookupError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    first = {"device": devices[0]} if devices else {}
    arguments = {**first, "devices": devices, **request["arguments"]}
    sys.stdin = io.StringIO(json.dumps(arguments) + "\n")
    return execute(request["module"], request["source"])


def device_below(port: str, path: str, patience: float = PATIENCE) -> str:
    """The address of the device on a port, as soon as the kernel has made all files of it."""
    end = time.monotonic() + patience
    folder = os.path.join(path, port)
    while time.monotonic() < end:
        for name in os.listdir(folder):
            # The numbered files are there when the BARs have their addresses.
            if name.count(":") == 2 and any(
                file[:8] == "resource" and file != "resource"
                for file in os.listdir(os.path.join(folder, name))
            ):
                return name
        time.sleep(0.01)
    raise LookupError(f"no device below {port} within {patience:.0f} s")


def execute(module: str, source: str | None) -> int:
    """Run a module as the main one; its exit status."""
    sys.argv = [module]
    status: object = 0
    try:
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(code_of(module) if source is None else compile(source, module, "exec"), vars(main))
    except SystemExit as end:
        status = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


def code_of(module: str) -> types.CodeType:
    """Raises ImportError, as an import does."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    loader: Any = spec.loader
    code: types.CodeType = loader.get_code(module)
    return code


def relay(ends: Mapping[int, str], answer: Answer) -> None:
    """Hand on what comes out of these ends, line by line, until all are closed."""
    waiting = dict.fromkeys(ends, b"")
    while waiting:
        for end in select.select(list(waiting), [], [])[0]:
            data = os.read(end, LONGEST)
            whole, newline, rest = (waiting[end] + data).rpartition(b"\n")
            waiting[end] = rest
            if not data:
                whole, newline = rest, b""
                del waiting[end]
                os.close(end)
            if whole or newline:
                answer({ends[end]: (whole + newline).decode(errors="replace")})


def open_terminal(path: str) -> int:
    """A serial port that hands on every byte as it is."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    settings = termios.tcgetattr(fd)
    settings[0] = settings[1] = settings[3] = 0
    settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
    settings[4] = settings[5] = termios.B115200
    termios.tcsetattr(fd, termios.TCSANOW, settings)
    return fd


def work(channel: str) -> None:
    """In a guest: be the agent, on a serial port."""
    for name in EARLY:
        importlib.import_module(name)
    with open(KNOWN, encoding="utf-8") as file:
        importlib.import_module(LEARNS).learn(**json.load(file))
    gc.freeze()
    gc.enable()
    serve(open_terminal(channel), set_clock=guest_clock)
