"""Where a checkpoint comes from, and the card that says so."""

from trl_r1.hub.adapters import loadable_checkpoint, merge_adapter
from trl_r1.hub.checkpoint_files import finish_checkpoint
from trl_r1.hub.collection import publish_pipeline
from trl_r1.hub.collection_result import CollectionResult
from trl_r1.hub.dataset_card import create_dataset_card, create_dataset_cards
from trl_r1.hub.gguf_ready import gguf_problems
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
