"""Arguments of `trl-r1 evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl_r1.script_arguments.sampling import EngineArguments
from trl_r1.script_arguments.values import JsonMapping


@dataclass
class EvaluationArguments(EngineArguments):
    """
    Arguments of `trl-r1 evaluate`, which measures checkpoints on suites of questions, with any engine.

    Args:
        output_dir (`str`, *optional*):
            Folder for the samples and `stage.json`. Required.
        checkpoints (`list[dict]`):
            Each with `name` and `path` (or Hub id), optionally `revision`, `prompt_template`, `chat_template` and
            `response_format`.
        suites (`list[dict]`):
            Each with `name` and `dataset_name`, or with `benchmark` (a name, or the YAML file of your own), optionally
            `modes` (name to sampling settings, such as
            `{greedy: {temperature: 0}, forced_chain: {temperature: 0, prefill: "<think> a"}}`) and the other fields of
            [`~trl_r1.evaluation.EvaluationSuite`]. What a suite does not say is its benchmark's: prompt, sampling,
            number of samples, verifier. Of a benchmark's one mode `num_samples`, `temperature` and `top_p` may be
            given in the suite itself.
        comparisons (`list[dict]`, *optional*):
            Pairs to compare question by question, each with `before` and `after` (names of checkpoints), `suite`,
            `mode` and `metric`, and `variant` where the suite has `prompt_variants`.
        max_completion_length (`int`, *optional*, defaults to `256`):
            Longest answer, in tokens.
        generation_batch_size (`int`, *optional*, defaults to `256`):
            Answers generated at once, and saved at once: what a kill can cost.
        max_undecidable (`float`, *optional*, defaults to `0.05`):
            Largest share of the judged answers that a verifier may leave undecided. They are no zeros: accuracy leaves
            them out, and with more of them there is no score.
        keep_work (`bool`, *optional*, defaults to `False`):
            Whether to keep `.work` in the output folder, with the tokens of every answer, when all is measured.
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
    max_undecidable: float = field(
        default=0.05, metadata={"help": "Largest share of answers that a verifier may leave undecided."}
    )
    keep_work: bool = field(default=False, metadata={"help": "Keep the tokens of every answer in .work."})
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
