"""What do endless answers cost the maths verifier, and the process that asks?

    python tests/benchmarks/hostile_batch.py

512 answers, every tenth endless, judged from a side thread with a second of processor time each, while the main thread
ticks every 10 ms. The answers are those of `tests/verifiers/test_math_load.py`, which holds the same in the suite.
Nothing is drawn at random.
"""

import sys
import threading
import time
from collections import Counter
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[1] / "verifiers"))

from test_math_load import endless, honest

from trl_r1.verifiers import verify_math_batch


def main() -> None:
    """Judge the batch and print what it took."""
    verify_math_batch([honest(4 * index + 3) for index in range(5000, 5040)])  # start the workers
    pairs = [endless(index // 10) if index % 10 == 9 else honest(index) for index in range(1, 513)]
    judgements = []
    thread = threading.Thread(target=lambda: judgements.extend(verify_math_batch(pairs)))
    started = last = time.monotonic()
    thread.start()
    longest = 0.0
    while thread.is_alive():
        time.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    print(f"{len(pairs)} answers in {time.monotonic() - started:.1f} s; longest tick {1000 * longest:.0f} ms")
    print(dict(Counter(judgement.verdict.value for judgement in judgements)))
    print(dict(Counter(judgement.decided_by for judgement in judgements)))


if __name__ == "__main__":
    main()
