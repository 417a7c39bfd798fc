"""Print the modules of Python that others need, as JSON: run by the Python that the guest gets.

    python -I -S imported.py FOLDER OWN MODULE...

FOLDER is that of the package pfnlab, whose own __init__.py a guest does not have, and OWN has the
files of modules by name, as JSON, that a guest has instead of Python's.  `modules` has names and
files of all others; `first` the names of those that Python itself imports when it starts.  What
is part of the interpreter is left out; but by the file of `os` it knows its folder.
"""

import sys

first = [*sys.modules, "os"]

import importlib.util  # noqa: E402
import json  # noqa: E402
import types  # noqa: E402
from importlib.machinery import ModuleSpec  # noqa: E402
from typing import Any  # noqa: E402


class Own:
    """Finds the modules that a guest has instead of Python's."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        file = self.files.get(name)
        return None if file is None else importlib.util.spec_from_file_location(name, file)


def main(folder: str, own: str, names: list[str]) -> None:
    package = types.ModuleType("pfnlab")
    package.__path__ = [folder]
    for name in list(sys.modules):  # those that this program itself has imported
        if name not in first:
            del sys.modules[name]
    sys.modules["pfnlab"] = package
    files: dict[str, str] = json.loads(own)
    finder: Any = Own(files)
    sys.meta_path.insert(0, finder)
    for name in names:
        importlib.import_module(name)
    modules = {
        name: file
        for name, module in list(sys.modules.items())
        if (file := getattr(module, "__file__", None)) and not file.startswith(folder)
        if name == "os" or module.__spec__ is None or module.__spec__.origin != "frozen"
        if name not in files
    }
    print(json.dumps({"modules": modules, "first": first, "base": sys.base_prefix}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
