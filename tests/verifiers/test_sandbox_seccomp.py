"""The system call filter, run step by step here, for both machines it is made for."""

import errno
import os
import struct

import pytest

from trl_r1.verifiers.sandbox.inside import seccomp


MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
PID = 4242
ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE, MISSING = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def decide(machine, number, *arguments, architecture=None):
    """What the filter says of a call."""
    audit = MACHINES[machine][1] if architecture is None else architecture
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, audit, 0, *padded)
    code = seccomp.Filter(machine).code(PID)
    program = [struct.unpack_from("=HBBI", code, offset) for offset in range(0, len(code), 8)]
    position = value = 0
    while True:
        operation, yes, no, operand = program[position]
        position += 1
        if operation == 0x06:
            return operand
        if operation == 0x20:
            (value,) = struct.unpack_from("=I", data, operand)
            continue
        holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[operation]
        position += yes if holds else no


@pytest.fixture(params=MACHINES)
def machine(request):
    return request.param


def number(machine, pair):
    return pair[MACHINES[machine][0]]


def test_every_call_is_decided_as_listed(machine):
    column = MACHINES[machine][0]
    listed = {numbers[column] for numbers in seccomp._ALLOWED.values()}
    special = seccomp._decisions(column)
    for call in range(600):
        if call in listed:
            assert decide(machine, call) == ALLOW
        elif call not in special:
            assert decide(machine, call) == REFUSE


def test_other_architectures_die(machine):
    other = MACHINES["aarch64" if machine == "x86_64" else "x86_64"][1]
    for architecture in (other, 0x40000003, 0):
        assert decide(machine, 63, architecture=architecture) == KILL


def test_calls_of_the_x32_kind_are_refused():
    assert decide("x86_64", 0x40000000) == REFUSE
    assert decide("x86_64", 0xFFFFFFFF) == REFUSE


def test_threads_but_no_processes(machine):
    call = number(machine, seccomp._CLONE)
    assert decide(machine, call, 0x3D0F00) == ALLOW  # what the C library asks for
    for flags in (17, 0x4111, 0x3D0F00 | 0x10000000, 0x10000 | 0x20000, 0x40000000):
        assert decide(machine, call, flags) == REFUSE
    assert decide(machine, 435) == MISSING


@pytest.mark.parametrize("call", ["_KILL", "_TGKILL"])
def test_signals_to_itself_only(machine, call):
    pair = getattr(seccomp, call)
    assert decide(machine, number(machine, pair), PID, 9) == ALLOW
    for pid in (0, 1, PID + 1, 2**64 - 1, 2**64 - PID, seccomp._OWN_PID):
        assert decide(machine, number(machine, pair), pid, 9) == REFUSE


def test_messages_to_the_other_end_only(machine):
    call = number(machine, seccomp._SENDTO)
    assert decide(machine, call, 5, 1, 1, 0, 0) == ALLOW
    for address in (1, 1 << 32, 0xFFFFFFFF00000000):
        assert decide(machine, call, 5, 1, 1, 0, address) == REFUSE


@pytest.mark.parametrize(
    ("call", "position", "allowed", "refused"),
    [
        ("_PRLIMIT64", 0, [0, PID], [1, PID + 1]),
        ("_SOCKETPAIR", 0, [1], [0, 2, 16, 17, 40]),
        ("_IOCTL", 1, [0x5401, 0x5421], [0x5412, 0x8901, 0x8902, 0x541C]),
        ("_FCNTL", 1, [0, 1, 2, 3, 4, 1030], [5, 8, 10, 15, 1024, 1033]),
        ("_PRCTL", 0, [15, 16], [1, 4, 22, 38, 0x59616D61]),
    ],
)
def test_conditions(machine, call, position, allowed, refused):
    for values, verdict in ((allowed, ALLOW), (refused, REFUSE)):
        for value in values:
            arguments = [7] * position + [value]
            assert decide(machine, number(machine, getattr(seccomp, call)), *arguments) == verdict


def test_jumps_fit_their_byte(machine):
    assert len(seccomp.Filter(machine).code(1)) // 8 < 4096
    column, audit = MACHINES[machine]
    assert max(max(step[1:3]) for step in seccomp._assemble(seccomp._decisions(column), audit)) < 256


def test_unknown_machines_are_refused():
    with pytest.raises(OSError, match="no list of system calls for riscv64"):
        seccomp.Filter("riscv64")


def test_this_machine_has_a_filter():
    assert seccomp.Filter().code(1) == seccomp.Filter(os.uname().machine).code(1)
