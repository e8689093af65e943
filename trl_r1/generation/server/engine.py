"""Generation by a server: vLLM, TGI, llama.cpp, `transformers serve`, or a hosted model."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trl_r1.chat_template import template_hash
from trl_r1.errors import GenerationError, R1Error
from trl_r1.generation.calls import generate_all
from trl_r1.generation.plan import SampleRow, sample_seed
from trl_r1.generation.prompts import encode_prompt, render_text
from trl_r1.generation.server.client import Request, ServerClient, ServerSettings
from trl_r1.generation.server.dialect import Dialect, Draw, Route
from trl_r1.generation.server.findings import Findings
from trl_r1.generation.server.models import ServedModel, find_model
from trl_r1.generation.server.outcomes import BrokenReplyError, Failure
from trl_r1.generation.server.probe import Probe
from trl_r1.generation.server.replies import Reply, check_lengths, read_reply
from trl_r1.generation.types import Completion, GenerationSummary, Prompt, SamplingParameters


if TYPE_CHECKING:
    from trl_r1.script_arguments.sampling import EngineArguments


logger = logging.getLogger(__name__)


class ServerEngine:
    """
    Completions from any OpenAI-compatible server.

    Every sample is a request of its own with a seed of its own, which comes from the prompt's text: what it says
    depends neither on the other samples nor on how they are batched. Before the first one the server is probed for
    what it ignores without a word; that is worked round, or refused with what may be done.

    Args:
        model (`str`):
            Name under which the server knows the model.
        settings ([`ServerSettings`]):
            Where it is, and how hard it may be asked.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`], *optional*):
            Of the model served. Prompts are then rendered here and sent as tokens, as in training. Without it chats
            are sent as chats, and text as text.
        allow_unseeded (`bool`, *optional*, defaults to `False`):
            Whether a server that ignores seeds will do; a run then does not repeat.

    Raises:
        [`R1Error`]: when the settings or the environment lack something.

    Example:

    ```python
    engine = ServerEngine("Qwen/Qwen3-8B", ServerSettings(base_url="http://localhost:8000/v1"))
    [[completion]] = engine.generate([[{"role": "user", "content": "What is 4 + 5?"}]], SamplingParameters())
    ```
    """

    def __init__(
        self, model: str, settings: ServerSettings, *, tokenizer: Any = None, allow_unseeded: bool = False
    ) -> None:
        if not model:
            raise R1Error("model_name_or_path: missing; give the name under which the server knows the model")
        self.model = model
        self.settings = settings
        self.tokenizer = tokenizer
        self.allow_unseeded = allow_unseeded
        self.client = ServerClient(settings)
        self.last_summary: GenerationSummary | None = None
        self._findings: dict[Route, Findings] = {}
        self._served: ServedModel | None = None

    @classmethod
    def from_arguments(cls, arguments: EngineArguments, model_args: Any, tokenizer: Any = None) -> ServerEngine:
        """
        Make from a script's arguments.

        Args:
            arguments ([`EngineArguments`]):
                `server_*` say where and how.
            model_args ([`~trl.ModelConfig`]):
                `model_name_or_path` is the name of the model on the server.
            tokenizer ([`~transformers.PreTrainedTokenizerBase`], *optional*):
                Loaded from `server_tokenizer` by default, where that is given.

        Raises:
            [`R1Error`]: when something is missing, or is given that a server decides itself.
        """
        if not arguments.server_base_url:
            raise R1Error("server_base_url: missing; give the endpoint's address, such as http://localhost:8000/v1")
        if getattr(model_args, "model_revision", None) not in (None, "main"):
            raise R1Error(
                f"model_revision: {model_args.model_revision!r} has no effect on a server; start the server with it "
                "and leave it out here"
            )
        settings = ServerSettings(
            base_url=arguments.server_base_url,
            api_key_env=arguments.server_api_key_env,
            max_concurrency=arguments.server_max_concurrency,
            requests_per_minute=arguments.server_requests_per_minute,
            timeout=arguments.server_timeout,
            max_retries=arguments.server_max_retries,
        )
        if tokenizer is None and arguments.server_tokenizer:
            tokenizer = _load_tokenizer(arguments.server_tokenizer)
        return cls(
            model_args.model_name_or_path or "",
            settings,
            tokenizer=tokenizer,
            allow_unseeded=arguments.server_allow_unseeded,
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the text, as JSON has it. Where the server is does not, nor how hard it is asked."""
        identity: dict[str, Any] = {"engine": "server", "model": self.model, **self._find_served().identity}
        if self.tokenizer is None:
            return identity | {"tokenizer": None, "prompts_sent_as": "chat or text, as given"}
        return identity | {"tokenizer": _tokenizer_hash(self.tokenizer), **self.findings(Route.TOKENS).identity}

    @property
    def context_length(self) -> int | None:
        """As the server tells it, where prompts are counted here."""
        return self._find_served().context_length if self.tokenizer is not None else None

    @property
    def notes(self) -> list[str]:
        """What the probes found that a reader of the results should know, a line each."""
        found = [*(self._served.notes if self._served else ())]
        found += [note for findings in self._findings.values() for note in findings.notes]
        return list(dict.fromkeys(found))

    def findings(self, route: Route) -> Findings:
        """
        What the server does on a route; probed once.

        Args:
            route ([`Route`]):
                How prompts are sent.

        Raises:
            [`R1Error`]: when the server does not answer, or does not serve the model.
        """
        if route not in self._findings:
            self._find_served()
            tokenizer = None if route is Route.CHAT else self.tokenizer
            found = self._findings[route] = Probe(self.client, self.model, tokenizer).run(route)
            for note in found.notes:
                logger.warning("server %s, %s: %s", self.model, route, note)
        return self._findings[route]

    def prompt_lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt, or characters without a tokenizer."""
        if self.tokenizer is not None:
            return [len(encode_prompt(prompt, self.tokenizer)) for prompt in prompts]
        return [len(_text_of(prompt)) for prompt in prompts]

    def generate(
        self, prompts: Sequence[Prompt], params: SamplingParameters, progress: bool = False
    ) -> list[list[Completion]]:
        """
        Generate `params.num_samples` completions a prompt.

        Args:
            prompts (`Sequence[str]` or sequence of chats):
                What the policy reads, or messages.
            params ([`SamplingParameters`]):
                How to sample.
            progress (`bool`, *optional*, defaults to `False`):
                Whether to draw a progress bar.

        Returns:
            `list[list[Completion]]`: in prompt order. [`GenerationSummary`] of the call is in `last_summary`.

        Raises:
            [`R1Error`]: when the server ignores what is asked of it, or refuses whoever asks.
            [`GenerationError`]: when samples could not be had.
        """
        groups, self.last_summary = generate_all(self, prompts, params, progress)
        return groups

    def generate_batch(
        self, prompts: Sequence[Prompt], rows: Sequence[SampleRow], params: SamplingParameters, seed: int = 0
    ) -> list[Completion]:
        """
        One completion a row, each drawn from its own seed.

        Args:
            prompts (`Sequence[str]` or sequence of chats):
                All prompts, which `rows` number.
            rows (`Sequence[SampleRow]`):
                What to draw.
            params ([`SamplingParameters`]):
                How to sample.
            seed (`int`, *optional*):
                Of the batch, which has no part in it here.

        Raises:
            [`R1Error`]: when the server ignores what is asked of it, or refuses whoever asks.
            [`GenerationError`]: when samples could not be had, all others having been waited for.
        """
        asked = {index: self._asked(prompts[index], params) for index in {row.prompt for row in rows}}
        requests = [self._request(asked[row.prompt], row.sample, params) for row in rows]
        outcomes = self.client.ask(requests)
        reasons = [
            f"{outcome.reason} (prompt {row.prompt}, sample {row.sample})" if len(rows) < 4 else outcome.reason
            for row, outcome in zip(rows, outcomes, strict=True)
            if isinstance(outcome, Failure)
        ]
        if reasons:
            raise GenerationError(len(reasons), reasons, len(rows))
        return [outcome for outcome in outcomes if isinstance(outcome, Completion)]

    def chat(
        self, questions: Sequence[Sequence[Mapping[str, Any]]], params: SamplingParameters
    ) -> list[Completion | Failure]:
        """
        Ask a judge or a writer: one answer a question, and no exception for one that fails.

        Args:
            questions (`Sequence` of chats):
                Messages of each question.
            params ([`SamplingParameters`]):
                How to sample; one sample a question.

        Returns:
            `list[Completion | Failure]`: one a question, in order; [`Failure`] has a `reason`.

        Raises:
            [`R1Error`]: when the server ignores what is asked of it, or refuses whoever asks.
        """
        if params.num_samples != 1:
            raise R1Error(f"num_samples: {params.num_samples} answers a question; set it to 1")
        asked = [self._asked(question, params, Route.CHAT) for question in questions]
        return self.client.ask([self._request(question, 0, params) for question in asked])

    def _asked(self, prompt: Prompt, params: SamplingParameters, route: Route | None = None) -> _Asked:
        findings = self.findings(route or self._route(prompt))
        findings.require(params, self.allow_unseeded)
        dialect = findings.dialect
        if self.tokenizer is None or dialect.route is Route.CHAT:
            return _Asked(dialect=dialect, text=_text_of(prompt), shown=prompt, num_tokens=None)
        ids = encode_prompt(prompt, self.tokenizer)
        shown = ids if dialect.route is Route.TOKENS else render_text(prompt, self.tokenizer)
        return _Asked(dialect=dialect, text=_text_of(prompt), shown=shown, num_tokens=len(ids))

    def _request(self, asked: _Asked, sample: int, params: SamplingParameters) -> Request[Completion]:
        draw = Draw(
            temperature=params.temperature,
            top_p=params.top_p,
            max_tokens=params.max_new_tokens,
            seed=sample_seed(params.seed, asked.text, sample),
            logprobs=params.logprobs,
        )
        seeded = asked.dialect.seed and not params.greedy
        return Request(
            path=asked.dialect.route.path,
            body=asked.dialect.body(self.model, asked.shown, draw),
            read=lambda payload: self._completion(payload, draw, asked.num_tokens, seeded),
        )

    def _route(self, prompt: Prompt) -> Route:
        if self.tokenizer is not None:
            return Route.TOKENS
        return Route.TEXT if isinstance(prompt, str) else Route.CHAT

    def _completion(self, payload: Any, draw: Draw, prompt_tokens: int | None, seeded: bool) -> Completion:
        reply = read_reply(payload)
        check_lengths(reply, draw.max_tokens, prompt_tokens)
        if draw.logprobs and reply.logprobs is None:
            raise BrokenReplyError("no log-probabilities, which were asked for")
        text, ids = reply.text, reply.token_ids
        if self.tokenizer is not None and ids is not None:
            text = self.tokenizer.decode(ids, skip_special_tokens=True)  # as all engines do
        elif self.tokenizer is not None:
            ids = self._encode_again(reply)
        return Completion(
            text=text,
            token_ids=ids or (),
            finish_reason=reply.finish_reason,
            logprobs=reply.logprobs if draw.logprobs else None,
            seed=draw.seed if seeded else None,
            usage_tokens=reply.usage_tokens,
        )

    def _encode_again(self, reply: Reply) -> tuple[int, ...]:
        """Tokens of the text: those that were generated, unless the policy spelled a word in another way."""
        ids = self.tokenizer(reply.text, add_special_tokens=False)["input_ids"]
        end = self.tokenizer.eos_token_id
        return (*ids, *([end] if reply.finish_reason == "stop" and end is not None else []))

    def _find_served(self) -> ServedModel:
        if self._served is None:
            self._served = find_model(self.client, self.model)
            for note in self._served.notes:
                logger.warning("server %s: %s", self.model, note)
        return self._served


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A prompt as it will be sent, how many tokens it has, and the text that its seeds come from."""

    dialect: Dialect
    text: str
    shown: Any
    num_tokens: int | None


def _text_of(prompt: Prompt) -> str:
    """A prompt as one text, for its seed and its length."""
    text = prompt if isinstance(prompt, str) else json.dumps(list(prompt), ensure_ascii=False, sort_keys=True)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise R1Error(f"prompts: {text[:40]!r} holds half a character (a lone surrogate); mend the text") from error
    return text


def _tokenizer_hash(tokenizer: Any) -> str:
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]), ensure_ascii=False)
    return hashlib.sha256((vocabulary + template_hash(tokenizer.chat_template or "")).encode()).hexdigest()


def _load_tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise R1Error(
            f"server_tokenizer: {name!r} cannot be loaded ({reason}); give the folder or Hub id of the model served"
        ) from error
