"""Print the files of Python that modules need, as JSON: run by the Python that the guest gets.

    python -I -S imported.py FOLDER MODULE...

FOLDER is that of the package pfnlab, whose own __init__.py a guest does not have.
"""

import importlib
import json
import sys
import types


def main(folder: str, names: list[str]) -> None:
    package = types.ModuleType("pfnlab")
    package.__path__ = [folder]
    sys.modules["pfnlab"] = package
    for name in names:
        importlib.import_module(name)
    files = {
        file
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) and not file.startswith(folder)
    }
    files.discard(__file__)
    print(json.dumps({"files": sorted(files), "base": sys.base_prefix}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
