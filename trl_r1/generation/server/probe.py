"""
A few cheap requests before the first sample: what does this server do with what it is sent?

Servers ignore fields without a word: `transformers serve` gives one choice where two are asked for, no
log-probabilities, and the most likely token at every temperature. Every conclusion here rests on texts that come out
differently by chance: drawn hot, from prompts that leave much open, and from more of them before a server is blamed.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trl_r1.errors import R1Error
from trl_r1.generation.server.client import Request, ServerClient
from trl_r1.generation.server.dialect import Dialect, Draw, Route
from trl_r1.generation.server.findings import Findings, LogProbs, Sampling, Seeds
from trl_r1.generation.server.outcomes import Failure
from trl_r1.generation.server.replies import Reply, check_lengths, read_reply


HOT: Final = (2.0, 1.0)  # temperatures: the first that the server takes
HOT_TOKENS: Final = 24
COLD_TOKENS: Final = 8
TRIES: Final = 2  # repetitions of a probe
MORE_DRAWS: Final = 12  # before a server is said to decode greedily
MORE_PAIRS: Final = 4  # before it is said to ignore seeds
CERTAIN: Final = math.log(0.98)  # every token above it: the policy is certain, whatever the temperature
NOISE: Final = 0.05  # nats by which one token's log-probability may differ between two requests
NOT_TAKEN: Final = frozenset({400, 404, 405, 415, 422, 500, 501})  # of a field or route the server does not know
OPTIONAL: Final = ("neutral", "token_ids", "logprobs", "seed")
OPEN_QUESTIONS: Final = (
    "Write forty words that have nothing to do with one another.",
    "Invent a town, its people and their strangest custom.",
    "Make up a long random number and a story about it.",
    "List things that could be found in an old attic.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One draw of the probe: which prompt, how, and what came."""

    prompt: int
    draw: Draw
    reply: Reply


