"""The GRPO objective in float64, from the formulas: DeepSeek-R1 (arXiv 2501.12948) eq. 1-3 in the token form of
DeepSeekMath (2402.03300) eq. 3-4, DAPO (2503.14476) eq. 8, Dr. GRPO (2503.20783), GSPO (2507.18071) eq. 5-7.

One row and one token at a time, no padding, no shared sums: slow, and easy to check against the papers. `bnpo` is
DAPO's token mean over one micro-batch instead of the whole batch; the ratio on the KL term is DeepSeek-V3.2's unbiased
estimate (2512.02556).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One completion: token ids, and what the objective needs beside the policy. `old`, `reference`: (tokens,)."""

    prompt: list[int]
    completion: list[int]
    advantage: float
    old: torch.Tensor
    reference: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Which variant: names and meaning as in `GRPOConfig`."""

    loss_type: str
    importance_sampling_level: str = "token"
    epsilon: float = 0.2
    epsilon_high: float = 0.28
    beta: float = 0.0
    use_bias_correction_kl: bool = False
    temperature: float = 1.0
    max_completion_length: int = 8


def advantages(rewards: list[float], num_generations: int, scale_rewards: str) -> list[float]:
    """`(r - mean) / (std + 1e-4)` in each group, Bessel's std; or only `r - mean` when `scale_rewards` is `"none"`."""
    found = []
    for start in range(0, len(rewards), num_generations):
        group = rewards[start : start + num_generations]
        mean = math.fsum(group) / len(group)
        deviation = math.sqrt(math.fsum((reward - mean) ** 2 for reward in group) / (len(group) - 1))
        scale = deviation + 1e-4 if scale_rewards == "group" else 1.0
        found += [(reward - mean) / scale for reward in group]
    return found


def log_probabilities(model: torch.nn.Module, row: Row, temperature: float) -> torch.Tensor:
    """Log-probability of each completion token under the policy at `temperature`, shape (tokens,)."""
    ids = torch.tensor([row.prompt + row.completion])
    logits = model(input_ids=ids).logits[0].double() / temperature
    start = len(row.prompt)
    return torch.stack(
        [
            logits[start + position - 1, token] - torch.logsumexp(logits[start + position - 1], dim=0)
            for position, token in enumerate(row.completion)
        ]
    )


def token_terms(policy: torch.Tensor, row: Row, spec: Objective) -> list[torch.Tensor]:
    """What is maximised, for each token: the clipped surrogate less `beta` times the KL estimate."""
    log_ratios = [policy[t] - row.old[t] for t in range(len(row.completion))]
    if spec.importance_sampling_level == "sequence":
        log_ratios = [sum(log_ratios) / len(log_ratios)] * len(log_ratios)
    terms = []
    for t, log_ratio in enumerate(log_ratios):
        ratio = torch.exp(log_ratio)
        clipped = torch.clamp(ratio, 1 - spec.epsilon, 1 + spec.epsilon_high)
        term = torch.minimum(ratio * row.advantage, clipped * row.advantage)
        if spec.beta:
            away = row.reference[t] - policy[t]
            kl = torch.exp(away) - away - 1
            term = term - spec.beta * (ratio * kl if spec.use_bias_correction_kl else kl)
        terms.append(term)
    return terms


def loss(model: torch.nn.Module, rows: list[Row], spec: Objective) -> torch.Tensor:
    """The loss of a batch: minus the objective."""
    terms = [token_terms(log_probabilities(model, row, spec.temperature), row, spec) for row in rows]
    if spec.loss_type == "grpo":
        return -sum(sum(row) / len(row) for row in terms) / len(terms)
    total = sum(sum(row) for row in terms)
    if spec.loss_type == "dr_grpo":
        return -total / (len(terms) * spec.max_completion_length)
    return -total / sum(len(row) for row in terms)  # dapo, bnpo


def clipped_share(model: torch.nn.Module, rows: list[Row], spec: Objective) -> float:
    """Share of tokens where the clip decides, so that a test can see that it does."""
    decided = []
    for row in rows:
        policy = log_probabilities(model, row, spec.temperature).detach()
        log_ratios = policy - row.old
        if spec.importance_sampling_level == "sequence":
            log_ratios = log_ratios.mean().expand_as(log_ratios)
        for ratio in torch.exp(log_ratios).tolist():
            bound = ratio > 1 + spec.epsilon_high if row.advantage > 0 else ratio < 1 - spec.epsilon
            decided.append(bound)
    return sum(decided) / len(decided)
