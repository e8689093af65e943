"""Where a checkpoint comes from, and the card that says so."""

from trl_r1.hub.dataset_card import create_dataset_card, create_dataset_cards
from trl_r1.hub.lineage import Lineage, LineageEdge, LineageNode, write_lineage
from trl_r1.hub.model_card import create_model_card, create_model_cards
from trl_r1.hub.publishing import (
    HubTarget,
    PublishedFile,
    PublishResult,
    check_target,
    plan_files,
    publish,
    publish_or_explain,
)


__all__ = [
    "HubTarget",
    "Lineage",
    "LineageEdge",
    "LineageNode",
    "PublishResult",
    "PublishedFile",
    "check_target",
    "create_dataset_card",
    "create_dataset_cards",
    "create_model_card",
    "create_model_cards",
    "plan_files",
    "publish",
    "publish_or_explain",
    "write_lineage",
]
