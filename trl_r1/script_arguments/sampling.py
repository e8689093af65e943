"""Arguments of the verbs that sample a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl_r1.script_arguments.common import R1ScriptArguments


@dataclass
class EngineArguments:
    """
    Arguments of every verb that asks a model: what generates.

    Args:
        engine (`str`, *optional*, defaults to `"transformers"`):
            What generates: `"transformers"` and `"vllm"` in this process, `"server"` any OpenAI-compatible endpoint.

        > Parameters of the engine `vllm`, named as TRL names them

        vllm_gpu_memory_utilization (`float`, *optional*, defaults to `0.9`):
            Share of the memory of a GPU (on the CPU of all memory) the engine may take.
        vllm_tensor_parallel_size (`int`, *optional*, defaults to `1`):
            GPUs one copy of the model is split over. Copies are run in parallel by starting more processes.
        vllm_max_model_length (`int`, *optional*):
            Longest prompt with completion, in tokens. By default the model's.

        > Parameters of the engine `server`

        server_base_url (`str`, *optional*):
            Address, such as `http://localhost:8000/v1`. Required.
        server_api_key_env (`str`, *optional*):
            Environment variable with the token, which is never recorded or logged.
        server_tokenizer (`str`, *optional*):
            Tokenizer of the model served, a folder or Hub id: prompts are then rendered here and sent as tokens, as
            in training. Without it they are sent as chats.
        server_max_concurrency (`int`, *optional*, defaults to `16`):
            Requests in flight, of each process.
        server_requests_per_minute (`float`, *optional*):
            Pace, of each process.
        server_timeout (`float`, *optional*, defaults to `600.0`):
            Seconds for a request.
        server_max_retries (`int`, *optional*, defaults to `5`):
            Repetitions of a request after an error that may pass.
        server_allow_unseeded (`bool`, *optional*, defaults to `False`):
            Whether a server that ignores seeds will do. A run then does not repeat.
    """

    engine: str = field(
        default="transformers",
        metadata={"help": "What generates.", "choices": ["transformers", "vllm", "server"]},
    )
    vllm_gpu_memory_utilization: float = field(default=0.9, metadata={"help": "Share of the memory vLLM may take."})
    vllm_tensor_parallel_size: int = field(default=1, metadata={"help": "GPUs one copy of the model is split over."})
    vllm_max_model_length: int | None = field(
        default=None, metadata={"help": "Longest prompt with completion, in tokens. By default the model's."}
    )
    server_base_url: str | None = field(default=None, metadata={"help": "Address of an OpenAI-compatible endpoint."})
    server_api_key_env: str | None = field(default=None, metadata={"help": "Environment variable with its token."})
    server_tokenizer: str | None = field(
        default=None, metadata={"help": "Tokenizer of the model served; without it prompts are sent as chats."}
    )
    server_max_concurrency: int = field(default=16, metadata={"help": "Requests in flight, of each process."})
    server_requests_per_minute: float | None = field(default=None, metadata={"help": "Pace, of each process."})
    server_timeout: float = field(default=600.0, metadata={"help": "Seconds for a request."})
    server_max_retries: int = field(default=5, metadata={"help": "Repetitions after an error that may pass."})
    server_allow_unseeded: bool = field(
        default=False, metadata={"help": "Whether a server that ignores seeds will do; a run then does not repeat."}
    )


@dataclass
class DatasetOutputArguments(R1ScriptArguments):
    """
    Arguments of every verb that leaves a data set.

    Args:
        output_dir (`str`, *optional*):
            Folder for the rows and `stage.json`. Required.
        seed (`int`, *optional*, defaults to `42`):
            Of all that is drawn.
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

    output_dir: str | None = field(default=None, metadata={"help": "Folder for the rows and stage.json."})
    seed: int = field(default=42, metadata={"help": "Seed of all that is drawn."})
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
class SamplingArguments(EngineArguments, DatasetOutputArguments):
    """
    Arguments of every verb that samples a model. The model is `model_name_or_path`.

    Args:
        num_generations (`int`, *optional*, defaults to `8`):
            Samples a prompt.
        temperature, top_p (`float`, *optional*, defaults to `1.0`):
            Of the samples.
        max_completion_length (`int`, *optional*, defaults to `256`):
            Longest sample, in tokens.
        generation_batch_size (`int`, *optional*, defaults to `256`):
            Samples generated at once, and written at once: what a kill can cost.
        keep_work (`bool`, *optional*, defaults to `False`):
            Whether to keep `.work` in the output folder, with every sample and every reply, when the stage is done.
    """

    num_generations: int = field(default=8, metadata={"help": "Samples a prompt."})
    temperature: float = field(default=1.0, metadata={"help": "Temperature of the samples."})
    top_p: float = field(default=1.0, metadata={"help": "Nucleus of the samples."})
    max_completion_length: int = field(default=256, metadata={"help": "Longest sample, in tokens."})
    generation_batch_size: int = field(default=256, metadata={"help": "Samples generated, and written, at once."})
    keep_work: bool = field(default=False, metadata={"help": "Keep every sample and reply in .work."})


@dataclass
class GenerationArguments(SamplingArguments):
    """
    Arguments of `trl-r1 generate`, which samples a model and keeps every sample.

    Args:
        verify (`bool`, *optional*, defaults to `True`):
            Whether to verify the answers of questions with a reference.
        logprobs (`bool`, *optional*, defaults to `False`):
            Whether to keep the tokens of each sample and the log-probability of each of them.
        rows_per_file (`int`, *optional*, defaults to `100_000`):
            Largest number of rows in a file.
    """

    verify: bool = field(default=True, metadata={"help": "Verify the answers of questions with a reference."})
    logprobs: bool = field(default=False, metadata={"help": "Keep each sample's tokens and their log-probability."})
    rows_per_file: int = field(default=100_000, metadata={"help": "Largest number of rows in a file."})


