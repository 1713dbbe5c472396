"""What stands around a gateway under test: upstreams, a registry, raw clients."""
