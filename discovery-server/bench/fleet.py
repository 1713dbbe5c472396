"""Who is registered: 10,000 instances in 200 applications, each as Spring's client would describe itself."""

import base64
import json
from collections.abc import Mapping

from chassis.testing.bench.load import request

APPLICATIONS, INSTANCES = 200, 10_000
NAMES = tuple(f"APP-{number:03d}" for number in range(APPLICATIONS))
GUEST = "GUEST"  # whose instances come and go
_DIRTY_MS = 1_700_000_000_000
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}

# What our server is told, and the clients know; Spring's asks for none.
PASSWORDS = {name: f"measured-{name.lower()}" for name in (*NAMES, GUEST)}


def credential(app: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{app}:{PASSWORDS[app]}'.encode()).decode()}"}


def instance_id(number: int) -> str:
    return f"{_address(number)}:{NAMES[number % APPLICATIONS].lower()}:8080"


def registration(number: int, headers: Mapping[str, str]) -> bytes:
    """Leases last for an hour: nobody renews them while something else is measured."""
    return register(NAMES[number % APPLICATIONS], instance_id(number), _address(number), headers)


def renewal(number: int, headers: Mapping[str, str]) -> bytes:
    app = NAMES[number % APPLICATIONS]
    path = f"/eureka/apps/{app}/{instance_id(number)}?status=UP&lastDirtyTimestamp={_DIRTY_MS}"
    return request(path, {**_JSON, **headers}, method="PUT")


def override(number: int, status: str, headers: Mapping[str, str]) -> bytes:
    path = f"/eureka/apps/{NAMES[number % APPLICATIONS]}/{instance_id(number)}/status?value={status}"
    return request(path, {**_JSON, **headers}, method="PUT")


def register(
    app: str, key: str, address: str, headers: Mapping[str, str], *, interval: int = 1200, duration: int = 3600
) -> bytes:
    """The request that registers an instance, `duration` seconds of lease renewed after each `interval`."""
    body = {
        "instanceId": key,
        "hostName": address,
        "app": app,
        "ipAddr": address,
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"},
        "countryId": 1,
        "dataCenterInfo": {
            "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
            "name": "MyOwn",
        },
        "leaseInfo": {"renewalIntervalInSecs": interval, "durationInSecs": duration},
        "metadata": {"management.port": "8080", "zone": "zone-1", "version": "1.4.2", "jmx.port": "9010"},
        "homePageUrl": f"http://{address}:8080/",
        "statusPageUrl": f"http://{address}:8080/actuator/info",
        "healthCheckUrl": f"http://{address}:8080/actuator/health",
        "vipAddress": app.lower(),
        "secureVipAddress": app.lower(),
        "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": str(_DIRTY_MS),
        "lastDirtyTimestamp": str(_DIRTY_MS),
    }
    sent = json.dumps({"instance": body}).encode()
    return request(f"/eureka/apps/{app}", {**_JSON, **headers}, method="POST", body=sent)


def _address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
