"""The ancestry of a checkpoint, read from records and held against the files they speak of."""

from trl_r1.hub.lineage.graph import Lineage, write_lineage
from trl_r1.hub.lineage.nodes import LineageEdge, LineageNode


__all__ = ["Lineage", "LineageEdge", "LineageNode", "write_lineage"]
