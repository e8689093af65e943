"""What each verb takes beside TRL's training and model arguments."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trl import ScriptArguments


if TYPE_CHECKING:
    RewardSpec = str | dict[str, dict[str, Any]]
    JsonMapping = dict[str, Any]
else:
    # At run time the item type of a list field is what the parser calls on each word of a command line.

    def RewardSpec(text):  # noqa: N802
        """A reward's name, or its name with parameters as JSON."""
        return json.loads(text) if text.startswith("{") else text

    def JsonMapping(text):  # noqa: N802
        """A mapping written as JSON."""
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError(f"{text!r} is no JSON mapping")
        return value


@dataclass
class R1ScriptArguments(ScriptArguments):
    """
    Arguments common to all stages, beside TRL's own.

    Args:
        stage_name (`str`, *optional*):
            Name in `stage.json`. By default the name of the output folder.
        dataset_prompt_column (`str`, *optional*, defaults to `"problem"`):
            Column with the question.
        dataset_solution_column (`str`, *optional*, defaults to `"solution"`):
            Column with the reference answer.
        prompt_template (`str`, *optional*):
            Plain-text template with one `{prompt}`: a name of trl_r1 (`r1_zero`) or a file. Without it the chat
            template shows the prompt.
        chat_template (`str`, *optional*):
            Chat template: a name of trl_r1 (`r1`) or a `.jinja` file. Without it the tokenizer's own.
        response_format (`str`, *optional*):
            `"r1_zero"` or `"r1"`. By default `"r1_zero"` with a `prompt_template`, else `"r1"`.
        expected_processes (`int`, *optional*):
            Refuse to start with another world size. Some launch lines start one process and say nothing.
        max_train_rows (`int`, *optional*):
            Use only the first rows of the training data.
        hub_tag (`str`, *optional*):
            Tag of what `push_to_hub` pushes. By default the stage's name and the beginning of the hash of its content.
        hub_license (`str`, *optional*):
            Licence of the result as the Hub spells it, such as `apache-2.0`. By default that of the base model.
    """

    stage_name: str | None = field(
        default=None, metadata={"help": "Name in stage.json. By default the name of the output folder."}
    )
    dataset_prompt_column: str = field(default="problem", metadata={"help": "Column with the question."})
    dataset_solution_column: str = field(default="solution", metadata={"help": "Column with the reference answer."})
    prompt_template: str | None = field(
        default=None,
        metadata={"help": "Plain-text template with one {prompt}: a name of trl_r1 (r1_zero) or a file."},
    )
    chat_template: str | None = field(
        default=None,
        metadata={"help": "Chat template: a name of trl_r1 (r1) or a .jinja file. Without it the tokenizer's own."},
    )
    response_format: str | None = field(
        default=None,
        metadata={
            "help": "Format of a response. By default r1_zero with a prompt_template, else r1.",
            "choices": ["r1_zero", "r1"],
        },
    )
    expected_processes: int | None = field(default=None, metadata={"help": "Refuse to start with another world size."})
    max_train_rows: int | None = field(
        default=None, metadata={"help": "Use only the first rows of the training data."}
    )
    hub_tag: str | None = field(
        default=None, metadata={"help": "Tag of what is pushed. By default the stage's name and a hash."}
    )
    hub_license: str | None = field(
        default=None, metadata={"help": "Licence of the result. By default that of the base model."}
    )


@dataclass
class GRPOScriptArguments(R1ScriptArguments):
    """
    Script arguments of `trl-r1 grpo`.

    Args:
        reward_funcs (`list[str | dict]`):
            Reward functions: a name of `trl_r1.rewards` or `trl.rewards`, a dotted path, a file (`path.py:name`), or
            a mapping of one of these to its parameters. Weights go into `reward_weights`.
        canary (`str`, *optional*, defaults to `"none"`):
            Second opinion on a sample of each rollout, from other code than the reward: `"math"` (Math-Verify alone),
            `"exact"` (the same characters) or `"none"`. It is logged and watched, and never enters the reward.
        merge_adapter (`bool`, *optional*, defaults to `True`):
            With `use_peft`, whether to write the merged model too, into `merged/` of the output folder. It is made on
            the CPU, with four bytes a weight, and checked against the adapter.
    """

    reward_funcs: list[RewardSpec] = field(
        default_factory=list,
        metadata={
            "help": "Reward functions: names, dotted paths, path.py:name, or JSON of a name and its parameters."
        },
    )
    canary: str = field(
        default="none",
        metadata={
            "help": "Second opinion on a sample of each rollout, from other code than the reward.",
            "choices": ["none", "exact", "math"],
        },
    )
    merge_adapter: bool = field(
        default=True, metadata={"help": "With use_peft, whether to write the merged model too, into merged/."}
    )


