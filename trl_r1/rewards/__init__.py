"""What the policy is paid for: one idea a file, each a function or picklable callable of TRL's reward contract."""

from trl_r1.rewards.accuracy import accuracy_reward
from trl_r1.rewards.checked import AsyncCheckedReward, CheckedReward
from trl_r1.rewards.choice import ChoiceReward, get_choice_reward
from trl_r1.rewards.code import CodeReward, get_code_reward
from trl_r1.rewards.error_budget import ErrorBudget
from trl_r1.rewards.format import format_reward
from trl_r1.rewards.instructions import InstructionReward, get_instruction_reward
from trl_r1.rewards.json_schema import JsonSchemaReward, get_json_schema_reward
from trl_r1.rewards.judge import JudgeReward, get_judge_reward
from trl_r1.rewards.language import LanguageConsistencyReward, get_language_consistency_reward
from trl_r1.rewards.length import LengthReward, get_length_reward
from trl_r1.rewards.preference import PreferenceReward, get_preference_reward
from trl_r1.rewards.reasoning_gym import ReasoningGymReward, get_reasoning_gym_reward
from trl_r1.rewards.registry import build_rewards, check_reward_specs, ensure_checked, probe_rewards, reward_names
from trl_r1.rewards.repair import RepairReward, get_repair_reward
from trl_r1.rewards.repetition import RepetitionReward, get_repetition_reward
from trl_r1.rewards.routing import RoutedReward, get_routed_reward
from trl_r1.rewards.words import count_words, detect_language, is_mixed


__all__ = [
    "AsyncCheckedReward",
    "CheckedReward",
    "ChoiceReward",
    "CodeReward",
    "ErrorBudget",
    "InstructionReward",
    "JsonSchemaReward",
    "JudgeReward",
    "LanguageConsistencyReward",
    "LengthReward",
    "PreferenceReward",
    "ReasoningGymReward",
    "RepairReward",
    "RepetitionReward",
    "RoutedReward",
    "accuracy_reward",
    "build_rewards",
    "check_reward_specs",
    "count_words",
    "detect_language",
    "ensure_checked",
    "format_reward",
    "get_choice_reward",
    "get_code_reward",
    "get_instruction_reward",
    "get_json_schema_reward",
    "get_judge_reward",
    "get_language_consistency_reward",
    "get_length_reward",
    "get_preference_reward",
    "get_reasoning_gym_reward",
    "get_repair_reward",
    "get_repetition_reward",
    "get_routed_reward",
    "is_mixed",
    "probe_rewards",
    "reward_names",
]
