"""Where a checkpoint comes from, and the card that says so."""

from trl_r1.hub.lineage import Lineage, LineageEdge, LineageNode
from trl_r1.hub.model_card import create_model_card, create_model_cards


__all__ = ["Lineage", "LineageEdge", "LineageNode", "create_model_card", "create_model_cards"]
