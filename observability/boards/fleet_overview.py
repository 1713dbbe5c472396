"""The whole fleet on one page: is the shop open, and where does it hurt?"""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from panels import board, columns, graph, log_lines, number
from promql import (
    CHOSEN,
    FLEET,
    failed,
    increase,
    mean,
    or_zero,
    per_minute,
    quantile,
    rate,
    share_above,
    share_failed,
)

_ROUTE = ("job", "method", "handler")


def fleet_overview() -> Dashboard:
    return board(
        "fleet-overview",
        "Fleet overview",
        "Is the shop open, and where does it hurt?",
        {
            "Now": [
                number(
                    "Services up",
                    "Of seven: config-server, discovery-server, gateway, auth, order, inventory, payment.",
                    or_zero(f"count(max by (job) (up{{{FLEET}}}) == 1)"),
                    base="red",
                    limits=[(7, "green")],
                ),
                number(
                    "Alerts firing",
                    "Each has a runbook in docs/runbooks.",
                    or_zero('count(ALERTS{alertstate="firing"})'),
                    limits=[(1, "red")],
                ),
                number(
                    "Requests a second",
                    "What clients ask of the gateway.",
                    or_zero(rate("gateway_requests_total")),
                    unit="reqps",
                    decimals=1,
                ),
                number(
                    "Failed requests",
                    "Share of 5xx answers at the gateway in 5 minutes; the budget is 0.1 %.",
                    or_zero("gateway:request_errors:ratio_rate5m >= 0"),  # nobody asks: 0/0, which is not >= 0
                    unit="percentunit",
                    decimals=2,
                    limits=[(0.001, "orange"), (0.0144, "red")],
                ),
                number(
                    "Orders a minute",
                    "Orders placed.",
                    or_zero(per_minute("orders_placed_total")),
                    decimals=1,
                ),
                number(
                    "Confirmed",
                    "Of the orders that ended in the time shown, the share that was confirmed.",
                    increase("orders_finished_total", where='status="CONFIRMED"')
                    + " / "
                    + increase("orders_finished_total"),
                    unit="percentunit",
                    decimals=1,
                    base="blue",
                ),
                number(
                    "Oldest unsent event",
                    "How long the oldest event has been waiting in an outbox; over a minute is an alert.",
                    or_zero("max(outbox_oldest_pending_seconds)"),
                    unit="s",
                    decimals=1,
                    limits=[(5, "orange"), (60, "red")],
                ),
                number(
                    "Dead letters",
                    "Events set aside in the time shown: `fleet dead-letters` shows and redrives them.",
                    or_zero(increase("events_handled_total", where='outcome="dead_letter"')),
                    limits=[(0.5, "red")],
                    decimals=0,
                ),
            ],
            "Requests: rate, errors, duration": [
                graph(
                    "Requests by service",
                    "What reaches each service, /actuator not counted.",
                    (rate("http_requests_total", "job", where=CHOSEN), "{{job}}"),
                    unit="reqps",
                ),
                graph(
                    "5xx by service",
                    "Zero is drawn where a service has requests and no error.",
                    (failed("http_requests_total", "job", where=CHOSEN), "{{job}}"),
                    unit="reqps",
                ),
                graph(
                    "Duration by service, 95th percentile",
                    "One request in twenty takes longer than this.",
                    (quantile(0.95, "http_request_duration_highr_seconds", "job", where=CHOSEN), "{{job}}"),
                    unit="s",
                ),
                columns(
                    "Routes",
                    "The last five minutes of each route. Slow is over half a second.",
                    ("Requests a second", "reqps", rate("http_requests_total", *_ROUTE, where=CHOSEN, window="5m")),
                    ("Failed", "percentunit", share_failed("http_requests_total", *_ROUTE, where=CHOSEN, window="5m")),
                    ("Mean", "s", mean("http_request_duration_seconds", *_ROUTE, where=CHOSEN, window="5m")),
                    (
                        "Slow",
                        "percentunit",
                        share_above("0.5", "http_request_duration_seconds", *_ROUTE, where=CHOSEN, window="5m"),
                    ),
                    labels={"job": "Service", "method": "Method", "handler": "Route"},
                ),
            ],
            "Orders": [
                graph(
                    "Placed and finished",
                    "A minute. What is placed is confirmed or cancelled soon after: the two move together.",
                    (per_minute("orders_placed_total"), "placed"),
                    (per_minute("orders_finished_total", "status"), "{{status}}"),
                    unit="short",
                ),
                graph(
                    "Cancelled, by reason",
                    "A minute. timed-out means that some service did not answer in time.",
                    (per_minute("orders_finished_total", "reason", where='status="CANCELLED"'), "{{reason}}"),
                    unit="short",
                    stacked=True,
                ),
                graph(
                    "From placed to finished",
                    "Through Kafka, inventory, payment, and back.",
                    (quantile(0.5, "order_completion_seconds"), "half"),
                    (quantile(0.95, "order_completion_seconds"), "19 of 20"),
                    (quantile(0.99, "order_completion_seconds"), "99 of 100"),
                    unit="s",
                    exemplars=True,
                ),
                graph(
                    "Stock reservations",
                    "A minute, by outcome.",
                    (per_minute("stock_reservations_total", "outcome"), "{{outcome}}"),
                    unit="short",
                ),
                graph(
                    "Payments",
                    "A minute, by what became of them.",
                    (per_minute("payments_total", "status"), "{{status}}"),
                    unit="short",
                ),
                graph(
                    "Payment provider, 95th percentile",
                    "Time of a call, by what it was and how it went.",
                    (quantile(0.95, "provider_call_seconds", "call", "outcome"), "{{call}} {{outcome}}"),
                    unit="s",
                ),
                graph(
                    "Stock released",
                    "A minute: reservations given back, by why.",
                    (per_minute("stock_releases_total", "reason"), "{{reason}}"),
                    unit="short",
                ),
                graph(
                    "Logins",
                    "A minute, by outcome. Many failures from nowhere: somebody is trying passwords.",
                    (per_minute("logins_total", "outcome"), "{{outcome}}"),
                    unit="short",
                ),
            ],
            "Underneath": [
                graph(
                    "Instances",
                    "That answer, by service.",
                    (f"sum by (job) (up{{{FLEET}}})", "{{job}}"),
                    unit="short",
                ),
                graph(
                    "CPU",
                    "Cores used by each service, all its instances together.",
                    (rate("process_cpu_seconds_total", "job", where=CHOSEN), "{{job}}"),
                    unit="short",
                ),
                graph(
                    "Memory",
                    "Resident, by service.",
                    (f"sum by (job) (process_resident_memory_bytes{{{CHOSEN}}})", "{{job}}"),
                    unit="bytes",
                    stacked=True,
                ),
                log_lines("Warnings and errors", '{service=~"$service", severity=~"warning|error|critical"}'),
            ],
        },
    )
