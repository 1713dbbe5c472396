"""The gateway: what clients see at the only door, and what stands behind it."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from panels import board, graph, heat, log_lines, number
from promql import failed, or_zero, quantile, rate

_RATIO = "gateway:request_errors:ratio_rate"
_BUDGET = "0.001"  # as in prometheus/rules/gateway.yml
_DURATION = "gateway_request_duration_seconds"


def gateway() -> Dashboard:
    return board(
        "gateway",
        "Gateway",
        "What clients see at the only door, and what stands behind it.",
        {
            "The promise: 999 of 1000 requests in 30 days are answered without a 5xx": [
                number(
                    "Budget left",
                    "Of the errors that the last 3 days may have; below zero, the promise is broken at this pace.",
                    "1 - (" + or_zero(f"{_RATIO}3d >= 0") + f") / {_BUDGET}",
                    unit="percentunit",
                    base="red",
                    limits=[(0, "orange"), (0.5, "green")],
                    decimals=0,
                    width=4,
                ),
                number(
                    "Failed, 5 minutes",
                    "Share of 5xx answers.",
                    or_zero(f"{_RATIO}5m >= 0"),  # nobody asks: 0/0, which is not >= 0
                    unit="percentunit",
                    limits=[(0.001, "orange"), (0.0144, "red")],
                    decimals=2,
                    width=4,
                ),
                graph(
                    "Burn rate",
                    "1 uses the budget up in exactly 30 days. 14.4 over an hour and 6 over six hours page.",
                    *((f"{_RATIO}{window} / {_BUDGET}", window) for window in ("5m", "1h", "6h", "1d", "3d")),
                    unit="short",
                    width=16,
                    height=4,
                    limits=[(6, "orange"), (14.4, "red")],
                ),
            ],
            "Requests": [
                graph(
                    "By route",
                    "Requests a second.",
                    (rate("gateway_requests_total", "route"), "{{route}}"),
                    unit="reqps",
                    stacked=True,
                ),
                graph(
                    "By status",
                    "429: a caller over its limit. 502, 503, 504: the gateway's own answers for a service that failed.",
                    (rate("gateway_requests_total", "status"), "{{status}}"),
                    unit="reqps",
                    stacked=True,
                ),
                graph(
                    "5xx by route",
                    "Zero is drawn for a route with requests and no error.",
                    (failed("gateway_requests_total", "route"), "{{route}}"),
                    unit="reqps",
                ),
                graph(
                    "Duration",
                    "Of all requests, as the gateway sees it: its own work and the service's.",
                    (quantile(0.5, _DURATION), "half"),
                    (quantile(0.95, _DURATION), "19 of 20"),
                    (quantile(0.99, _DURATION), "99 of 100"),
                    unit="s",
                    exemplars=True,
                ),
                graph(
                    "Duration by route, 95th percentile",
                    "One request in twenty takes longer than this.",
                    (quantile(0.95, _DURATION, "route"), "{{route}}"),
                    unit="s",
                ),
                heat("Durations", "How many requests took how long.", rate(f"{_DURATION}_bucket", "le"), unit="s"),
            ],
            "Behind the door": [
                graph(
                    "Instances the gateway knows",
                    "By service, the least of all gateways: one that knows fewer reads an old registry.",
                    ("min by (service) (gateway_instances)", "{{service}}"),
                    unit="short",
                ),
                graph(
                    "Calls that failed",
                    "By service and reason, also those that a second try saved.",
                    (
                        or_zero(rate("gateway_upstream_failures_total", "service", "reason")),
                        "{{service}} {{reason}}",
                    ),
                    (rate("gateway_retries_total", "service"), "{{service}} tried again"),
                    unit="reqps",
                ),
                graph(
                    "Open breakers",
                    "Instances that get no requests for a while, as they kept failing.",
                    ("max by (upstream) (gateway_breaker_open)", "{{upstream}}"),
                    unit="short",
                ),
                graph(
                    "Age of the registry",
                    "Since discovery was last read; with discovery away the last answer stays in use.",
                    ('max by (instance) (discovery_registry_age_seconds{job="gateway"})', "{{instance}}"),
                    unit="s",
                ),
                graph(
                    "Registered instances",
                    "As discovery has them, by status.",
                    ("sum by (app, status) (discovery_instances)", "{{app}} {{status}}"),
                    unit="short",
                ),
                graph(
                    "CPU",
                    "Cores used by each gateway.",
                    (rate("process_cpu_seconds_total", "instance", where='job="gateway"'), "{{instance}}"),
                    unit="short",
                ),
                log_lines("The gateway's log", '{service="gateway", severity=~"warning|error|critical"}'),
            ],
        },
    )
