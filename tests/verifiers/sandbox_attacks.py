"""What a candidate may try. Run as a program, it tries everything against itself and prints what came of it.

    python sandbox_attacks.py FOLDER MODE [ATTACK ...]

It plays the training process: it holds a token in its environment, an expected value in its memory, listens on a port
and on an abstract socket, and owns a secret file. Each attack's `attempt()` returns `True` once it has done harm.
"""

import json
import os
import platform
import socket
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path


MACHINE = platform.machine()
TOKEN = "hf_canary_" + "0123456789"
EXPECTED = "".join(["the value that ", "is expected"])  # never one literal: it is searched for in memory


@dataclass(frozen=True)
class Attack:
    """One attempt. `plain`: it succeeds without isolation, which shows that the attempt is a real one."""

    source: str
    plain: bool = False


CALL = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
"""
SHMGET, SHMCTL, MSGGET, MSGCTL = (29, 31, 68, 71) if MACHINE == "x86_64" else (194, 195, 186, 187)


def attempt(body, plain=False, setup=""):
    lines = "\n".join("    " + line for line in body.strip("\n").splitlines())
    return Attack(f"import os, sys\n{setup}\ndef attempt():\n{lines}\n    return True\n", plain)


def system_call(x86_64, aarch64, *arguments, plain=False):
    number = x86_64 if MACHINE == "x86_64" else aarch64
    return attempt(f"call({number}, {', '.join(arguments)})", plain, CALL)


OBJECTS = "import gc\nobjects = lambda: (o for o in gc.get_objects() if type(o) in (list, dict, tuple))"
SPELLED = "''.join(reversed('detcepxe si taht eulav eht'))"  # not found in the attack's own source
PREVIOUS = "''.join(reversed('ETADIDNAC_SUOIVERP'))"

ATTACKS = {
    # Files.
    "read passwd": attempt("assert 'root' in open('/etc/passwd').read()", plain=True),
    "read a secret": attempt("assert open('{folder}/secret').read()", plain=True),
    "read the library's source": attempt("assert open('{package}/session.py').read()", plain=True),
    "list the home folder": attempt("assert os.listdir('{folder}')", plain=True),
    "climb out": attempt("assert os.listdir('../../../../{folder}')", plain=True),
    "read installed packages": attempt(
        "import sysconfig, glob\n"
        "folder = sysconfig.get_path('stdlib')\n"
        "names = glob.glob(f'{{folder}}/*-packages/**/*.*', recursive=True)\n"
        "for name in names:\n"
        "    if not os.path.isdir(name): open(name, 'rb').close()\n"
        "assert names"
    ),
    "write outside": attempt("open('{folder}/written', 'w').write('x')", plain=True),
    "write to tmp": attempt(
        "open('/tmp/trl_r1_note_{pid}', 'w').close(); os.remove('/tmp/trl_r1_note_{pid}')", plain=True
    ),
    "write to shared memory": attempt(
        "open('/dev/shm/trl_r1_note_{pid}', 'w').close(); os.remove('/dev/shm/trl_r1_note_{pid}')", plain=True
    ),
    "write to the working folder": attempt("open('trl_r1_note', 'w').close()"),
    "write to the standard library": attempt("open(os.__file__, 'a').close()"),
    "unnamed file": attempt("os.open('/tmp', os.O_TMPFILE | os.O_RDWR)", plain=True),
    "new folder": attempt("os.mkdir('/tmp/trl_r1_{pid}'); os.rmdir('/tmp/trl_r1_{pid}')", plain=True),
    "change a file's mode": attempt("os.chmod('{folder}/open', 0o777)", plain=True),
    "truncate a file": attempt("os.truncate('{folder}/open', 0)", plain=True),
    "delete a file": attempt("os.remove('{folder}/doomed')", plain=True),
    "link a file": attempt("os.link('{folder}/open', '{folder}/linked')", plain=True),
    "fill the disk": attempt(
        "for n in range(100):\n"
        "    open(f'/tmp/trl_r1_fill_{{n}}', 'wb').write(bytes(900_000))\n"
        "    os.remove(f'/tmp/trl_r1_fill_{{n}}')",
        plain=True,
    ),
    "raw disk": attempt("import glob\nfor d in glob.glob('/dev/*d[ab]') + ['/dev/mem']:\n    open(d, 'rb').read(1)"),
    # What the training process knows.
    "own environment": attempt("assert '{token}' in str(os.environ)"),
    "environment of any process": attempt(
        "import glob\n"
        "found = b''\n"
        "for name in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try: found += open(name, 'rb').read()\n"
        "    except OSError: pass\n"
        "assert b'{token}' in found",
        plain=True,
    ),
    "command line of any process": attempt("assert open('/proc/{pid}/cmdline', 'rb').read()", plain=True),
    "memory of the parent": attempt(
        "for line in open('/proc/{pid}/maps'):\n"
        "    low, high = (int(x, 16) for x in line.split()[0].split('-'))\n"
        "    try:\n"
        "        memory = open('/proc/{pid}/mem', 'rb'); memory.seek(low)\n"
        "        if b'the value that ' + b'is expected' in memory.read(high - low): return True\n"
        "    except (OSError, OverflowError, ValueError): pass\n"
        "raise LookupError",
    ),
    "memory of the server": attempt("open(f'/proc/{{os.getppid()}}/mem', 'rb')", plain=True),
    "own memory file": attempt("open('/proc/self/mem', 'rb')", plain=True),
    "copy from another process": attempt(
        "buffer = ctypes.create_string_buffer(16)\n"
        "ours = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 16)\n"
        "theirs = (ctypes.c_void_p * 2)(id(None), 16)\n"
        f"call({310 if MACHINE == 'x86_64' else 270}, os.getppid(), ours, 1, theirs, 1, 0)",
        plain=True,
        setup=CALL,
    ),
    "trace the server": attempt(f"call({101 if MACHINE == 'x86_64' else 117}, 16, os.getppid(), 0, 0)", setup=CALL),
    "frames": attempt(
        "frame, seen = sys._getframe(), ''\n"
        "while frame: seen += str(frame.f_locals) + str(list(frame.f_globals.items())); frame = frame.f_back\n"
        f"assert {SPELLED} in seen"
    ),
    "garbage collector": attempt(f"assert any({SPELLED} in str(o) for o in objects())", setup=OBJECTS),
    "source of another candidate": attempt(f"assert any({PREVIOUS} in str(o) for o in objects())", setup=OBJECTS),
    "open files": attempt(
        "found = []\n"
        "for n in range(6, 2000):\n"
        "    try: os.fstat(n); found.append(n)\n"
        "    except OSError: pass\n"
        "assert found"
    ),
    # Network and other ways out.
    "loopback": attempt("import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)", plain=True),
    "datagram": attempt(
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9))", plain=True
    ),
    "abstract socket": attempt(
        "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0trl_r1_attack_{pid}')", plain=True
    ),
    "abstract socket from a pair": attempt(
        "import socket\n"
        "for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):\n"
        "    end.sendto(b'note', '\\0trl_r1_datagram_{pid}')",
        plain=True,
    ),
    "pass an open file": attempt(
        "import socket\na, b = socket.socketpair()\nsocket.send_fds(a, [b'x'], [0])", plain=True
    ),
    "network devices": attempt("import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", plain=True),
    "raw packets": attempt("import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
    "virtual machine socket": attempt("import socket\nsocket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)"),
    # Processes.
    "fork": attempt("pid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)", plain=True),
    "fork bomb": attempt("for _ in range(3000):\n    if os.fork() == 0:\n        while True: pass"),
    "orphan": attempt(
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "    import time; time.sleep(1); open('{folder}/orphan', 'w').close(); os._exit(0)"
    ),
    "spawn a shell": attempt(
        "import subprocess\nassert subprocess.run(['/bin/sh', '-c', 'exit 0']).returncode == 0", plain=True
    ),
    "replace itself": attempt("os.execv(sys.executable, ['python', '-c', ''])"),
    "multiprocessing": attempt(
        "import multiprocessing\n"
        "process = multiprocessing.get_context('fork').Process(target=int)\n"
        "process.start(); process.join()",
        plain=True,
    ),
    "vfork": system_call(58, 220, plain=False),
    "clone a process": system_call(56, 220, "17", "0", "0", "0", "0"),
    "clone3": system_call(435, 435, "0", "0"),
    "signal the parent": attempt("os.kill({pid}, 0)", plain=True),
    "signal the server": attempt("os.kill(os.getppid(), 0)", plain=True),
    "kill the server": attempt("os.kill(os.getppid(), 9)"),
    "signal everybody": attempt("os.kill(-1, 0)", plain=True),
    "signal the group": attempt("os.killpg(0, 0)", plain=True),
    "signal by thread": attempt(f"call({200 if MACHINE == 'x86_64' else 130}, os.getppid(), 0)", True, CALL),
    "signal by queue": attempt(
        "buffer = ctypes.create_string_buffer(128)\n"
        f"call({129 if MACHINE == 'x86_64' else 138}, os.getppid(), 0, buffer)",
        setup=CALL,
    ),
    "signal by file owner": attempt(
        "import fcntl, socket\na, b = socket.socketpair()\nfcntl.fcntl(a, fcntl.F_SETOWN, os.getppid())",
        plain=True,
    ),
    "signal by ioctl": attempt(
        "import fcntl, socket, struct\n"
        "a, b = socket.socketpair()\n"
        "fcntl.ioctl(a, 0x8901, struct.pack('i', os.getppid()))",
        plain=True,
    ),
    "handle of a process": system_call(434, 434, "os.getppid()", "0", plain=True),
    "limits of another": attempt(
        "import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)", plain=True
    ),
    "raise the limits": attempt("import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999))"),
    "priority of another": attempt("os.setpriority(os.PRIO_PROCESS, os.getppid(), 10)"),
    "outlive the server": system_call(157, 167, "1", "0", "0", "0", "0", plain=True),
    # Kernel doors.
    "new namespaces": system_call(272, 97, "0x10000000", plain=True),
    "join a namespace": system_call(308, 268, "0", "0"),
    "mount": attempt(f"call({165 if MACHINE == 'x86_64' else 40}, b'none', b'/tmp', b'tmpfs', 0, b'')", setup=CALL),
    "change the root": attempt("os.chroot('/')"),
    "become root": attempt("os.setuid(0); assert os.getuid() == 0; open('/etc/shadow')"),
    "io_uring": attempt("parameters = ctypes.create_string_buffer(120)\ncall(425, 8, parameters)", setup=CALL),
    "bpf": system_call(321, 280, "0", "0", "0"),
    "keys": system_call(250, 219, "0", "-3", "1"),
    "userfaultfd": system_call(323, 282, "0"),
    "performance counters": system_call(298, 241, "0", "0", "-1", "-1", "0"),
    "memory file": attempt("os.memfd_create('x')", plain=True),
    "watch files": system_call(294, 26, "0", plain=True),
    "open by handle": system_call(304, 265, "0", "0", "0"),
    "shared memory segment": attempt(f"call({SHMCTL}, call({SHMGET}, 0, 4096, 0o1600), 0, 0)", True, CALL),
    "message queue": attempt(f"call({MSGCTL}, call({MSGGET}, 0, 0o1600), 0, 0)", True, CALL),
    "timer on another": system_call(222, 107, "0", "0", "0"),
    "set the clock": attempt("import time\ntime.clock_settime(time.CLOCK_REALTIME, time.time())"),
    "host name": attempt("import socket\nsocket.sethostname('x')"),
    "kernel log": system_call(103, 116, "10", "0", "0"),
    "new landlock rules": system_call(444, 444, "0", "0", "1", plain=True),
    "future calls": system_call(467, 467, "0"),
    # Resources. The caller judges these by how they fail.
    "ten gigabytes": attempt("bytes(10 * 1024**3)"),
    "much memory in small parts": attempt("kept = []\nwhile True: kept.append(bytearray(1_000_000))"),
    "threads": attempt(
        "import threading, time\n"
        "threading.stack_size(65536)\n"
        "for _ in range(3000): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    ),
    "open many files": attempt("kept = [open('/dev/null') for _ in range(3000)]"),
    "loop": attempt("while True: pass"),
    "sleep": attempt("import time\ntime.sleep(60)"),
    "ignore signals": attempt(
        "import signal\n"
        "for n in range(1, 65):\n"
        "    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "while True: pass"
    ),
    "deep recursion": attempt("sys.setrecursionlimit(10**9)\nf = lambda f: f(f)\nf(f)"),
    "deep recursion in C": attempt(
        "sys.setrecursionlimit(10**9)\n"
        "class A: pass\n"
        "A.__getattr__ = lambda self, name: getattr(self, name + 'x')\n"
        "A().x"
    ),
    "regular expression": attempt("import re\nre.match('(a+)+b', 'a' * 40)"),
    "long number": attempt("9 ** 9 ** 9 % 7"),
    "broken memory": attempt("import ctypes\nctypes.string_at(0)"),
    "flood standard output": attempt("line = 'x' * 1000\nfor _ in range(100_000): print(line)\nraise EOFError"),
    "flood standard error": attempt(
        "line = 'x' * 1000\nfor _ in range(100_000): sys.stderr.write(line)\nraise EOFError"
    ),
    "flood the session": attempt("while True: os.write(3, b'x' * 100_000)"),
    "large reply": attempt("return 'x' * 10_000_000"),
    # Lies about the result. The expected reply is `True`, as everywhere here.
    "exit": attempt("sys.exit(0)"),
    "exit at once": attempt("os._exit(0)"),
    "exit handler": attempt("import atexit\natexit.register(os._exit, 0)\nsys.exit(0)"),
    "equal to everything": attempt(
        "class Equal:\n    __eq__ = lambda self, other: True\n    __hash__ = lambda self: 1\nreturn Equal()"
    ),
    "lying class": attempt("class Liar(str):\n    __class__ = bool\n    __eq__ = lambda s, o: True\nreturn Liar('x')"),
    "lying reduction": attempt("class Liar:\n    __reduce__ = lambda self: (eval, ('True',))\nreturn Liar()"),
    "patched builtins": attempt(
        "import builtins\n"
        "builtins.all = builtins.any = lambda *a: True\n"
        "builtins.repr = builtins.str = lambda *a: 'True'\n"
        "return 0"
    ),
    "print a marker": attempt("print('RESULT PASS')\nreturn 0"),
    "close the session": attempt("os.close(3)\nreturn 0"),
    "close everything": attempt("os.closerange(0, 4096)\nreturn 0"),
    "write to every file": attempt(
        "for n in range(64):\n    try: os.write(n, b'True')\n    except OSError: pass\nreturn 0"
    ),
    "answer twice": attempt(
        "import struct\n"
        "reply = b'[\"value\",0]'\n"
        "os.write(3, 2 * (struct.pack('>I', len(reply)) + reply))\n"
        "import time; time.sleep(0.3)\n"
        "return 0"
    ),
    "claim a huge reply": attempt("os.write(3, b'\\xff\\xff\\xff\\xff')\nreturn 0"),
    "claim a reply that never comes": attempt("os.write(3, b'\\0\\0\\0\\x09')\nwhile True: pass"),
    "call what nobody offered": attempt(
        "import struct\n"
        'ask = b\'["call","x",[],{{"dict":[]}}]\'\n'
        "os.write(3, struct.pack('>I', len(ask)) + ask)\n"
        "return 0"
    ),
    "nested reply": attempt("value = []\nfor _ in range(50_000): value = [value]\nreturn value"),
    "circular reply": attempt("value = []\nvalue.append(value)\nreturn value"),
}
ENDLESS = {"loop", "sleep", "ignore signals", "regular expression", "long number", "claim a reply that never comes"}
if MACHINE == "x86_64":
    ATTACKS["32-bit call"] = attempt(
        "import mmap, ctypes\n"
        "page = mmap.mmap(-1, 4096, prot=7)\n"
        "page.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')  # mov eax, 20; int 0x80; ret\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()",
        plain=True,
    )
    ATTACKS["x32 call"] = system_call(0x40000000 + 39, 0)


def play(folder, mode, names):
    """All attacks of a mode, as a training process would meet them: outcomes by name, and what happened outside."""
    from trl_r1.verifiers import sandbox

    for name in ("secret", "open", "doomed"):
        (folder / name).write_text(EXPECTED)
    listener = socket.create_server(("127.0.0.1", 0))
    abstract, datagrams = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    abstract.bind(f"\0trl_r1_attack_{os.getpid()}")
    abstract.listen()
    datagrams.bind(f"\0trl_r1_datagram_{os.getpid()}")
    facts = {
        "folder": folder,
        "package": Path(sandbox.__file__).parent,
        "token": TOKEN,
        "pid": os.getpid(),
        "port": listener.getsockname()[1],
    }
    limits = sandbox.Limits(cpu_seconds=10, wall_seconds=20, memory_bytes=300_000_000)
    short = replace(limits, wall_seconds=0.7)
    box = sandbox.Sandbox(mode, size=1)
    with box.session() as session:
        session.load({"main": "PREVIOUS_CANDIDATE = 1"})
    before = [server._process.pid for server in box._servers._running]
    found = {}
    for name in names:
        with box.session(short if name in {*ENDLESS, "deep recursion"} else limits) as session:
            started = time.monotonic()
            outcome = session.load({"main": ATTACKS[name].source.format(**facts)})
            if outcome.failure is None:
                outcome = session.call("attempt")
            value = outcome.value if outcome.value is True else repr(outcome.value)[:100]
            found[name] = asdict(outcome) | {"value": value, "seconds": time.monotonic() - started}
    time.sleep(1.5)  # an orphan writes after one second
    replaced = [server._process.pid for server in box._servers._running] != before
    files = sorted(path.name for path in folder.iterdir())
    untouched = all(
        (folder / name).exists() and (folder / name).read_text() == EXPECTED for name in ("open", "doomed")
    )
    box.close()
    return {"outcomes": found, "files": files, "untouched": untouched, "user": os.getuid(), "replaced": replaced}


if __name__ == "__main__":
    os.environ["HF_TOKEN"] = TOKEN
    chosen = sys.argv[3:] or list(ATTACKS)
    sys.stdout.write(json.dumps(play(Path(sys.argv[1]).resolve(), sys.argv[2], chosen)))
