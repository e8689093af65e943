"""Arguments of every stage, beside TRL's own."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl import ScriptArguments


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
