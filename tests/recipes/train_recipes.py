"""Run command lines of trl-r1 (and scripts) one after the other in one process, so that torch is imported once.

python train_recipes.py RUNS.json, a list of command lines. Stops at the first that fails, with its exit code.
"""

import json
import runpy
import sys
import time
from pathlib import Path

from trl_r1.cli import main


def run(words):
    """One command line: a verb of trl-r1, or a Python file."""
    if not words[0].endswith(".py"):
        return main(words)
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    for words in json.loads(Path(sys.argv[1]).read_text()):
        begun = time.perf_counter()
        code = run(words)
        sys.stderr.write(f"== {' '.join(words)}: exit code {code}, {time.perf_counter() - begun:.1f} s\n")
        if code:
            sys.exit(code)
