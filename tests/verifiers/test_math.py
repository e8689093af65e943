"""The maths verifier on the cases that real completions and adversaries bring."""

import threading

import pytest

from trl_r1.verifiers import Verdict, check_gold, check_golds, verification_counts, verify_math, verify_math_batch
from trl_r1.verifiers.math import _pool


CORRECT, WRONG, UNDECIDABLE = Verdict.CORRECT, Verdict.WRONG, Verdict.UNDECIDABLE

# gold, completion or answer, verdict, step that must decide (None: whichever)
CASES = [
    ("$7$", r"so \boxed{7}", CORRECT, "normalised"),
    ("$7$", r"\boxed{3} ... no, \boxed{7}", CORRECT, "normalised"),  # the last box counts
    ("$7$", r"\boxed{7} ... finally \boxed{3}", WRONG, "exact"),
    ("$3$", r"\boxed{3} or \boxed{4}", WRONG, "exact"),
    ("$0.5$", r"\boxed{50\%}", CORRECT, "exact"),
    ("$50$", r"\boxed{50\%}", CORRECT, "exact"),
    (r"$50\%$", r"\boxed{0.5}", CORRECT, "exact"),
    (r"$50\%$", r"\boxed{5}", WRONG, "exact"),
    ("$[0,1)$", r"\boxed{[0,1)}", CORRECT, "normalised"),
    ("$(0,1)$", r"\boxed{[0,1]}", WRONG, None),
    (r"$(0,\infty)$", r"\boxed{x>0}", CORRECT, "exact"),
    ("$12$", r"\boxed{12\text{ cm}}", CORRECT, "exact"),
    (r"$12\text{ cm}$", r"\boxed{12}", CORRECT, "exact"),
    (r"$12\text{ cm}$", r"\boxed{12\text{ km}}", WRONG, "exact"),
    (r"$12\text{ miles}$", r"\boxed{12 \text{mile}}", CORRECT, "exact"),
    ("$1234567$", r"\boxed{1,234,567}", CORRECT, "exact"),
    ("$1234567$", r"\boxed{1{,}234{,}567}", CORRECT, "normalised"),
    ("$1234567$", r"\boxed{1\,234\,567}", CORRECT, "normalised"),
    ("$3.5$", r"\boxed{3,5}", WRONG, "exact"),
    (r"$\frac12$", r"\boxed{\dfrac{1}{2}}", CORRECT, "normalised"),
    (r"$\frac12$", r"\boxed{0.5}", CORRECT, "exact"),
    ("1/2", "0.5", CORRECT, "exact"),
    (r"$\frac13$", r"\boxed{0.333}", WRONG, "exact"),
    (r"$2\frac12$", r"\boxed{2\frac{1}{2}}", CORRECT, "normalised"),
    (r"$\frac52$", r"\boxed{2\frac{1}{2}}", CORRECT, "exact"),
    ("2 1/2", r"\boxed{2.5}", CORRECT, "exact"),
    ("21/2", r"\boxed{2 1/2}", WRONG, "exact"),
    ("$7$", "", WRONG, "extraction"),
    ("$7$", r"\boxed{}", WRONG, "extraction"),
    ("$7$", "The answer is 7.", CORRECT, "normalised"),  # one plain final statement
    ("$7$", "I have 7 apples but I do not know", WRONG, "extraction"),
    ("$3$", "The answer is 3 or 4", WRONG, "exact"),
    ("$3$", "3 or 4", WRONG, "exact"),
    ("$3$", r"\boxed{3 \text{ or } 4}", WRONG, "exact"),
    (r"$\{1,2\}$", r"\boxed{\{2,1\}}", CORRECT, "exact"),
    (r"$\{1,2\}$", r"\boxed{1,2}", CORRECT, "exact"),
    (r"$\{1,2\}$", r"\boxed{1,2,3}", WRONG, "exact"),
    (r"$\{1,1\}$", r"\boxed{1,2}", WRONG, "exact"),
    ("$7$", r"\boxed{1,2,3,4,5,6,7,8,9}", WRONG, "exact"),
    ("$5$", r"\boxed{x=5}", CORRECT, "normalised"),
    ("$5$", r"\boxed{x=6}", WRONG, "exact"),
    ("$x=5$", r"\boxed{y=5}", WRONG, None),
    ("$x^2-1$", r"\boxed{(x-1)(x+1)}", CORRECT, "exact"),
    (r"$\sqrt{8}$", r"\boxed{2\sqrt2}", CORRECT, "exact"),
    (r"$\pi$", r"\boxed{3.14159}", WRONG, "exact"),
    (r"$\begin{pmatrix}1&2\end{pmatrix}$", r"\boxed{\begin{pmatrix}1&2\end{pmatrix}}", CORRECT, "normalised"),
    (r"$\text{B}$", r"\boxed{\text{B}}", CORRECT, "normalised"),
    (r"$\text{B}$", r"\boxed{B}", CORRECT, "normalised"),
    (r"$\text{B}$", r"\boxed{(B)}", CORRECT, "normalised"),
    ("B", r"\boxed{C}", WRONG, None),
    ("$7$", r"\boxed{7", WRONG, None),
    ("$12$", r"\boxed{7+5}", CORRECT, "exact"),
    ("$1024$", r"\boxed{2^{10}}", CORRECT, "exact"),
    ("$-3$", r"\boxed{3}", WRONG, "exact"),
    ("$3$", r"\boxed{-3}", WRONG, "exact"),
    ("$-3$", r"\boxed{−3}", CORRECT, "normalised"),
    ("$18$", r"\boxed{\$18}", CORRECT, "exact"),
    ("18", r"\boxed{18}", CORRECT, "normalised"),
    (r"\frac{1}{2}", r"\boxed{\frac12}", CORRECT, "normalised"),
    (r"$30^\circ$", r"\boxed{30}", CORRECT, "exact"),
    ("$3000$", r"\boxed{3\times10^3}", CORRECT, "exact"),
    ("$7$", r"\boxed{9^{9^{9^{9}}}}", WRONG, "exact"),
    (r"$9^{9^{9}}$", r"\boxed{9^{9^{9}}}", CORRECT, "normalised"),
    (r"$9^{9^{9}}$", r"\boxed{7}", WRONG, "exact"),
    ("$7$", r"\boxed{100000000!}", WRONG, "exact"),
    ("$7$", r"\boxed{\sum_{i=1}^{10^9} i^i}", WRONG, "overrun"),
    ("$7$", rf"\boxed{{{'9' * 300}}}", WRONG, "exact"),
    ("$7$", rf"\boxed{{x{'9' * 300}}}", WRONG, "exact"),
    ("$7$", "([" * 5000, WRONG, "extraction"),
    ("$7$", r"\boxed{" * 2000 + "7" + "}" * 2000, CORRECT, "normalised"),
    ("$7$", r"\boxed{" + r"\frac{1}{1+" * 800 + "1" + "}" * 801, WRONG, "extraction"),
    ("$7$", "$1+" * 3000, WRONG, "extraction"),
    ("1/2004!", r"\boxed{1/2006!}", WRONG, "exact"),
    ("1/2004!", r"\boxed{\frac{1}{2004!}}", CORRECT, "exact"),
    ("2^-99", r"\boxed{2^{-98}}", WRONG, "exact"),
    ("2^-99", r"\boxed{2^{-99}}", CORRECT, "exact"),
    (r"2^{-99}\pi", r"\boxed{2^{-98}\pi}", WRONG, "exact"),
    ("1331 and 1728", r"\boxed{1728}", WRONG, "exact"),
    ("1331 and 1728", r"\boxed{1728, 1331}", CORRECT, "exact"),
    ("12", r"\boxed{3 4}", WRONG, "exact"),
    ("Tuesday", r"\boxed{\text{tuesday}}", CORRECT, "normalised"),
    ("Tuesday", r"\boxed{yadseuT}", WRONG, "normalised"),  # algebra would see the same product of letters
    ("blue whale", "<think> big </think> <answer> blue whale </answer>", CORRECT, "normalised"),
    ("7", "7", CORRECT, "normalised"),
    ("7", "７", CORRECT, "normalised"),
    ("0", "-0.0", CORRECT, "exact"),
    ("#### 72", "72", CORRECT, "normalised"),
    ("We add them. #### 72", "72", CORRECT, "normalised"),
    (r"First \boxed{1}, then \boxed{\frac{3}{4}}", "0.75", CORRECT, "exact"),
    # completions: only what follows the thoughts is graded
    ("7", r"<think>\boxed{7}</think> I give up", WRONG, "extraction"),
    ("7", r"<think> \boxed{7} and on", WRONG, "extraction"),
    ("7", "<think> a </think> <answer> 7 </answer>", CORRECT, "normalised"),
    ("7", "<think> a </think> <answer> the 7 or so </answer>", WRONG, "extraction"),
    ("9", r"<think> a 4 plus b 5 9 </think> the answer is \boxed{ 9 }", CORRECT, "normalised"),
    ("9", r"<think> a </think> \boxed{3} </think> \boxed{9}", CORRECT, "normalised"),
    # unusable gold answers are never the policy's fault
    ("", r"\boxed{7}", UNDECIDABLE, "fault"),
    ("$$", r"\boxed{7}", UNDECIDABLE, "fault"),
    ("words " * 100, r"\boxed{7}", UNDECIDABLE, "fault"),
]


