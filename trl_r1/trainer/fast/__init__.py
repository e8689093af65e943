"""`fast: true`: the same step in less time. `step.py` says where each speed-up acts, `gates.py` when it may not.

`micro_batches` deals rows out anew, `packed_forward` and `padded_forward` compute log-probabilities without waste, and
`window_metrics` keeps the log what it was. Generation's part is `trl_r1.generation.compaction`.
"""

from trl_r1.trainer.fast.step import FastStep


__all__ = ["FastStep"]
