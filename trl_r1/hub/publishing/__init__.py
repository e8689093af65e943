"""From a finished folder to the Hub: what is sent, whether it may be, and whether it arrived."""

from trl_r1.hub.publishing.target import HubTarget, PublishedFile, PublishResult


__all__ = ["HubTarget", "PublishResult", "PublishedFile"]
