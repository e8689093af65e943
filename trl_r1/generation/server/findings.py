"""What the probe found out about a server, and what follows from it for a job."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from trl_r1.errors import R1Error
from trl_r1.generation.server.dialect import Dialect, Route
from trl_r1.generation.types import SamplingParameters


class Sampling(enum.StrEnum):
    """What temperature does."""

    FOLLOWED = "followed"
    GREEDY = "greedy"  # the most likely token at any temperature
    FIXED = "fixed"  # a temperature of the server's own: 0 samples as well
    UNDECIDED = "undecided"  # the policy is all but certain of every token of the probe


class Seeds(enum.StrEnum):
    """What a seed does."""

    REPEAT = "repeat"  # same seed, same text
    MOSTLY = "mostly"  # now and then another text: sums in another order, or several machines
    IGNORED = "ignored"  # same seed, other text
    CONSTANT = "constant"  # every seed draws the same text


class LogProbs(enum.StrEnum):
    """What log-probabilities are of."""

    POLICY = "policy"  # before the temperature
    SAMPLING = "sampling"  # after it
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """
    What a server does with what it is sent, on one route.

    Args:
        dialect ([`Dialect`]):
            How to ask.
        sampling ([`Sampling`]), seeds ([`Seeds`]), logprobs ([`LogProbs`]):
            As found.
        token_ids, usage (`bool`):
            Whether the server gives generated tokens, and counts.
        notes (`tuple[str, ...]`):
            What was worked round or stays unknown, a line each.
    """

    dialect: Dialect
    sampling: Sampling
    seeds: Seeds
    logprobs: LogProbs
    token_ids: bool
    usage: bool
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What of it decides the text."""
        return {
            "prompts_sent_as": str(self.dialect.route),
            "tokens": "as returned" if self.token_ids else "encoded from the text",
            "defaults_switched_off": self.dialect.neutral,
            "sampling_switched_on": self.dialect.do_sample,
        }

    def require(self, params: SamplingParameters, allow_unseeded: bool) -> None:
        """
        Refuse a job whose result would not be what was asked for.

        Args:
            params ([`SamplingParameters`]):
                How the job samples.
            allow_unseeded (`bool`):
                Whether results need not repeat.

        Raises:
            [`R1Error`]: naming what the server ignores, and what may be done.
        """
        problems = [*self._sampling_problems(params, allow_unseeded), *self._logprob_problems(params)]
        if problems:
            raise R1Error("\n".join(f"server_base_url: {problem}" for problem in problems))

    def _sampling_problems(self, params: SamplingParameters, allow_unseeded: bool) -> list[str]:
        if self.sampling is Sampling.FIXED:
            return [
                f"the server ignores temperature (0 samples too), so {params.temperature:g} would have no effect; "
                "use another server, or start it without a fixed temperature"
            ]
        if params.greedy:
            return []
        if self.sampling is Sampling.GREEDY:
            return [
                f"the server decodes greedily at temperature {params.temperature:g}; set do_sample in the model's "
                "generation_config.json and start it again"
            ]
        if self.seeds is Seeds.CONSTANT:
            return ["the server draws the same text from every seed; all samples of a prompt would be one"]
        if self.seeds is Seeds.IGNORED and not allow_unseeded:
            return [
                "the server ignores seeds, so that a run would not repeat; try server_max_concurrency: 1 (some draw "
                "all requests from one generator), set server_allow_unseeded: true, or use another server"
            ]
        return []

    def _logprob_problems(self, params: SamplingParameters) -> list[str]:
        if not params.logprobs:
            return []
        if self.logprobs is LogProbs.NONE:
            return ["logprobs: the server gives none on this route; set logprobs false, or use another server"]
        if self.logprobs is LogProbs.SAMPLING and (params.temperature not in (0, 1) or params.top_p != 1):
            return [
                "logprobs: the server gives those after temperature, not the policy's; use temperature 1 and top_p 1, "
                "or vLLM with --logprobs-mode raw_logprobs"
            ]
        if not self.token_ids and self.dialect.route is not Route.CHAT:
            return ["logprobs: the server gives no token ids to go with them; use a server that does, such as vLLM"]
        return []
