"""Arguments of every stage, beside TRL's own."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl import ScriptArguments

from trl_r1.script_arguments.values import JsonMapping


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
        dataset_schema (`str`, *optional*, defaults to `"auto"`):
            Schema the data is written in, one of [`~trl_r1.data.schemas.SCHEMAS`], or `"columns"` for the columns as
            they are. By default what the columns say; where they say two things, that is an error.
        dataset_mixture_weights (`list[float]`, *optional*):
            Share of each of `datasets` to keep, as open-r1's `weight`: shuffled with the seed, then cut.
        dataset_mixture_seed (`int`, *optional*):
            Seed a mixture is shuffled and split with. Without it its order is kept, and a test part drawn with 42.
        train_on_held_out_split (`str`, *optional*):
            Why rows of a split named test, validation or the like may be trained on. Without a reason they may not.
        held_out_datasets (`list[dict]`, *optional*):
            Questions that must not be trained on: mappings with `path`, `name`, `split` (`"test"`) and `column`.
            Training rows that ask one of them are dropped and counted.
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
    dataset_schema: str = field(
        default="auto",
        metadata={
            "help": "Schema the data is written in. By default what its columns say.",
            "choices": [
                *("auto", "columns", "messages", "prompt_completion", "problem_solution", "problem_answer"),
                *("worked_solution", "question_answer", "gsm8k", "openr1_math", "mixture_of_thoughts", "dapo_math"),
                *("multiple_choice", "preference_pairs", "preference_chats", "orca_pairs"),
            ],
        },
    )
    dataset_mixture_weights: list[float] | None = field(
        default=None, metadata={"help": "Share of each of `datasets` to keep, shuffled, then cut, as in open-r1."}
    )
    dataset_mixture_seed: int | None = field(
        default=None, metadata={"help": "Seed a mixture is shuffled and split with."}
    )
    train_on_held_out_split: str | None = field(
        default=None, metadata={"help": "Why rows of a test or validation split may be trained on."}
    )
    held_out_datasets: list[JsonMapping] = field(
        default_factory=list,
        metadata={"help": "Questions not to train on: mappings with path, name, split and column."},
    )
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
