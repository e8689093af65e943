"""A reward that keeps the maths verifier busy, in a module of its own so that other processes can import it."""

import random

from trl_r1.verifiers import verify_math_batch


class HeavyReward:
    """Checks as many expansions of polynomials as there are completions, none of them seen before."""

    def __init__(self, seed=0):
        self.draw = random.Random(seed)
        self.__name__ = "heavy"

    def __call__(self, completions, **kwargs):
        judgements = verify_math_batch([self.pair() for _ in completions])
        return [judgement.reward for judgement in judgements]

    def pair(self):
        """An expansion, with a wrong last term half of the time, and what it expands."""
        a, b, wrong = self.draw.randint(2, 999), self.draw.randint(2, 999), self.draw.random() < 0.5
        expanded = f"x^3 + {2 * a + b} x^2 + {a * a + 2 * a * b} x + {a * a * b + wrong}"
        return f"\\boxed{{{expanded}}}", f"(x + {a})^2 (x + {b})"