class Probe:
    """
    Finds out what a server does on a route.

    Args:
        client ([`ServerClient`]):
            To ask with.
        model (`str`):
            Name of the model.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`], *optional*):
            Of the model served.
    """

    def __init__(self, client: ServerClient, model: str, tokenizer: Any = None) -> None:
        self.client = client
        self.model = model
        self.tokenizer = tokenizer
        self.notes: list[str] = []
        self._limit_field = "max_tokens"
        self._temperature = HOT[-1]

    def run(self, route: Route) -> Findings:
        """
        Probe a route.

        Args:
            route ([`Route`]):
                How prompts shall be sent. Tokens become text where the server takes none, if it counts the tokens of
                a prompt, which are then compared.

        Raises:
            [`R1Error`]: when the server does not answer.
        """
        self.notes = []
        dialect = self._find_dialect(self._find_route(route))
        cold = self._draw(dialect, [(0, self._cold(seed)) for seed in (1, 2)])
        sampling = self._fixed_or_followed(dialect, cold)
        self._note_choices(dialect)
        hot = self._hot(dialect)
        seeds = Seeds.REPEAT
        if sampling is Sampling.FOLLOWED:
            sampling, dialect, hot = self._greedy_or_followed(dialect, cold, hot)
            seeds = self._seeds(dialect, sampling, cold, hot)
        replies = [item.reply for item in (*cold, *hot)]
        findings = Findings(
            dialect=dialect,
            sampling=sampling,
            seeds=seeds,
            logprobs=_logprobs(cold, hot),
            token_ids=all(reply.token_ids is not None for reply in replies),
            usage=all(reply.usage_tokens is not None for reply in replies),
            notes=(),
        )
        return dataclasses.replace(findings, notes=(*self.notes, *_notes(findings)))

    def _find_route(self, route: Route) -> Route:
        outcome = self._bare(route)
        if not isinstance(outcome, Failure):
            return route
        if route is Route.TOKENS and outcome.status in NOT_TAKEN:
            text = self._bare(Route.TEXT)
            if not isinstance(text, Failure):
                if text.prompt_tokens is None:
                    raise R1Error(
                        f"server_tokenizer: the server takes no token ids ({outcome.reason}) and does not count the "
                        "tokens of a text, so what it reads cannot be checked; leave server_tokenizer out"
                    )
                self.notes.append("token ids are not taken: prompts go as text, and their tokens are counted")
                return Route.TEXT
            outcome = text
        raise R1Error(f"server_base_url: {route.path} of {self.model!r} gives no completion: {outcome.reason}")

    def _bare(self, route: Route) -> Reply | Failure:
        """A request with nothing that a server may not know."""
        plain: dict[str, Any] = dict.fromkeys(OPTIONAL, False)
        for field in ("max_tokens", "max_completion_tokens"):
            dialect = Dialect(route=route, limit_field=field, **plain)
            [outcome] = self._ask(dialect, [(0, self._cold(1))])
            if not isinstance(outcome, Failure) or "max_completion_tokens" not in outcome.reason:
                break
        self._limit_field = field
        return outcome

    def _find_dialect(self, route: Route) -> Dialect:
        """The most that can be asked for."""
        outcome: Reply | Failure | None = None
        for dialect in self._dialects(route):
            [outcome] = self._ask(dialect, [(0, self._cold(1))])
            if not isinstance(outcome, Failure):
                return dialect
            if outcome.status not in NOT_TAKEN:
                break
        assert isinstance(outcome, Failure)
        raise R1Error(f"server_base_url: {route.path} of {self.model!r} gives no completion: {outcome.reason}")

    def _dialects(self, route: Route) -> Iterator[Dialect]:
        for number in range(len(OPTIONAL) + 1):
            for without in itertools.combinations(OPTIONAL, number):
                missing: dict[str, Any] = dict.fromkeys(without, False)
                yield Dialect(route=route, limit_field=self._limit_field, **missing)

    def _fixed_or_followed(self, dialect: Dialect, cold: Sequence[Drawn]) -> Sampling:
        """Greedy decoding that comes out differently each time is none."""
        if _texts(cold[:1]) == _texts(cold[1:2]):
            return Sampling.FOLLOWED
        more = self._draw(dialect, [(0, self._cold(seed)) for seed in (3, 4)])
        texts = [item.reply.text for item in (*cold, *more)]
        return Sampling.FIXED if len(set(texts)) == len(texts) else Sampling.FOLLOWED

    def _greedy_or_followed(
        self, dialect: Dialect, cold: Sequence[Drawn], hot: list[Drawn]
    ) -> tuple[Sampling, Dialect, list[Drawn]]:
        if not any(item.reply.text for item in hot):
            self.notes.append("the probe's texts are empty: whether temperature and seeds are followed is not known")
            return Sampling.UNDECIDED, dialect, hot
        if _varies(hot):
            return Sampling.FOLLOWED, dialect, hot
        if not self._is_greedy(dialect, hot):
            return Sampling.FOLLOWED, dialect, hot  # every seed draws the same: not the temperature's fault
        hot = hot + self._draw(dialect, [(seed % 4, self._warm(seed)) for seed in range(20, 20 + MORE_DRAWS)])
        if _varies(hot):
            return Sampling.FOLLOWED, dialect, hot
        if _certain(hot):
            self.notes.append("the policy is certain of every token: whether temperature is followed is not known")
            return Sampling.UNDECIDED, dialect, hot
        switched_on = dataclasses.replace(dialect, do_sample=True)
        again = self._hot(switched_on, required=False)
        if _varies(again):
            self.notes.append("decodes greedily by itself: sampling is switched on with generation_config")
            return Sampling.FOLLOWED, switched_on, again
        return Sampling.GREEDY, dialect, hot

    def _is_greedy(self, dialect: Dialect, hot: Sequence[Drawn]) -> bool:
        """Whether draws at a high temperature are what greedy decoding gives."""
        greedy = [dataclasses.replace(item.draw, temperature=0.0) for item in hot]
        cold = self._draw(dialect, [(item.prompt, draw) for item, draw in zip(hot[:2], greedy[:2], strict=True)])
        return _texts(cold) == _texts(hot[:2])

    def _seeds(self, dialect: Dialect, sampling: Sampling, cold: Sequence[Drawn], hot: Sequence[Drawn]) -> Seeds:
        if sampling is not Sampling.FOLLOWED:
            return Seeds.REPEAT
        if not dialect.seed:
            return Seeds.IGNORED
        if not _varies(hot):
            return Seeds.CONSTANT
        repeated = _repeated(hot)
        if all(repeated):
            return Seeds.REPEAT
        pairs = [(seed % 4, self._warm(seed)) for seed in range(40, 40 + MORE_PAIRS)]
        repeated += _repeated(self._draw(dialect, [*pairs, *pairs]))
        if sum(repeated) * 2 < len(repeated):
            return Seeds.IGNORED
        self.notes.append(f"a seed repeats its text in {sum(repeated)} of {len(repeated)} tries")
        return Seeds.MOSTLY

    def _note_choices(self, dialect: Dialect) -> None:
        """Every request here asks for one choice; what more would give is told, as others may need it."""
        [outcome] = self._ask(dialect, [(0, self._warm(1, COLD_TOKENS))], extra={"n": 2}, choices=None)
        if isinstance(outcome, Failure):
            self.notes.append("n above 1 is refused: one request a sample")
        elif outcome.num_choices != 2:
            self.notes.append(f"n is ignored ({outcome.num_choices} choices where 2 were asked for)")

    def _hot(self, dialect: Dialect, required: bool = True) -> list[Drawn]:
        """Two prompts: on each a seed drawn twice, and another seed."""
        places = [(0, 11), (1, 12), (0, 11), (1, 12), (0, 13), (1, 14)]
        for temperature in HOT:
            self._temperature = temperature
            wanted = [(prompt, self._warm(seed)) for prompt, seed in places]
            outcomes = self._ask(dialect, wanted)
            failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
            if not failures:
                return _drawn(wanted, outcomes)
        return [] if not required else self._give_up(failures)

    def _give_up(self, failures: Sequence[Failure]) -> list[Drawn]:
        raise R1Error(f"server_base_url: {self.model!r} does not answer the probe: {failures[0].reason}")

    def _cold(self, seed: int) -> Draw:
        return Draw(temperature=0.0, top_p=1.0, max_tokens=COLD_TOKENS, seed=seed, logprobs=True)

    def _warm(self, seed: int, max_tokens: int = HOT_TOKENS) -> Draw:
        return Draw(temperature=self._temperature, top_p=1.0, max_tokens=max_tokens, seed=seed, logprobs=True)

    def _draw(self, dialect: Dialect, wanted: Sequence[tuple[int, Draw]]) -> list[Drawn]:
        outcomes = self._ask(dialect, wanted)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
        return self._give_up(failures) if failures else _drawn(wanted, outcomes)

    def _ask(
        self,
        dialect: Dialect,
        wanted: Sequence[tuple[int, Draw]],
        extra: dict[str, Any] | None = None,
        choices: int | None = 1,
    ) -> list[Reply | Failure]:
        requests = []
        for prompt, draw in wanted:
            shown, length = self._prompt(dialect.route, prompt)
            body = dialect.body(self.model, shown, draw) | (extra or {})

            def read(payload: Any, draw: Draw = draw, length: int | None = length) -> Reply:
                reply = read_reply(payload, choices_wanted=choices)
                check_lengths(reply, draw.max_tokens * (reply.num_choices if choices is None else 1), length)
                return reply

            requests.append(Request(path=dialect.route.path, body=body, read=read))
        return self.client.ask(requests, max_retries=TRIES, stop_when_refused=False)

    def _prompt(self, route: Route, number: int) -> tuple[Any, int | None]:
        """A prompt that leaves much open, and how many tokens it has, where that can be told."""
        question = OPEN_QUESTIONS[number]
        if route is Route.CHAT:
            return [{"role": "user", "content": question}], None
        if self.tokenizer is None:
            return question, None
        if route is Route.TEXT:
            return question, len(self.tokenizer(question)["input_ids"])
        special = set(self.tokenizer.all_special_ids)
        ids = [index for index in range(len(self.tokenizer)) if index not in special]
        chosen = random.Random(number).choices(ids, k=12)  # what comes after nonsense is anyone's guess
        return chosen, len(chosen)


