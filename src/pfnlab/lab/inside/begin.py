"""The first process of a guest: mounts, loads the modules of the kernel, and becomes the agent.

It is Python, and not a shell: each program that a shell starts takes an emulated guest 20 ms.
"""

import gc
import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing else can be imported yet
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
    from typing import Any

CODE = "/lab/code"
MODULES = "/lab/modules"
CHANNEL = "/dev/ttyS1"
MOUNTS = (
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tracefs", "/sys/kernel/tracing"),
    ("debugfs", "/sys/kernel/debug"),
    ("tmpfs", "/dev/shm"),
)
INIT_MODULE = 175  # the number of the system call on x86-64
SIGNED = b"~Module signature appended~\n"  # at the end of a module; the length is before that,
SIGNATURE = 12  # at the end of so many bytes
POWER_OFF = 0x4321FEDC


class Code:
    """Imports what is in one file: to find and read a file of its own for each takes longer.

    `modules` has for each name whether it is a package, and its code as marshal writes it.
    """

    def __init__(self, modules: dict[str, tuple[bool, bytes]]) -> None:
        self.modules = modules

    def find_spec(
        self, name: str, _path: "Any" = None, _target: "Any" = None
    ) -> "ModuleSpec | None":
        if name not in self.modules:
            return None
        make_spec: Any = type(sys.__spec__)
        spec: ModuleSpec = make_spec(name, self, is_package=self.modules[name][0])
        return spec

    def create_module(self, _spec: "ModuleSpec") -> None:
        """As usual."""

    def exec_module(self, module: "ModuleType") -> None:
        exec(self.get_code(module.__name__), module.__dict__)

    def get_code(self, name: str) -> "CodeType":
        code: CodeType = marshal.loads(self.modules[name][1])
        return code


def unsigned(module: bytes) -> int:
    """The length of a module without its signature."""
    if not module.endswith(SIGNED):
        return len(module)
    end = len(module) - len(SIGNED)
    return end - SIGNATURE - int.from_bytes(module[end - 4 : end], "big")


def main() -> None:
    """Does not return."""
    gc.disable()  # of what is imported nothing is garbage; the agent enables it
    with open(CODE, "rb") as file:
        finder: Any = Code(marshal.loads(file.read()))  # load() reads it bit by bit
    sys.meta_path.insert(0, finder)
    import ctypes
    import os

    libc = ctypes.CDLL(None, use_errno=True)
    try:
        for kind, folder in MOUNTS:
            if folder == "/dev/shm":
                os.makedirs(folder, exist_ok=True)
            libc.mount(kind.encode(), folder.encode(), kind.encode(), 0, None)
        print("pfnlab:", os.uname().release, flush=True)
        with open(MODULES, encoding="utf-8") as names:
            for name in names.read().split():
                with open(name, "rb") as file:
                    module = file.read()
                # To verify signatures takes an emulated guest 0.2 s.  A kernel that loads a module
                # without is tainted, but trusts lockdep still; one that must have them gets them.
                for length in (unsigned(module), len(module)):
                    if not libc.syscall(INIT_MODULE, module, length, b""):
                        break
                else:
                    why = os.strerror(ctypes.get_errno())
                    print(f"pfnlab: cannot load {name}: {why}", flush=True)
        from pfnlab.lab.inside.agent import work

        work(CHANNEL)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        print("pfnlab: the agent has ended", flush=True)
        libc.reboot(POWER_OFF)


if __name__ == "__main__":
    main()
