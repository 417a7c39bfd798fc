"""Compile the core of pfnlab with mypyc: src/pfnlab/core.py says which files, and why.

    python compile/core.py

does it for the sources of this tree, with the mypyc that this Python has, and ends with
status 1 if it has none.  An install does the same through hook.py.  Without a C compiler, or
if anything else is missing, it leaves a record that says why, and pfnlab runs interpreted.
"""

import contextlib
import importlib.util
import io
import json
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
BUILD = ROOT / "build" / "core"  # kept, so that only what has changed is compiled again

# Half the time of -O1 more to compile, and a twelfth fewer instructions in a search.
OPTIMISE = "3"
# With these, small functions of mypyc's runtime become part of those that call them.
INLINE = ["-flto=auto", "-fno-semantic-interposition"]
# No configuration of the user, and no packages that only one of two machines has.
MYPY_OPTIONS = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
NOT_WANTED = "it was installed without compiling"


class CannotCompileError(Exception):
    """Why there will be no compiled core."""


def core_module() -> ModuleType:
    """src/pfnlab/core.py alone: the package itself may need what is not installed."""
    spec = importlib.util.spec_from_file_location("core_of_pfnlab", SOURCE / "pfnlab" / "core.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compile_core(folder: Path, build: Path = BUILD, *, wanted: bool = True) -> str:
    """Put the binary and its record into a folder; return why there is no binary, or ""."""
    core = core_module()
    # What no binary was made from is never used: a build that is cut off leaves nothing behind.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sources = core.digest()
    try:
        if not wanted:
            raise CannotCompileError(NOT_WANTED)
        with _quietly():
            shutil.copyfile(_built(core, build), folder / core.BINARY)
        why_not = ""
    except CannotCompileError as error:
        why_not = str(error)
    record = {"sources": sources, "recipe": recipe(), "why_not": why_not}
    (folder / core.RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return why_not


def recipe() -> str:
    """What, besides the sources, a binary depends on."""
    return " ".join(["-O" + OPTIMISE, *INLINE, *MYPY_OPTIONS])


def up_to_date(folder: Path) -> bool:
    """Whether a folder has a binary of the sources as they are."""
    core = core_module()
    try:
        record = json.loads((folder / core.RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    same = record["sources"] == core.digest() and record["recipe"] == recipe()
    return same and not record["why_not"] and (folder / core.BINARY).is_file()


def _built(core: ModuleType, build: Path) -> Path:
    """The binary, made in a folder that may have parts of it from before."""
    try:
        from mypyc.build import mypycify
        from setuptools import Distribution, Extension
    except ImportError as error:
        raise CannotCompileError(f"{error.name} was not there to compile it") from error
    flags = _try_compiler()
    place = build / f"{core.FOLDER.name}-O{OPTIMISE}"
    with contextlib.chdir(SOURCE):
        try:
            made = mypycify(
                [
                    *MYPY_OPTIONS,
                    f"--cache-dir={place / 'mypy'}",
                    *(f"pfnlab/{path}" for path in core.CORE),
                ],
                opt_level=OPTIMISE,
                debug_level="0",
                group_name=core.GROUP,
                target_dir=str(place),
            )
        except (SystemExit, Exception) as error:
            raise CannotCompileError(f"mypyc did not compile it: {_last_line(error)}") from error
        library = next(extension for extension in made if extension.name == core.LIBRARY)
        # Beside the library mypyc has one small extension for each module.  Together with it
        # they are one, which saves ten runs of the C compiler.
        entries = [source for other in made if other is not library for source in other.sources]
        library.sources.append(_in_one_file(place / "entries.c", entries))
        whole: Any = Extension(
            core.LIBRARY,
            library.sources,
            include_dirs=library.include_dirs,
            depends=[*library.depends, *entries],
            # A new compiler may warn about what mypyc generates.
            extra_compile_args=[
                *(flag for flag in library.extra_compile_args if flag != "-Werror"),
                *flags,
            ],
            extra_link_args=["-O" + OPTIMISE, *flags],
        )
        command: Any = Distribution({"name": "pfnlab", "ext_modules": [whole]}).get_command_obj(
            "build_ext"
        )
        command.build_lib, command.build_temp = str(place / "lib"), str(place / "temporary")
        try:
            command.ensure_finalized()
            command.run()
        except (SystemExit, Exception) as error:
            raise CannotCompileError(f"the C compiler failed: {_last_line(error)}") from error
        return Path(command.get_ext_fullpath(core.LIBRARY)).resolve()


def _in_one_file(path: Path, sources: list[str]) -> str:
    text = ""
    for source in sources:
        name = Path(source).stem
        # Each defines a function of this name, that Linux has no use for.
        text += f"#define PyInit___init__ PyInit___init__{name}\n"
        text += f'#include "{Path(source).resolve()}"\n#undef PyInit___init__\n'
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return str(path)


def _try_compiler() -> list[str]:
    """Compile two programs of one line; returns INLINE if the compiler and linker know that.

    Raises CannotCompileError if one fails without.
    """
    from setuptools import Distribution

    command: Any = Distribution({"name": "pfnlab"}).get_command_obj("build_ext")
    command.ensure_finalized()
    from distutils.ccompiler import new_compiler
    from distutils.sysconfig import customize_compiler

    compiler: Any = new_compiler()
    customize_compiler(compiler)
    name = compiler.compiler[0]
    if shutil.which(name) is None:
        raise CannotCompileError("no C compiler when it was installed")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "empty.c")
        for text, what in (
            ("int answer;\n", f"the C compiler does not work ({Path(name).name})"),
            ("#include <Python.h>\n", "no headers of Python when it was installed"),
        ):
            program.write_text(text, encoding="utf-8")
            try:
                compiler.compile(
                    [str(program)],
                    output_dir=folder,
                    include_dirs=[sysconfig.get_path("include"), *command.include_dirs],
                )
            except Exception as error:
                raise CannotCompileError(what) from error
        try:
            program.write_text("int answer;\n", encoding="utf-8")
            made = compiler.compile([str(program)], output_dir=folder, extra_postargs=INLINE)
            compiler.link_shared_object(made, str(Path(folder, "tried.so")), extra_postargs=INLINE)
        except Exception:
            return []
    return INLINE


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """What compilers print is of use only if they fail, and then nobody reads it: drop it."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        try:
            for number in (1, 2):
                os.dup2(nowhere.fileno(), number)
            text = io.StringIO()
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                yield
        finally:
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)


def main() -> int:
    folder = core_module().FOLDER
    if up_to_date(folder):
        return 0
    if importlib.util.find_spec("mypyc") is None:
        return 1
    print("Compiling the core ...", flush=True)
    why_not = compile_core(folder)
    if why_not:
        print(f"pfnlab will run interpreted: {why_not}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
