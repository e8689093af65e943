"""Generation with vLLM in this process."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from trl_r1.errors import GenerationError, R1Error
from trl_r1.generation.calls import generate_all
from trl_r1.generation.plan import sample_seed
from trl_r1.generation.prompts import encode_prompt, render_text
from trl_r1.generation.transformers_engine import end_token_ids
from trl_r1.generation.types import Completion, FinishReason, GenerationSummary, Prompt, SamplingParameters
from trl_r1.generation.vllm_process import vllm_environment
from trl_r1.recipe.engine_checks import LOWEST_VLLM_TEMPERATURE
from trl_r1.stage_record import hash_json
from trl_r1.stage_record.describe import hash_model
from trl_r1.user_code import first_line


if TYPE_CHECKING:
    from trl_r1.generation.plan import SampleRow

LONGEST_REASON: Final = 400  # characters of an error of vLLM's, whose first line often says only how many there are


class VLLMEngine:
    """
    Completions from vLLM, in this process.

    Each sample is a request of its own, drawn from a seed derived from `(params.seed, prompt, sample number)`, so that
    its text does not depend on what else is in the batch, but for rounding: vLLM's sums may differ in their last bits
    with the size of a batch. Every batch begins with an empty prefix cache, so the same batch gives the same bits.

    Nothing is read from the checkpoint's `generation_config.json` but its end tokens.

    Args:
        llm ([`~vllm.LLM`]):
            Made with `skip_tokenizer_init=True` and `generation_config="vllm"`.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Of the policy.
        end_ids (`Sequence[int]`):
            Tokens that end a completion.
        identity (`dict[str, Any]`, *optional*):
            What decides the text.

    Example:

    ```python
    engine = VLLMEngine.from_pretrained("outputs/smollm2/sft", dtype="bfloat16")
    groups = engine.generate(["What is 4 + 5?"], SamplingParameters(num_samples=8, temperature=0.6))
    ```
    """

    _loaded: ClassVar[weakref.finalize[..., VLLMEngine] | None] = None  # the one in this process

    def __init__(
        self, llm: Any, tokenizer: Any, end_ids: Sequence[int], identity: dict[str, Any] | None = None
    ) -> None:
        self.llm = llm
        self.tokenizer = tokenizer
        self.last_summary: GenerationSummary | None = None
        self._end_ids = list(end_ids)
        self._identity = identity or {}
        self._close: weakref.finalize[..., VLLMEngine] | None = None

    @classmethod
    def from_pretrained(
        cls,
        path: str,
        revision: str | None = None,
        dtype: str = "auto",
        tokenizer: Any = None,
        gpu_memory_utilization: float = 0.9,
        tensor_parallel_size: int = 1,
        max_model_length: int | None = None,
    ) -> VLLMEngine:
        """
        Load a checkpoint folder or a Hub id.

        Under a launcher each process has its own copy, on its own GPUs; see
        [`~trl_r1.generation.vllm_process.vllm_environment`].

        Args:
            path (`str`):
                Folder or Hub id.
            revision (`str`, *optional*):
                Branch, tag or commit on the Hub.
            dtype (`str`, *optional*, defaults to `"auto"`):
                Type of weights and sums; `"auto"` is the checkpoint's, also where that is `float32` (vLLM's own
                `"auto"` would take 16 bits).
            tokenizer ([`~transformers.PreTrainedTokenizerBase`], *optional*):
                By default that of the checkpoint.
            gpu_memory_utilization (`float`, *optional*, defaults to `0.9`):
                Share of the GPU's memory to take; on the CPU of all memory, unless `VLLM_CPU_KVCACHE_SPACE` (GiB) is
                set.
            tensor_parallel_size (`int`, *optional*, defaults to `1`):
                GPUs the model is split over.
            max_model_length (`int`, *optional*):
                Longest prompt with completion, in tokens; the model's by default.

        Raises:
            [`R1Error`]: when vLLM is not installed or has an engine in this process already, the checkpoint cannot be
                loaded, or does not fit.
        """
        if cls._loaded is not None and cls._loaded.alive:
            raise R1Error("engine: 'vllm' is loaded in this process, which takes no second one; close() the first")
        tokenizer = tokenizer or _load_tokenizer(path, revision)
        config, declared = _load_configs(path, revision)
        end_ids = end_token_ids(declared, tokenizer)
        resolved = _resolve_dtype(dtype, config)
        with vllm_environment(tensor_parallel_size):
            vllm = _import_vllm()
            on_cpu = vllm.platforms.current_platform.is_cpu()
            try:
                llm = vllm.LLM(
                    path,
                    revision=revision,
                    dtype=resolved,
                    skip_tokenizer_init=True,
                    generation_config="vllm",
                    enforce_eager=on_cpu,  # what compiling takes is never won back there
                    gpu_memory_utilization=gpu_memory_utilization,
                    tensor_parallel_size=tensor_parallel_size,
                    max_model_len=max_model_length,
                    use_tqdm_on_load=False,
                )
            except (OSError, ValueError, RuntimeError) as error:
                reason = " ".join(str(error).split())[:LONGEST_REASON]
                raise R1Error(
                    f"model: vLLM cannot load {path!r} ({reason}); it takes checkpoints of the "
                    "architectures it knows; lower vllm_gpu_memory_utilization or vllm_max_model_length where memory "
                    "is short"
                ) from error
        identity = {
            "engine": "vllm",
            "model": path,
            "revision": revision,
            "weights_sha256": hash_model(path, revision),
            "dtype": resolved,
            "device": vllm.platforms.current_platform.device_type,
            "tensor_parallel_size": tensor_parallel_size,
            "end_token_ids": end_ids,
            "chat_template_sha256": hash_json(tokenizer.chat_template),
            "versions": _versions(vllm),
        }
        engine = cls(llm, tokenizer, end_ids, identity)
        # vLLM's groups are of the whole process: an engine collected late would take those of the next with it.
        cls._loaded = engine._close = weakref.finalize(engine, llm.llm_engine.engine_core.shutdown)
        return engine

    def close(self) -> None:
        """Give the memory back. Another engine can then be loaded in this process; this one is of no more use."""
        if self._close is not None:
            self._close()

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the text, as JSON has it."""
        return dict(self._identity)

    @property
    def context_length(self) -> int:
        """Most tokens of a prompt together with its completion."""
        return int(self.llm.llm_engine.model_config.max_model_len)

    def prompt_lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt."""
        return [len(encode_prompt(prompt, self.tokenizer)) for prompt in prompts]

    def generate(
        self, prompts: Sequence[Prompt], params: SamplingParameters, progress: bool = False
    ) -> list[list[Completion]]:
        """
        Generate `params.num_samples` completions a prompt; see [`~trl_r1.generation.TransformersEngine.generate`].

        Raises:
            [`R1Error`]: when a prompt has no tokens or does not fit with `max_new_tokens`, or `temperature` is below
                what vLLM can draw at.
            [`GenerationError`]: when vLLM did not finish a sample.
        """
        groups, self.last_summary = generate_all(self, prompts, params, progress)
        return groups

    def generate_batch(
        self, prompts: Sequence[Prompt], rows: Sequence[SampleRow], params: SamplingParameters, seed: int
    ) -> list[Completion]:
        """
        One completion a row, each drawn from its own seed; the batch's is not used.

        Args:
            prompts (`Sequence[str]` or sequence of chats):
                All prompts, which `rows` number.
            rows (`Sequence[SampleRow]`):
                What to draw.
            params ([`SamplingParameters`]):
                How to sample.
            seed (`int`):
                Of the batch.

        Raises:
            [`R1Error`]: when `temperature` is below what vLLM can draw at.
            [`GenerationError`]: when vLLM failed, or did not finish a sample.
        """
        if 0 < params.temperature < LOWEST_VLLM_TEMPERATURE:
            raise R1Error(
                f"temperature: {params.temperature} is below {LOWEST_VLLM_TEMPERATURE}, which vLLM would take "
                "instead; set 0 for greedy decoding"
            )
        texts = {index: render_text(prompts[index], self.tokenizer) for index in {row.prompt for row in rows}}
        encoded = {index: encode_prompt(text, self.tokenizer) for index, text in texts.items()}
        seeds = [None if params.greedy else sample_seed(params.seed, texts[row.prompt], row.sample) for row in rows]
        outputs = self._run([encoded[row.prompt] for row in rows], params, seeds)
        problems = [self._problem(output, params) for output in outputs]
        reasons = [problem for problem in problems if problem is not None]
        if len(outputs) != len(rows) or reasons:
            missing = len(rows) - len(outputs)
            raise GenerationError(missing + len(reasons), reasons or ["vLLM gave fewer results"], len(rows))
        return [self._completion(output.outputs[0], params, own) for output, own in zip(outputs, seeds, strict=True)]

    def _run(self, encoded: list[list[int]], params: SamplingParameters, seeds: Sequence[int | None]) -> list[Any]:
        from vllm import SamplingParams

        fixed = {
            "temperature": params.temperature,
            "top_p": params.top_p,
            "max_tokens": params.max_new_tokens,
            "logprobs": 0 if params.logprobs else None,
            "stop_token_ids": self._end_ids,
            "ignore_eos": True,  # they are all in stop_token_ids
            "detokenize": False,
        }
        requests = [SamplingParams(**fixed, seed=seed) for seed in seeds]
        self.llm.reset_prefix_cache()
        try:
            found = self.llm.generate([{"prompt_token_ids": ids} for ids in encoded], requests, use_tqdm=False)
        except (RuntimeError, ValueError) as error:
            raise GenerationError(len(encoded), [f"vLLM failed: {first_line(error)}"], len(encoded)) from error
        return list(found)

    def _problem(self, output: Any, params: SamplingParameters) -> str | None:
        """Why a result is no sample, or `None`."""
        if not output.finished or len(output.outputs) != 1:
            return "vLLM did not finish it"
        only = output.outputs[0]
        ended = bool(only.token_ids) and only.token_ids[-1] in self._end_ids
        whole = ended if only.finish_reason == "stop" else len(only.token_ids) == params.max_new_tokens
        if only.finish_reason not in ("stop", "length") or not whole:
            return f"vLLM ended it with {only.finish_reason!r} after {len(only.token_ids)} tokens"
        if params.logprobs and len(only.logprobs or ()) != len(only.token_ids):
            return "vLLM gave no log-probabilities"
        return None

    def _completion(self, output: Any, params: SamplingParameters, seed: int | None) -> Completion:
        ids = tuple(output.token_ids)
        reason: FinishReason = "stop" if output.finish_reason == "stop" else "length"
        logprobs = None
        if params.logprobs:
            logprobs = tuple(step[token].logprob for step, token in zip(output.logprobs, ids, strict=True))
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        return Completion(text=text, token_ids=ids, finish_reason=reason, logprobs=logprobs, seed=seed)


def _import_vllm() -> Any:
    try:
        import vllm
        import vllm.platforms
    except ImportError as error:
        raise R1Error(
            f"engine: 'vllm' is not installed ({first_line(error)}); pip install 'trl_r1[vllm]', or use "
            "engine: transformers"
        ) from error
    return vllm


def _load_tokenizer(path: str, revision: str | None) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, revision=revision)
    except (OSError, ValueError) as error:
        raise _not_loadable(path, error) from error


def _load_configs(path: str, revision: str | None) -> tuple[Any, Any]:
    """The model's configuration, and how the checkpoint says to generate, of which only the end tokens are used."""
    from transformers import AutoConfig, GenerationConfig

    if (Path(path) / "adapter_config.json").is_file() and not (Path(path) / "config.json").is_file():
        raise R1Error(f"model: {path!r} is an adapter, which vLLM is not given; use its folder 'merged'")
    try:
        config = AutoConfig.from_pretrained(path, revision=revision)
    except (OSError, ValueError) as error:
        raise _not_loadable(path, error) from error
    try:
        return config, GenerationConfig.from_pretrained(path, revision=revision or "main")
    except OSError:  # there is none: Transformers then makes it from the model's configuration
        return config, GenerationConfig.from_model_config(config)


def _not_loadable(path: str, error: Exception) -> R1Error:
    return R1Error(f"model: {path!r} cannot be loaded ({first_line(error)}); give a checkpoint folder or a Hub id")


def _resolve_dtype(dtype: str, config: Any) -> str:
    if dtype != "auto":
        return dtype
    declared = config.get_text_config().dtype or config.dtype
    return str(declared or "float32").removeprefix("torch.")


def _versions(vllm: Any) -> dict[str, str]:
    import torch

    return {"torch": torch.__version__, "vllm": vllm.__version__}