@dataclass
class RejectionSamplingArguments(SamplingArguments):
    """
    Arguments of `trl-r1 rejection_sample`, which samples a teacher and keeps what passes.

    The teacher is `model_name_or_path`.

    Args:
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
        max_paragraph_words (`int`, *optional*):
            Drop samples with a longer paragraph in their chain of thought, in words (or single Chinese and Japanese
            characters) between blank lines. The paper drops long paragraphs and does not say how long.
        keep_without_code_blocks (`bool`, *optional*, defaults to `False`):
            Drop samples with a fenced block of code in their chain of thought, as the paper does.
        max_kept_per_prompt (`int`, *optional*, defaults to `1`):
            Samples kept of one prompt; `null` for no limit.
        max_rows_per_domain (`int`, *optional*):
            Rows kept of each domain, a random choice.
        domain_max_rows (`dict[str, int]`, *optional*):
            The same for the domains it names, instead of `max_rows_per_domain`.
        dataset_domain_column (`str`, *optional*, defaults to `"domain"`):
            Column with the domain.
        max_rows (`int`, *optional*):
            Rows kept in all, a random choice.
        refine (`str`, *optional*):
            Function `(row, parsed) -> str` that rewrites a kept sample: a dotted path or `path.py:name`. Its result is
            verified again.
        output_format (`str`, *optional*, defaults to `"messages"`):
            `"messages"` or `"prompt_completion"`.

        > Parameters of the judge, which grades what no rule verifies. It is sent question, reference and answer

        judge_model (`str`, *optional*):
            The judge, any model behind an OpenAI-compatible endpoint.
        judge_base_url (`str`, *optional*):
            Its address, such as `http://localhost:8000/v1`. Without it the Hub's inference providers.
        judge_api_key_env (`str`, *optional*):
            Environment variable with its token, which is never recorded or logged.
        judge_scope (`str`, *optional*, defaults to `"marked"`):
            Rows it judges: `"marked"` those of `reward_type` `judge`; `"undecided"` also those with a reference that
            no rule decides; `"all"` every row with a reference.
        max_judge_failures (`float`, *optional*, defaults to `0.01`):
            Largest share of a batch's answers that may stay without a verdict, and are dropped as undecidable. With
            more the stage stops; started again, it asks for the missing ones only.

        > Parameters of the model that rewrites kept samples of R1-Zero (see `build_cold_start`), instead of `refine`

        rewrite_model, rewrite_base_url, rewrite_api_key_env (`str`, *optional*):
            The same of the model that writes.
        rewrite_examples (`str`, *optional*):
            File of JSON lines with examples made by people: `problem`, `original`, `reasoning`, `summary`.
        rewrite_max_tokens (`int`, *optional*, defaults to `8192`):
            Longest reply.
        max_rewrite_failures (`float`, *optional*, defaults to `0.01`):
            Largest share of a batch's questions that may stay without a reply, as of the judge.

        Both models are asked within `server_max_concurrency`, `server_requests_per_minute`, `server_timeout` and
        `server_max_retries`.
    """

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
    max_paragraph_words: int | None = field(
        default=None, metadata={"help": "Drop samples with a longer paragraph in their chain of thought."}
    )
    keep_without_code_blocks: bool = field(
        default=False, metadata={"help": "Drop samples with a block of code in their chain of thought."}
    )
    max_kept_per_prompt: int | None = field(default=1, metadata={"help": "Samples kept of one prompt."})
    max_rows_per_domain: int | None = field(default=None, metadata={"help": "Rows kept of each domain."})
    domain_max_rows: dict[str, int] | str | None = field(
        default=None, metadata={"help": "Rows kept of the domains named, as a mapping."}
    )
    dataset_domain_column: str = field(default="domain", metadata={"help": "Column with the domain."})
    max_rows: int | None = field(default=None, metadata={"help": "Rows kept in all."})
    refine: str | None = field(
        default=None, metadata={"help": "Function (row, parsed) -> str that rewrites a kept sample."}
    )
    output_format: str = field(
        default="messages",
        metadata={"help": "Form of the rows written.", "choices": ["messages", "prompt_completion"]},
    )
    judge_model: str | None = field(default=None, metadata={"help": "Model that grades what no rule verifies."})
    judge_base_url: str | None = field(default=None, metadata={"help": "Address of the judge's endpoint."})
    judge_api_key_env: str | None = field(default=None, metadata={"help": "Environment variable with its token."})
    judge_scope: str = field(
        default="marked", metadata={"help": "Rows it judges.", "choices": ["marked", "undecided", "all"]}
    )
    max_judge_failures: float = field(
        default=0.01, metadata={"help": "Largest share of a batch that may stay without a verdict."}
    )
    rewrite_model: str | None = field(default=None, metadata={"help": "Model that rewrites samples of R1-Zero."})
    rewrite_base_url: str | None = field(default=None, metadata={"help": "Address of its endpoint."})
    rewrite_api_key_env: str | None = field(default=None, metadata={"help": "Environment variable with its token."})
    rewrite_examples: str | None = field(default=None, metadata={"help": "JSON lines with examples made by people."})
    rewrite_max_tokens: int = field(default=8192, metadata={"help": "Longest reply of the rewriting model."})
    max_rewrite_failures: float = field(
        default=0.01, metadata={"help": "Largest share of a batch that may stay without a reply."}
    )
