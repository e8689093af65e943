"""Shutting the doors: what a fork server gives up, what each of its children gives up besides, and the proof."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import landlock, seccomp


SESSION, STDIN, STDOUT = 3, 4, 5  # file descriptors of a child, all it has beside 0, 1 and 2
MOST_FILES, MOST_THREADS = 64, 64
_MOST_OF_USER = 4096  # threads, where the kernel counts all of one user's
_STACK_BYTES = 64 * 1024**2  # of the main thread; recursive programs ask for it
_FIRST_USER = 0x7F000000  # above what directories hand out
_NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_CAPABILITY_VERSION = 0x20080522


class Enclosure:
    """
    What holds candidates in.

    Args:
        isolation (`str`):
            `"bubblewrap"` (the namespaces are there already), `"landlock"` or `"unsafe_local"` (limits only).
    """

    def __init__(self, isolation: str) -> None:
        self.isolation = isolation
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._filter = None if isolation == "unsafe_local" else seccomp.Filter()

    def close_server(self, readable: Iterable[str], folders: Iterable[str], writable: Iterable[str]) -> None:
        """Give up files, in the mode that does it here. See [`restrict_files`]."""
        if self.isolation == "landlock":
            landlock.restrict_files(readable, folders, writable)
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        soft = _STACK_BYTES if hard == resource.RLIM_INFINITY else min(hard, _STACK_BYTES)
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))

    def keep_descriptors(self, descriptors: Sequence[int]) -> None:
        """
        In a child: keep three file descriptors, under fixed numbers, and close all others.

        The standard ones are opened anew: the flags of the server's own would carry notes from child to child.
        """
        above = [os.dup2(descriptor, 100 + index) for index, descriptor in enumerate(descriptors)]
        for target, descriptor in enumerate(above, start=SESSION):
            os.dup2(descriptor, target, inheritable=False)
        os.closerange(STDOUT + 1, 1 << 20)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.close(null)

    def close_child(self, limits: Mapping[str, Any]) -> None:
        """In a child: become nobody, accept the limits, and lose all system calls that reach outside."""
        os.setsid()  # where the kernel shares out time by session, many threads get no more of it than one
        most_threads = self._change_user()
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after the change, which resets it
        cpu = max(1, -(-int(1000 * limits["cpu_seconds"]) // 1000))
        for name, soft, hard in (
            (resource.RLIMIT_CPU, cpu, cpu + 1),
            (resource.RLIMIT_AS, limits["memory_bytes"], limits["memory_bytes"]),
            (resource.RLIMIT_FSIZE, limits["output_bytes"] + 1, limits["output_bytes"] + 1),
            (resource.RLIMIT_NOFILE, MOST_FILES, MOST_FILES),
            (resource.RLIMIT_NPROC, most_threads, most_threads),
            (resource.RLIMIT_CORE, 0, 0),
        ):
            ceiling = resource.getrlimit(name)[1]
            if ceiling != resource.RLIM_INFINITY:
                soft, hard = min(soft, ceiling), min(hard, ceiling)
            resource.setrlimit(name, (soft, hard))
        if self._filter is not None:
            self._filter.install()

    def _change_user(self) -> int:
        """
        A user of the child's own, where there is a way, so that its threads are counted apart from all others'.

        Returns:
            `int`: how many threads it may have.
        """
        if self.isolation == "bubblewrap" and self._libc.unshare(_CLONE_NEWUSER) == 0:
            header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0))
            if self._libc.capset(header, ctypes.create_string_buffer(24)):
                raise OSError(ctypes.get_errno(), "capset")
            return MOST_THREADS
        if self.isolation == "landlock" and os.geteuid() == 0:
            for user in (_FIRST_USER + os.getpid() % (1 << 23), _NOBODY):
                try:
                    os.setgroups([])
                    os.setresgid(user, user, user)
                    os.setresuid(user, user, user)
                except OSError:
                    if user == _NOBODY:
                        raise
                else:
                    return MOST_THREADS if user != _NOBODY else _MOST_OF_USER
        return _MOST_OF_USER

    def prove(self, forbidden: str) -> None:
        """
        Try in a child what no candidate may.

        Args:
            forbidden (`str`):
                A file of the machine that exists and must not be readable.

        Raises:
            `OSError`: something was possible, or the doors could not be shut.
        """
        if self.isolation == "unsafe_local":
            return
        child = os.fork()
        if child == 0:
            self._try_everything(forbidden)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            raise OSError(f"the isolation does not hold (test {status})")

    def _try_everything(self, forbidden: str) -> None:
        """Exit code 0 when all is refused, else the number of what was not."""
        code = 100
        try:
            limits = {"cpu_seconds": 5, "memory_bytes": 1 << 30, "output_bytes": 1000}
            self.close_child(limits)
            attempts = (
                lambda: os.close(os.open(forbidden, os.O_RDONLY)),
                lambda: socket.socket(socket.AF_INET),
                lambda: socket.socket(socket.AF_UNIX),
                os.fork,
                lambda: os.kill(os.getppid(), 0),
                lambda: os.open("/", os.O_TMPFILE | os.O_RDWR),
                lambda: os.execv("/proc/self/exe", ["python", "-c", ""]),
                lambda: os.mkdir("/tmp/trl_r1"),
            )
            code = 0
            for number, attempt in enumerate(attempts, start=1):
                try:
                    attempt()
                except OSError:
                    continue
                code = number
                break
        except OSError as error:
            sys.stderr.write(f"{error}\n")
        finally:
            os._exit(code)
