"""Arguments of `trl-r1 distill`."""

from __future__ import annotations

from dataclasses import dataclass

from trl_r1.script_arguments.training import StopProbeArguments


@dataclass
class DistillationScriptArguments(StopProbeArguments):
    """
    Script arguments of `trl-r1 distill`: on-policy distillation through TRL's own trainer.

    The student is `model_name_or_path`, the teacher `teacher_model_name_or_path` of [`~trl.DistillationConfig`]. The
    data are prompts: of rows with an answer only the question is read.
    """
