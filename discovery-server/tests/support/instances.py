"""Instances to register: as objects, and as the JSON that a client sends."""

from typing import Any

from discovery_server.registry.instance import Instance, LeaseInfo, Port


def an_instance(app: str = "ORDERS", key: str = "o1", *, duration: int = 15, **fields: Any) -> Instance:
    """An instance that renews three times in a lease, as every client we know does."""
    usual = {
        "app": app,
        "instance_id": key,
        "host_name": "h.test",
        "ip_address": "127.0.0.1",
        "port": Port(8080, True),
        "lease": LeaseInfo(renewal_interval_seconds=max(1, duration // 3), duration_seconds=duration),
        "vip_address": app.lower(),
        "last_dirty_ms": 1000,
    }
    return Instance(**{**usual, **fields})


def a_registration(app: str = "ORDERS", key: str = "o1", *, duration: int = 15, **fields: Any) -> dict[str, Any]:
    """The body of a registration; `fields` are added to it or take something's place."""
    return {
        "instance": {
            "instanceId": key,
            "hostName": "h.test",
            "app": app,
            "ipAddr": "127.0.0.1",
            "status": "UP",
            "port": {"$": 8080, "@enabled": "true"},
            "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
            "leaseInfo": {"renewalIntervalInSecs": max(1, duration // 3), "durationInSecs": duration},
            "vipAddress": "orders",
            "lastDirtyTimestamp": "1000",
            **fields,
        }
    }
