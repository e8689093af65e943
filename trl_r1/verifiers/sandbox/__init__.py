"""Where model-written code runs: a fresh process a candidate, shut off from everything but the one who asks.

The verdict is never computed inside. A session gets code and one input at a time, and answers in plain data; what is
expected of it stays outside.
"""

from trl_r1.verifiers.sandbox.outcome import Isolation, Limits, Outcome, SandboxError
from trl_r1.verifiers.sandbox.pool import Sandbox, shared_sandbox
from trl_r1.verifiers.sandbox.session import Session


__all__ = ["Isolation", "Limits", "Outcome", "Sandbox", "SandboxError", "Session", "shared_sandbox"]
