"""Print the modules of Python that others need, as JSON: run by the Python that the guest gets.

    python -I -S imported.py FOLDER MODULE...

FOLDER is that of the package pfnlab, whose own __init__.py a guest does not have.  `modules` has
names and files; `first` the names of those that Python itself imports when it starts.
"""

import sys

first = [*sys.modules, "os"]

import importlib  # noqa: E402
import json  # noqa: E402
import types  # noqa: E402


def main(folder: str, names: list[str]) -> None:
    package = types.ModuleType("pfnlab")
    package.__path__ = [folder]
    sys.modules["pfnlab"] = package
    for name in names:
        importlib.import_module(name)
    modules = {
        name: file
        for name, module in list(sys.modules.items())
        if (file := getattr(module, "__file__", None)) and not file.startswith(folder)
    }
    print(json.dumps({"modules": modules, "first": first, "base": sys.base_prefix}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
