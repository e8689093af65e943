"""Arguments of `trl-r1 evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl_r1.script_arguments.values import JsonMapping


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
