"""Does the maths verifier agree with SymPy on pairs that nobody chose?

    python tests/benchmarks/math_pairs.py [--pairs 2000] [--seed 0]

Numbers, polynomials, intervals, tuples and sets are drawn at random and written as SymPy writes LaTeX, in a style
drawn at random: expanded, factored, over one denominator, with other signs for products and fractions. Half of the
pairs are two styles of one value; the others are two values that are near each other, or the same by chance. SymPy
and the way each pair is made know the truth. Prints what was paid and should not have been, and the other way round.
"""

import argparse
import random
from collections import Counter

import sympy
from sympy import E, I, Rational, expand, latex, log, pi, sqrt

from trl_r1.verifiers import verify_math_batch


X, Y = sympy.symbols("x y")
REWRITES = (expand, sympy.factor, sympy.together, sympy.radsimp, sympy.apart, sympy.simplify)
STYLES = ({}, {"fold_frac_powers": True}, {"fold_short_frac": True}, {"mul_symbol": "times"}, {"mul_symbol": "dot"})


def number(draw):
    """A whole number, fraction, radical, multiple of pi, power, logarithm or complex number."""
    ratio = Rational(draw.randint(-30, 30), draw.randint(1, 12))
    root = sqrt(draw.choice([2, 3, 5, 6, 7]))
    return draw.choice(
        [
            sympy.Integer(draw.randint(-500, 5000)),
            ratio,
            ratio * root,
            ratio + Rational(draw.randint(1, 9), draw.randint(1, 5)) * root,
            ratio * pi,
            sympy.Pow(draw.randint(2, 9), draw.randint(-6, 9)),
            ratio * log(draw.randint(2, 9)),
            E ** draw.randint(1, 3) * draw.randint(1, 5),
            ratio + I * draw.randint(1, 9),
        ]
    )


def polynomial(draw):
    """A polynomial in x, perhaps with a term in y."""
    terms = [draw.randint(-6, 6) * X**power for power in range(draw.randint(2, 4))]
    return sum(terms) + draw.choice([0, 0, 1]) * Y * draw.randint(-4, 4)


def expressions(draw):
    """Two expressions, whether they are equal, and ways to write each."""
    make = draw.choice([number, number, polynomial])
    left = make(draw)
    near = [left * Rational(draw.choice([9, 11, 12, 13]), 10), left + draw.choice([1, -1, Rational(1, 10)])]
    right = draw.choice([make(draw), *near])
    equal = sympy.simplify(expand(left - right)) == 0
    return equal, written(left), written(right)


def written(expression):
    """LaTeX of an expression, in every style."""
    found = [latex(expression, **style) for style in STYLES]
    for rewrite in REWRITES:
        try:
            found.append(latex(rewrite(expression)))
        except (sympy.PolynomialError, NotImplementedError):
            continue
    return found


def intervals(draw):
    """Two intervals that often differ in a bracket alone."""
    low, high = sorted(draw.sample(range(-9, 10), 2))
    left, right = ((low, high, draw.choice("[("), draw.choice("])")) for _ in range(2))
    return left == right, interval(*left), interval(*right)


def interval(low, high, opening, closing):
    """Ways to write an interval."""
    lower, upper = ("\\le" if bracket in "[]" else "<" for bracket in (opening, closing))
    return [
        f"{opening}{low},{high}{closing}",
        rf"\left{opening}{low}, {high}\right{closing}",
        rf"{low} {lower} x {upper} {high}",
        rf"x\in {opening}{low},{high}{closing}",
    ]


def several(draw):
    """Two tuples, or two sets, that often differ in one member or in the order alone."""
    left = draw.sample(range(-9, 10), draw.randint(2, 3))
    right = draw.choice([draw.sample(left, len(left)), [*left[:-1], 10 + draw.randint(0, 5)]])
    if draw.random() < 0.5:
        return left == right, pointed(left), pointed(right)
    return set(left) == set(right), gathered(left), gathered(right)


def pointed(members):
    """Ways to write a tuple."""
    text = ", ".join(map(str, members))
    return [f"({text})", rf"\left({text}\right)"]


def gathered(members):
    """Ways to write a set."""
    texts = [str(member) for member in members]
    joined = ", ".join(texts)
    return [rf"\{{{joined}\}}", joined, r" \text{ and } ".join(texts), "x=" + r" \text{ or } x=".join(texts)]


def main() -> None:
    """Draw pairs, judge them in one batch, and print where verdict and truth differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    pairs, truths = [], []
    while len(pairs) < options.pairs:
        equal, left, right = draw.choice([expressions, expressions, intervals, several])(draw)
        gold = draw.choice(left)
        pairs += [(rf"\boxed{{{draw.choice(left)}}}", gold), (rf"\boxed{{{draw.choice(right)}}}", gold)]
        truths += [True, equal]
    judgements = verify_math_batch(pairs, deadline=600)
    counts = Counter(judgement.decided_by for judgement in judgements)
    wrong = Counter()
    for (answer, gold), truth, judgement in zip(pairs, truths, judgements, strict=True):
        if judgement.reward != float(truth):
            kind = "undecided" if judgement.reward is None else "false negative" if truth else "false positive"
            wrong[kind] += 1
            print(f"{kind}: {answer} for {gold}: {judgement.reason}")
    print(f"{len(pairs)} pairs, seed {options.seed}, {sum(truths)} of them equal; decided by {dict(counts)}")
    print(f"wrong verdicts: {dict(wrong) or 0}")


if __name__ == "__main__":
    main()
