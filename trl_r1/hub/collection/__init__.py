"""A whole pipeline on the Hub: every checkpoint, every data set and the report, in one collection."""

from trl_r1.hub.collection.publish import publish_pipeline
from trl_r1.hub.collection.result import CollectionResult


__all__ = ["CollectionResult", "publish_pipeline"]