def _drawn(wanted: Sequence[tuple[int, Draw]], outcomes: Sequence[Reply | Failure]) -> list[Drawn]:
    return [
        Drawn(prompt=prompt, draw=draw, reply=reply)
        for (prompt, draw), reply in zip(wanted, outcomes, strict=True)
        if isinstance(reply, Reply)
    ]


def _texts(drawn: Sequence[Drawn]) -> list[str]:
    """Texts, as far as both sides of a comparison were let write."""
    return [item.reply.text[:20] for item in drawn]


def _varies(drawn: Sequence[Drawn]) -> bool:
    """Whether two seeds of one prompt drew different texts."""
    return any(
        one.prompt == other.prompt and one.draw.seed != other.draw.seed and one.reply.text != other.reply.text
        for one, other in itertools.combinations(drawn, 2)
    )


def _repeated(drawn: Sequence[Drawn]) -> list[bool]:
    """For each seed drawn twice, whether the texts are equal."""
    return [
        one.reply.text == other.reply.text
        for one, other in itertools.combinations(drawn, 2)
        if (one.prompt, one.draw.seed) == (other.prompt, other.draw.seed)
    ]


def _certain(drawn: Sequence[Drawn]) -> bool:
    """Whether the policy's own log-probabilities say that chance had no part."""
    told = [item.reply.logprobs for item in drawn]
    return all(logprobs is not None and all(value > CERTAIN for value in logprobs) for logprobs in told)


def _logprobs(cold: Sequence[Drawn], hot: Sequence[Drawn]) -> LogProbs:
    """Of what they are: the first token's best is the same at every temperature if they are the policy's."""
    if any(item.reply.logprobs is None for item in (*cold, *hot)):
        return LogProbs.NONE
    best = {item.reply.first_best for item in cold if item.prompt == 0}
    hot_best = {item.reply.first_best for item in hot if item.prompt == 0}
    pairs = [(one, other) for one in best for other in hot_best if one is not None and other is not None]
    if any(abs(one - other) > NOISE for one, other in pairs):
        return LogProbs.SAMPLING
    return LogProbs.POLICY


def _notes(findings: Findings) -> Iterator[str]:
    if not findings.dialect.neutral:
        yield "top_k, min_p and penalties cannot be switched off by name: the server's defaults hold"
    if findings.logprobs is LogProbs.NONE:
        yield "no log-probabilities"
    if findings.logprobs is LogProbs.SAMPLING:
        yield "log-probabilities are those after temperature"
    if not findings.token_ids:
        yield "no token ids come back"
    if not findings.usage:
        yield "tokens are not counted (no usage)"
    if findings.seeds is Seeds.IGNORED:
        yield "seeds are ignored: a run will not repeat"
