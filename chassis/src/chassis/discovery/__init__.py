"""Discovery: this instance in the registry while it is ready, and the instances of the others."""

from .instances import Instance
from .registration import Registration
from .registry import NoInstance, Registry, resolve
from .servers import internal_client

__all__ = ["Instance", "NoInstance", "Registration", "Registry", "internal_client", "resolve"]
