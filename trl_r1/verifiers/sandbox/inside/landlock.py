"""Landlock: a process gives up all files but a few, for itself and all its children, with no privilege needed."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable

from .seccomp import give_up_privileges


_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on all machines
_VERSION_FLAG, _PATH_RULE = 1, 1
_READ_FILE, _READ_FOLDER, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights on files each version knows
_NETWORK_RIGHTS, _SCOPES = 0b11, 0b11  # bind and connect TCP; abstract sockets and signals


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def restrict_files(readable: Iterable[str], folders: Iterable[str], writable: Iterable[str]) -> int:
    """
    Allow this process some files, and no others.

    Args:
        readable (`Iterable[str]`):
            Files it may read, and folders it may read all of. What does not exist is passed over.
        folders (`Iterable[str]`):
            Folders whose entries, and those of the folders inside, it may list.
        writable (`Iterable[str]`):
            Files it may read and write.

    Returns:
        `int`: Landlock's version.

    Raises:
        `OSError`: the kernel has no Landlock, or it is switched off.
    """
    version = _call(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    files = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("=QQQ", files, _NETWORK_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _call(_CREATE_RULESET, attributes, size, 0)
    try:
        for paths, rights in (
            (readable, _READ_FILE | _READ_FOLDER),
            (folders, _READ_FOLDER),
            (writable, _READ_FILE | _WRITE_FILE),
        ):
            for path in paths:
                _allow(ruleset, path, rights)
        give_up_privileges()
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= ~_READ_FOLDER
        _call(_ADD_RULE, ruleset, _PATH_RULE, ctypes.byref(_PathRule(rights, descriptor)), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        if code in (errno.ENOSYS, errno.EOPNOTSUPP):
            raise OSError(code, "the kernel has no Landlock (5.13 or newer), or it is switched off")
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result
