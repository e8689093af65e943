"""Generation by an OpenAI-compatible server."""

from trl_r1.generation.server.client import ServerClient, ServerSettings
from trl_r1.generation.server.engine import ServerEngine
from trl_r1.generation.server.outcomes import Failure


__all__ = ["Failure", "ServerClient", "ServerEngine", "ServerSettings"]
