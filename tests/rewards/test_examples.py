"""The examples in the docstrings of rewards and verifiers run and show what they say."""

import doctest
import re

import pytest

from trl_r1 import rewards
from trl_r1.verifiers.choice import verify_choice


FENCE = re.compile(r"^ *```python\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
DOCUMENTED = [getattr(rewards, name) for name in rewards.__all__ if name.endswith("_reward")] + [verify_choice]
EXAMPLES = [
    pytest.param(block, function, id=f"{function.__name__}-{number}")
    for function in DOCUMENTED
    for number, block in enumerate(FENCE.findall(function.__doc__ or ""))
]


@pytest.mark.parametrize(("block", "function"), EXAMPLES)
def test_example(block, function):
    test = doctest.DocTestParser().get_doctest(block, dict(vars(rewards)) | {function.__name__: function}, "", None, 0)
    report = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not report, "".join(report)
    assert test.examples
