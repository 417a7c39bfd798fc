"""What hatchling calls while it builds a wheel or an editable install: compile the core.

A wheel gets the binary; for an editable install it is put beside the sources.  If it cannot
be compiled the wheel is one of pure Python, and `pfnlab --version` says why.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))

import backend
import core


class CompileHook(BuildHookInterface):  # type: ignore[type-arg]
    """The hook."""

    PLUGIN_NAME = "custom"
    folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        module = core.core_module()
        if version == "editable":
            if not (backend.wanted and core.up_to_date(module.FOLDER)):
                self._tell(core.compile_core(module.FOLDER, wanted=backend.wanted))
            return
        self.folder = Path(tempfile.mkdtemp())
        place = self.folder / module.FOLDER.name
        why_not = core.compile_core(place, self.folder / "build", wanted=backend.wanted)
        self._tell(why_not)
        inside = module.FOLDER.relative_to(core.SOURCE)
        if why_not:
            inside = inside.parent / module.ANY
        for path in place.iterdir():
            build_data["force_include"][str(path)] = str(inside / path.name)
        build_data["pure_python"] = bool(why_not)
        build_data["infer_tag"] = not why_not

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder)

    def _tell(self, why_not: str) -> None:
        if why_not:
            self.app.display_warning(f"pfnlab will run interpreted: {why_not}")