@pytest.mark.parametrize(("gold", "text", "verdict", "step"), CASES)
def test_verdict_and_step(gold, text, verdict, step):
    judgement = verify_math(text, gold)
    assert judgement.verdict is verdict, judgement
    assert step in (None, judgement.decided_by), judgement


def test_batch_keeps_order_and_asks_the_worker_once_for_a_repeated_answer():
    identity = (r"\boxed{\arctan 1}", r"\frac{\pi}{4}")
    pairs = [identity, ("8", "7"), ("7", "7"), identity]
    before = verification_counts().get("cached", 0)
    assert [item.verdict for item in verify_math_batch(pairs)] == [CORRECT, WRONG, CORRECT, CORRECT]
    assert verification_counts().get("cached", 0) == before
    assert verify_math(*pairs[0]).verdict is CORRECT
    assert verification_counts()["cached"] == before + 1


def test_an_overrun_in_algebra_is_wrong_and_the_next_answer_is_judged():
    slow = r"\boxed{(x+1)^{9999} (x+2)^{9999}}"
    killed = verification_counts()["killed"]
    judgements = verify_math_batch([(slow, "x+1"), (r"\boxed{1+y}", "y+1")], cpu_seconds=0.2)
    assert [item.verdict for item in judgements] == [WRONG, CORRECT]
    assert judgements[0].decided_by == "overrun"
    assert verification_counts()["killed"] > killed


