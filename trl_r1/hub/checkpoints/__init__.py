"""Checkpoints that load everywhere: complete, with the paper's sampling, adapters merged and checked."""

from trl_r1.hub.checkpoints.adapters import loadable_checkpoint, merge_adapter
from trl_r1.hub.checkpoints.files import finish_checkpoint
from trl_r1.hub.checkpoints.gguf_ready import gguf_problems


__all__ = ["finish_checkpoint", "gguf_problems", "loadable_checkpoint", "merge_adapter"]