@dataclass
class SFTScriptArguments(R1ScriptArguments):
    """
    Script arguments of `trl-r1 sft`.

    Args:
        merge_adapter (`bool`, *optional*, defaults to `True`):
            With `use_peft`, whether to write the merged model too, into `merged/` of the output folder. It is made on
            the CPU, with four bytes a weight, and checked against the adapter.
    """

    merge_adapter: bool = field(
        default=True, metadata={"help": "With use_peft, whether to write the merged model too, into merged/."}
    )


@dataclass
class RewardModelScriptArguments(R1ScriptArguments):
    """Script arguments of `trl-r1 reward_model`: those of every stage."""


@dataclass
class RejectionSamplingArguments(R1ScriptArguments):
    """
    Arguments of `trl-r1 rejection_sample`, which samples a teacher and keeps what passes.

    The teacher is `model_name_or_path`.

    Args:
        output_dir (`str`, *optional*):
            Folder for `train.jsonl` and `stage.json`. Required.
        num_generations (`int`, *optional*, defaults to `8`):
            Samples a prompt.
        temperature, top_p (`float`, *optional*, defaults to `1.0`):
            Of the samples.
        max_completion_length (`int`, *optional*, defaults to `256`):
            Longest sample, in tokens.
        generation_batch_size (`int`, *optional*, defaults to `256`):
            Samples generated at once.
        seed (`int`, *optional*, defaults to `42`):
            Of the sampling.
        keep_correct (`bool`, *optional*, defaults to `True`):
            Drop samples whose answer is not verified as correct.
        keep_well_formed (`bool`, *optional*, defaults to `True`):
            Drop samples with a format defect.
        keep_language_consistent (`bool`, *optional*, defaults to `True`):
            Drop samples whose chain of thought mixes languages.
        language_ignored_tokens (`list[str]`, *optional*):
            Tokens that are no words, such as labels of operands.
        max_repetition (`float`, *optional*):
            Drop samples whose share of repeated n-grams is larger.
        max_reasoning_tokens (`int`, *optional*):
            Drop samples with a longer chain of thought.
        max_kept_per_prompt (`int`, *optional*, defaults to `1`):
            Samples kept of one prompt; `null` for no limit.
        max_rows (`int`, *optional*):
            Rows kept in all.
        refine (`str`, *optional*):
            Function `(row, parsed) -> str` that rewrites a kept sample: a dotted path or `path.py:name`. Its result is
            verified again.
        output_format (`str`, *optional*, defaults to `"messages"`):
            `"messages"` or `"prompt_completion"`.
        push_to_hub (`bool`, *optional*, defaults to `False`):
            Whether to publish the data set when it is written. A push that fails does not fail the stage.
        hub_dataset_id (`str`, *optional*):
            Repository of the data set. By default the output folder's name, with the token's owner as namespace.
        hub_revision (`str`, *optional*):
            Branch to push to; made when it does not exist.
        hub_private_repo (`bool`, *optional*):
            Whether a repository made for it is private. It is, unless this is `False`.
        hub_token (`str`, *optional*):
            Token with write permission. Better set `HF_TOKEN` or use `hf auth login`.
    """

    output_dir: str | None = field(default=None, metadata={"help": "Folder for train.jsonl and stage.json."})
    num_generations: int = field(default=8, metadata={"help": "Samples a prompt."})
    temperature: float = field(default=1.0, metadata={"help": "Temperature of the samples."})
    top_p: float = field(default=1.0, metadata={"help": "Nucleus of the samples."})
    max_completion_length: int = field(default=256, metadata={"help": "Longest sample, in tokens."})
    generation_batch_size: int = field(default=256, metadata={"help": "Samples generated at once."})
    seed: int = field(default=42, metadata={"help": "Seed of the sampling."})
    keep_correct: bool = field(default=True, metadata={"help": "Drop samples not verified as correct."})
    keep_well_formed: bool = field(default=True, metadata={"help": "Drop samples with a format defect."})
    keep_language_consistent: bool = field(default=True, metadata={"help": "Drop samples that mix languages."})
    language_ignored_tokens: list[str] = field(
        default_factory=list, metadata={"help": "Tokens that are no words, such as labels of operands."}
    )
    max_repetition: float | None = field(
        default=None, metadata={"help": "Drop samples whose share of repeated n-grams is larger."}
    )
    max_reasoning_tokens: int | None = field(
        default=None, metadata={"help": "Drop samples with a longer chain of thought."}
    )
    max_kept_per_prompt: int | None = field(default=1, metadata={"help": "Samples kept of one prompt."})
    max_rows: int | None = field(default=None, metadata={"help": "Rows kept in all."})
    refine: str | None = field(
        default=None, metadata={"help": "Function (row, parsed) -> str that rewrites a kept sample."}
    )
    output_format: str = field(
        default="messages",
        metadata={"help": "Form of the rows written.", "choices": ["messages", "prompt_completion"]},
    )
    push_to_hub: bool = field(default=False, metadata={"help": "Publish the data set when it is written."})
    hub_dataset_id: str | None = field(
        default=None, metadata={"help": "Repository of the data set. By default the output folder's name."}
    )
    hub_revision: str | None = field(default=None, metadata={"help": "Branch to push to."})
    hub_private_repo: bool | None = field(
        default=None, metadata={"help": "Whether a new repository is private. It is unless this is false."}
    )
    hub_token: str | None = field(
        default=None, metadata={"help": "Token with write permission. Better set HF_TOKEN or use hf auth login."}
    )


