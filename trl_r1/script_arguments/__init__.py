"""What each verb takes beside TRL's training and model arguments."""

from trl_r1.script_arguments.common import R1ScriptArguments
from trl_r1.script_arguments.composition import CompositionArguments
from trl_r1.script_arguments.decontamination import DecontaminationArguments
from trl_r1.script_arguments.difficulty import DifficultyArguments
from trl_r1.script_arguments.distillation import DistillationScriptArguments
from trl_r1.script_arguments.evaluation import EvaluationArguments
from trl_r1.script_arguments.general_data import GeneralDataArguments
from trl_r1.script_arguments.sampling import (
    DatasetOutputArguments,
    EngineArguments,
    GenerationArguments,
    RejectionSamplingArguments,
    SamplingArguments,
)
from trl_r1.script_arguments.training import (
    GRPOScriptArguments,
    RewardModelScriptArguments,
    SFTScriptArguments,
)
from trl_r1.script_arguments.values import JsonMapping, RewardSpec


__all__ = [
    "CompositionArguments",
    "DatasetOutputArguments",
    "DecontaminationArguments",
    "DifficultyArguments",
    "DistillationScriptArguments",
    "EngineArguments",
    "EvaluationArguments",
    "GRPOScriptArguments",
    "GeneralDataArguments",
    "GenerationArguments",
    "JsonMapping",
    "R1ScriptArguments",
    "RejectionSamplingArguments",
    "RewardModelScriptArguments",
    "RewardSpec",
    "SFTScriptArguments",
    "SamplingArguments",
]
