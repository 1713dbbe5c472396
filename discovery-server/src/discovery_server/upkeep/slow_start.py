"""A hint in an instance's metadata: callers should begin gently with it. The gateway does."""

from dataclasses import replace

from discovery_server.registry.instance import Instance

METADATA_KEY = "slow-start-seconds"


def with_hint(instance: Instance, seconds: int) -> Instance:
    """The instance with that hint, unless it brings its own; 0 seconds: as it is."""
    if seconds == 0 or METADATA_KEY in instance.metadata:
        return instance
    return replace(instance, metadata={**instance.metadata, METADATA_KEY: str(seconds)})
