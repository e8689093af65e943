"""Generation that loses nothing: every batch is kept when it is done, and a killed job goes on from there."""

from trl_r1.generation.jobs.job import GenerationJob
from trl_r1.generation.jobs.shares import rank_and_world
from trl_r1.generation.jobs.steps import BatchStep


__all__ = ["BatchStep", "GenerationJob", "rank_and_world"]