@dataclass
class EvaluationArguments:
    """
    Arguments of `trl-r1 evaluate`, which measures checkpoints on suites of questions.

    Args:
        output_dir (`str`, *optional*):
            Folder for the samples and `stage.json`. Required.
        checkpoints (`list[dict]`):
            Each with `name` and `path` (or Hub id), optionally `revision`, `prompt_template`, `chat_template` and
            `response_format`.
        suites (`list[dict]`):
            Each with `name` and `dataset_name`, optionally `split`, `modes` (name to sampling settings, such as
            `{greedy: {temperature: 0}, forced_chain: {temperature: 0, prefill: "<think> a"}}`), `group_by`,
            `metrics`, `max_rows` and the columns.
        comparisons (`list[dict]`, *optional*):
            Pairs to compare question by question, each with `before` and `after` (names of checkpoints), `suite`,
            `mode` and `metric`.
        max_completion_length (`int`, *optional*, defaults to `256`):
            Longest answer, in tokens.
        generation_batch_size (`int`, *optional*, defaults to `256`):
            Answers generated at once.
        seed (`int`, *optional*, defaults to `42`):
            Of the sampled modes.
        dtype (`str`, *optional*, defaults to `"float32"`):
            Type the checkpoints are loaded in.
        stage_name (`str`, *optional*):
            Name in `stage.json`. By default the name of the output folder.
        expected_processes (`int`, *optional*):
            Refuse to start with another world size.
    """

    output_dir: str | None = field(default=None, metadata={"help": "Folder for the samples and stage.json."})
    checkpoints: list[JsonMapping] = field(
        default_factory=list, metadata={"help": "Checkpoints to measure: mappings with name and path."}
    )
    suites: list[JsonMapping] = field(
        default_factory=list, metadata={"help": "Suites of questions: mappings with name, dataset_name and modes."}
    )
    comparisons: list[JsonMapping] = field(
        default_factory=list,
        metadata={"help": "Pairs to compare: mappings with before, after, suite, mode and metric."},
    )
    max_completion_length: int = field(default=256, metadata={"help": "Longest answer, in tokens."})
    generation_batch_size: int = field(default=256, metadata={"help": "Answers generated at once."})
    seed: int = field(default=42, metadata={"help": "Seed of the sampled modes."})
    dtype: str = field(
        default="float32",
        metadata={
            "help": "Type the checkpoints are loaded in.",
            "choices": ["auto", "bfloat16", "float16", "float32"],
        },
    )
    stage_name: str | None = field(
        default=None, metadata={"help": "Name in stage.json. By default the name of the output folder."}
    )
    expected_processes: int | None = field(default=None, metadata={"help": "Refuse to start with another world size."})
