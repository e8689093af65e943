"""The system calls a candidate may make: a short list, and a kernel filter that refuses every other.

The filter is classic BPF put together here, so that nothing has to be installed. It checks the architecture first:
call numbers mean other things under another. What is not listed fails with EPERM, calls a kernel newer than this list
may know included; `clone3` fails with ENOSYS, so that the C library falls back to `clone`, whose flags a filter can see.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence


# Names of calls with no condition: number on x86_64, number on aarch64 (None: there is no such call).
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "open": (2, None),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "access": (21, None),
    "pipe": (22, None),
    "select": (23, None),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "msync": (26, 227),
    "mincore": (27, 232),
    "madvise": (28, 233),
    "dup": (32, 23),
    "dup2": (33, None),
    "pause": (34, None),
    "nanosleep": (35, 101),
    "getitimer": (36, 102),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getpid": (39, 172),
    "recvfrom": (45, 207),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "getsockopt": (55, 209),
    "exit": (60, 93),
    "uname": (63, 160),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "ftruncate": (77, 46),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "readlink": (89, None),
    "umask": (95, 166),
    "gettimeofday": (96, 169),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "getgroups": (115, 158),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "setrlimit": (160, 164),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "epoll_create": (213, None),
    "getdents64": (217, 61),
    "set_tid_address": (218, 96),
    "restart_syscall": (219, 128),
    "fadvise64": (221, 223),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "epoll_wait": (232, None),
    "epoll_ctl": (233, 21),
    "openat": (257, 56),
    "newfstatat": (262, 79),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    "set_robust_list": (273, 99),
    "epoll_pwait": (281, 22),
    "epoll_create1": (291, 20),
    "dup3": (292, 24),
    "pipe2": (293, 59),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "getcpu": (309, 168),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "statx": (332, 291),
    "rseq": (334, 293),
    "close_range": (436, 436),
    "faccessat2": (439, 439),
}

# Calls allowed on a condition: numbers, position of the argument, and what to test it for.
_CLONE = (56, 220)
_CLONE3 = 435
_KILL, _TGKILL = (62, 129), (234, 131)
_PRLIMIT64 = (302, 261)
_SENDTO = (44, 206)
_SOCKETPAIR = (53, 199)
_IOCTL = (16, 29)
_FCNTL = (72, 25)
_PRCTL = (157, 167)
_CLONE_THREAD, _CLONE_NEW_SPACES = 0x10000, 0x7E020000
_AF_UNIX = 1
_TERMINAL_QUERIES = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FIO(N)CLEX
# Duplicate, flags. Not F_SETOWN, which makes the kernel send any signal to any process of the same user.
_FILE_COMMANDS = (0, 1, 2, 3, 4, 1030)
_THREAD_NAMES = (15, 16)

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in `struct seccomp_data`
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER_MODE = 22, 38, 2

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def build_filter(pid: int, machine: str | None = None) -> bytes:
    """
    The filter of one process.

    Args:
        pid (`int`):
            The process, which may send signals to itself and to no other.
        machine (`str`, *optional*):
            `"x86_64"` or `"aarch64"`. Defaults to this machine.

    Returns:
        `bytes`: instructions, eight bytes each.

    Raises:
        `OSError`: call numbers of this machine are not known here.
    """
    machine = machine or os.uname().machine
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    column, audit = _ARCHITECTURES[machine]
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for numbers in _ALLOWED.values():
        number = numbers[column]
        if number is not None:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    program += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    thread_only = [
        (_LOAD, 0, 0, _argument(0)),
        (_ANY_BIT, 2, 0, _CLONE_NEW_SPACES),
        (_ANY_BIT, 0, 1, _CLONE_THREAD),
    ]
    program += _when(_CLONE[column], thread_only)
    for call, position, values in (
        (_KILL, 0, [pid]),
        (_TGKILL, 0, [pid]),
        (_PRLIMIT64, 0, [0, pid]),
        (_SOCKETPAIR, 0, [_AF_UNIX]),
        (_IOCTL, 1, _TERMINAL_QUERIES),
        (_FCNTL, 1, _FILE_COMMANDS),
        (_PRCTL, 0, _THREAD_NAMES),
    ):
        program += _when(call[column], _one_of(position, values))
    low, high = _argument(4), _argument(4) + 4  # no address: only to the other end of a pair
    no_address = [(_LOAD, 0, 0, low), (_EQUAL, 0, 3, 0), (_LOAD, 0, 0, high), (_EQUAL, 0, 1, 0)]
    program += _when(_SENDTO[column], no_address)
    program.append((_RETURN, 0, 0, _FAIL | errno.EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _argument(position: int) -> int:
    """Where the low half of an argument lies; both machines are little-endian."""
    return _ARGUMENTS + 8 * position


def _one_of(position: int, values: Sequence[int]) -> list[Instruction]:
    """Fall through when an argument has one of the values, else jump over the next instruction."""
    tests: list[Instruction] = [(_LOAD, 0, 0, _argument(position))]
    for index, value in enumerate(values):
        last = index == len(values) - 1
        tests.append((_EQUAL, len(values) - 1 - index, 1 if last else 0, value))
    return tests


def _when(number: int, tests: list[Instruction]) -> list[Instruction]:
    """For this call: allow it when the tests fall through, refuse it otherwise."""
    block = [*tests, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _FAIL | errno.EPERM)]
    return [(_EQUAL, 0, len(block), number), *block]


def give_up_privileges() -> None:
    """No program started from here on gains rights; the kernel asks for this before a filter or a rule set."""
    if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")


def install_filter(pid: int) -> None:
    """
    Put the filter on this process, for good.

    Raises:
        `OSError`: the kernel has no seccomp filters, or this machine's calls are not known.
    """
    give_up_privileges()
    data = build_filter(pid)
    buffer = ctypes.create_string_buffer(data, len(data))
    program = _Program(len(data) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    if _libc().prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
