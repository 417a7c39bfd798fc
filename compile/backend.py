"""hatchling, and the setting that it does not know: `pip install -C compile=no .`"""

from typing import Any

from hatchling import build
from hatchling.build import build_sdist, get_requires_for_build_sdist

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

Settings = dict[str, Any] | None

# mypy has mypyc; setuptools runs the C compiler for it.
COMPILERS = ["mypy>=2.4", "setuptools>=65"]

wanted = True  # whether hook.py is to compile the core


def get_requires_for_build_wheel(settings: Settings = None) -> list[str]:
    _take(settings)
    return [*build.get_requires_for_build_wheel(settings), *(COMPILERS if wanted else [])]


def get_requires_for_build_editable(settings: Settings = None) -> list[str]:
    _take(settings)
    return [*build.get_requires_for_build_editable(settings), *(COMPILERS if wanted else [])]


def build_wheel(directory: str, settings: Settings = None, metadata: str | None = None) -> str:
    _take(settings)
    return build.build_wheel(directory, settings, metadata)


def build_editable(directory: str, settings: Settings = None, metadata: str | None = None) -> str:
    _take(settings)
    return build.build_editable(directory, settings, metadata)


def _take(settings: Settings) -> None:
    global wanted
    value = (settings or {}).get("compile", "yes")
    if value not in ("yes", "no"):
        raise ValueError(f"-C compile={value}: it can be yes or no")
    wanted = value == "yes"
