"""The system calls a candidate may make: a short list, and a kernel filter that refuses every other.

The filter is classic BPF put together here, so that nothing has to be installed. It checks the architecture first:
call numbers mean other things under another. What is not listed fails with EPERM, calls of kernels newer than the list
included; `clone3` fails with ENOSYS, so that the C library falls back to `clone`, whose flags a filter can see.
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
_LOAD, _EQUAL, _FROM, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in `struct seccomp_data`
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER_MODE = 22, 38, 2
_OWN_PID = 0x5EED1D00  # stands for the process's own number until it is known

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Filter:
    """
    The filter, put together once and installed by many.

    Args:
        machine (`str`, *optional*):
            `"x86_64"` or `"aarch64"`. Defaults to this machine.

    Raises:
        `OSError`: call numbers of the machine are not known here.
    """

    def __init__(self, machine: str | None = None) -> None:
        machine = machine or os.uname().machine
        if machine not in _ARCHITECTURES:
            raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
        column, audit = _ARCHITECTURES[machine]
        self._template = b"".join(struct.pack("=HBBI", *step) for step in _assemble(_decisions(column), audit))

    def code(self, pid: int) -> bytes:
        """The instructions, eight bytes each, for process `pid`, which may send signals to itself and to no other."""
        return self._template.replace(struct.pack("=I", _OWN_PID), struct.pack("=I", pid))

    def install(self) -> None:
        """
        Put the filter on this process, for good.

        Raises:
            `OSError`: the kernel has no seccomp filters.
        """
        give_up_privileges()
        code = self.code(os.getpid())
        buffer = ctypes.create_string_buffer(code, len(code))
        program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
        if _LIBC.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0):
            raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")


def give_up_privileges() -> None:
    """No program started from here on gains rights; the kernel asks for this before a filter or a rule set."""
    if _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")


def _decisions(column: int) -> dict[int, list[Instruction]]:
    """What happens for each call that is not simply refused, by its number."""
    allow: list[Instruction] = [(_RETURN, 0, 0, _ALLOW)]
    found = {numbers[column]: allow for numbers in _ALLOWED.values()}
    decisions = {number: steps for number, steps in found.items() if number is not None}
    decisions[_CLONE3] = [(_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    decisions[_CLONE[column]] = _if(
        [(_LOAD, 0, 0, _argument(0)), (_ANY_BIT, 2, 0, _CLONE_NEW_SPACES), (_ANY_BIT, 0, 1, _CLONE_THREAD)]
    )
    for call, position, values in (
        (_KILL, 0, [_OWN_PID]),
        (_TGKILL, 0, [_OWN_PID]),
        (_PRLIMIT64, 0, [0, _OWN_PID]),
        (_SOCKETPAIR, 0, [_AF_UNIX]),
        (_IOCTL, 1, _TERMINAL_QUERIES),
        (_FCNTL, 1, _FILE_COMMANDS),
        (_PRCTL, 0, _THREAD_NAMES),
    ):
        decisions[call[column]] = _if(_one_of(position, values))
    low, high = _argument(4), _argument(4) + 4  # no address: only to the other end of a pair
    decisions[_SENDTO[column]] = _if([(_LOAD, 0, 0, low), (_EQUAL, 0, 3, 0), (_LOAD, 0, 0, high), (_EQUAL, 0, 1, 0)])
    return decisions


def _assemble(decisions: dict[int, list[Instruction]], audit: int) -> list[Instruction]:
    """The program: the architecture, then a search tree over ranges of numbers that share a decision."""
    refuse: list[Instruction] = [(_RETURN, 0, 0, _FAIL | errno.EPERM)]
    ranges: list[tuple[int, list[Instruction]]] = [(0, refuse)]
    for number in range(max(decisions) + 2):
        steps = decisions.get(number, refuse)
        if steps != ranges[-1][1]:
            ranges.append((number, steps))
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        *_tree(ranges),
    ]


def _tree(ranges: Sequence[tuple[int, list[Instruction]]]) -> list[Instruction]:
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = _tree(ranges[:middle]), _tree(ranges[middle:])
    return [(_FROM, len(below), 0, ranges[middle][0]), *below, *above]


def _argument(position: int) -> int:
    """Where the low half of an argument lies; both machines are little-endian."""
    return _ARGUMENTS + 8 * position


def _one_of(position: int, values: Sequence[int]) -> list[Instruction]:
    """Fall through when an argument has one of the values, else jump over the next instruction."""
    last = len(values) - 1
    tests = [(_EQUAL, last - index, int(index == last), value) for index, value in enumerate(values)]
    return [(_LOAD, 0, 0, _argument(position)), *tests]


def _if(tests: list[Instruction]) -> list[Instruction]:
    """Allow when the tests fall through, refuse when they jump over one instruction."""
    return [*tests, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _FAIL | errno.EPERM)]
