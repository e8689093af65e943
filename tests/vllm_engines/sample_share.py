"""A process of a launcher: an engine of its own, and its share of a job. Arguments: checkpoint, job folder."""

import os
import sys
from dataclasses import replace

from test_vllm_engine import PROMPTS, SAMPLED

from trl_r1.generation import VLLMEngine
from trl_r1.generation.jobs import GenerationJob, rank_and_world


rank, world = rank_and_world()
engine = VLLMEngine.from_pretrained(sys.argv[1])
assert (rank, world) == rank_and_world() == (int(os.environ["LOCAL_RANK"]), 2)
job = GenerationJob(sys.argv[2], PROMPTS, replace(SAMPLED, batch_size=5), engine, rank=rank, world_size=world)
job.run()
