"""Where a checkpoint comes from, the card that says so, and its way to the Hub."""

from trl_r1.hub.cards import create_dataset_card, create_dataset_cards, create_model_card, create_model_cards
from trl_r1.hub.checkpoints import finish_checkpoint, gguf_problems, loadable_checkpoint, merge_adapter
from trl_r1.hub.collection import CollectionResult, publish_pipeline
from trl_r1.hub.lineage import Lineage, LineageEdge, LineageNode, write_lineage
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
    "CollectionResult",
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
    "finish_checkpoint",
    "gguf_problems",
    "loadable_checkpoint",
    "merge_adapter",
    "plan_files",
    "publish",
    "publish_or_explain",
    "publish_pipeline",
    "write_lineage",
]
