"""A program that prints, as JSON, the shared libraries Python and NumPy load, by the names the loader looks up."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import sys
import sysconfig


class _Object(ctypes.Structure):
    """The head of `struct dl_phdr_info`."""

    _fields_ = (("address", ctypes.c_void_p), ("name", ctypes.c_char_p))


def loaded_libraries() -> list[str]:
    """Absolute names of all shared libraries this process has loaded."""
    names: list[str] = []

    def visit(found: ctypes._Pointer[_Object], size: int, data: object) -> int:
        names.append(os.fsdecode(found.contents.name or b""))
        return 0

    visitor = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Object), ctypes.c_size_t, ctypes.c_void_p)
    ctypes.CDLL(None).dl_iterate_phdr(visitor(visit), None)
    return sorted({os.path.normpath(name) for name in names if name.startswith("/")})


def main() -> None:
    """Load every extension of the standard library, and NumPy from the folder named on the command line."""
    folder = os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")  # DESTSHARED is wrong once Python was moved
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in {entry.partition(".")[0] for entry in names} - {"_tkinter"}:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(OSError):
        ctypes.CDLL("libgcc_s.so.1")  # loaded late, when a thread ends
    if len(sys.argv) > 1:
        sys.path.append(sys.argv[1])
        with contextlib.suppress(ImportError):
            importlib.import_module("numpy.linalg")
    sys.stdout.write(json.dumps(loaded_libraries()))


if __name__ == "__main__":
    main()
