"""Arguments of `trl-r1 distill`."""

from __future__ import annotations

from dataclasses import dataclass

from trl_r1.script_arguments.common import R1ScriptArguments


@dataclass
class DistillationScriptArguments(R1ScriptArguments):
    """Script arguments of `trl-r1 distill`: on-policy distillation through TRL's own trainer."""
