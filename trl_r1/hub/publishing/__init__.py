"""From a finished folder to the Hub: what is sent, whether it may be, and whether it arrived."""

from trl_r1.hub.publishing.access import check_target
from trl_r1.hub.publishing.files import plan_files
from trl_r1.hub.publishing.publish import publish, publish_command, publish_or_explain
from trl_r1.hub.publishing.published import read_published
from trl_r1.hub.publishing.target import HubTarget, PublishedFile, PublishResult


__all__ = [
    "HubTarget",
    "PublishResult",
    "PublishedFile",
    "check_target",
    "plan_files",
    "publish",
    "publish_command",
    "publish_or_explain",
    "read_published",
]