def test_a_batch_past_its_deadline_is_undecidable_and_not_wrong():
    judgement = verify_math_batch([(r"\boxed{(y+1)^{9998} (y+2)^{9999}}", "y+1")], deadline=0.05)[0]
    assert judgement.verdict is UNDECIDABLE
    assert "deadline" in judgement.reason


def test_works_in_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(verify_math(r"\boxed{(t+1)^2}", "t^2+2t+1").verdict))
    thread.start()
    thread.join()
    assert found == [CORRECT]


def test_plain_answers_start_no_process():
    _pool.close()
    verify_math_batch([("1,234", "1234"), ("3 or 4", "3"), (r"\boxed{1/2}", "0.5"), ("east", "west")])
    check_golds(["7", r"\frac12", "1,2", "Tuesday", "", None])
    assert _pool._control is None


@pytest.mark.parametrize(
    ("gold", "problem"),
    [
        ("7", None),
        (r"\frac{3}{4}", None),
        (r"$x^2+1$", None),
        ("Tuesday", None),
        (r"long text, then \boxed{5}", None),
        (r"9^{9^9}", None),
        (None, "missing"),
        (7, "int"),
        ("  ", "empty"),
        ("word " * 100, "longer than 400"),
        (r"\frac{", "not a mathematical expression"),
    ],
)
def test_check_gold(gold, problem):
    reason = check_gold(gold)
    assert reason is None if problem is None else problem in reason
