"""The way of the events, from the outbox through Kafka to the readers: does every fact arrive?"""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from panels import board, graph, log_lines
from promql import CHOSEN, increase, or_zero, quantile, rate

_DATABASES = 'datname=~".+_service"'


def event_pipeline() -> Dashboard:
    return board(
        "event-pipeline",
        "Event pipeline",
        "From the outbox through Kafka to the readers: does every fact arrive?",
        {
            "Told: the outbox and its relay": [
                graph(
                    "Waiting to be sent",
                    "Events that were decided and not yet told. It rises while Kafka is away and falls to zero after.",
                    (f"max by (job) (outbox_pending_events{{{CHOSEN}}})", "{{job}}"),
                    unit="short",
                ),
                graph(
                    "Oldest of them",
                    "Over a minute is an alert.",
                    (f"max by (job) (outbox_oldest_pending_seconds{{{CHOSEN}}})", "{{job}}"),
                    unit="s",
                    limits=[(5, "orange"), (60, "red")],
                ),
                graph(
                    "Sent",
                    "Events a second that the broker has acknowledged, by type.",
                    (rate("outbox_published_total", "type", where=CHOSEN), "{{type}}"),
                    unit="short",
                    stacked=True,
                ),
            ],
            "Heard: the readers": [
                graph(
                    "Handled, by service",
                    "Events a second, whatever became of them.",
                    (rate("events_handled_total", "job", where=CHOSEN), "{{job}}"),
                    unit="short",
                ),
                graph(
                    "What became of them",
                    "duplicate: heard before, skipped. problem: answered with a no. dead_letter: set aside.",
                    (rate("events_handled_total", "outcome", where=CHOSEN), "{{outcome}}"),
                    unit="short",
                ),
                graph(
                    "Dead letters, by type",
                    "In the last 15 minutes: `fleet dead-letters` shows them.",
                    (
                        or_zero(
                            increase(
                                "events_handled_total",
                                "job",
                                "type",
                                where=f'{CHOSEN}, outcome="dead_letter"',
                                window="15m",
                            )
                        ),
                        "{{job}} {{type}}",
                    ),
                    unit="short",
                ),
                graph(
                    "From happened to handled, 95th percentile",
                    "From the event's own time, so outbox, broker and queue are in it.",
                    (quantile(0.95, "event_delay_seconds", "job", where=CHOSEN), "{{job}}"),
                    unit="s",
                    exemplars=True,
                    limits=[(1, "orange"), (10, "red")],
                ),
                graph(
                    "Time for a batch, 95th percentile",
                    "One transaction: inbox, aggregates, handlers, outbox, commit.",
                    (quantile(0.95, "event_batch_seconds", "job", where=CHOSEN), "{{job}}"),
                    unit="s",
                ),
                graph(
                    "Parked keys",
                    "Keys (orders, mostly) whose next event failed and is tried again; their later events wait.",
                    (f"max by (job) (reader_parked_keys{{{CHOSEN}}})", "{{job}}"),
                    unit="short",
                ),
            ],
            "Kafka and PostgreSQL": [
                graph(
                    "Lag by reader and topic",
                    "Records in Kafka that a consumer group has not yet committed.",
                    ("sum by (consumergroup, topic) (kafka_consumergroup_lag)", "{{consumergroup}} on {{topic}}"),
                    unit="short",
                ),
                graph(
                    "Written by topic",
                    "Records a second; a topic that ends in -dlt holds dead letters.",
                    (rate("kafka_topic_partition_current_offset", "topic"), "{{topic}}"),
                    unit="short",
                ),
                graph(
                    "Transactions by database",
                    "Commits a second, and rollbacks.",
                    (rate("pg_stat_database_xact_commit", "datname", where=_DATABASES), "{{datname}}"),
                    (rate("pg_stat_database_xact_rollback", "datname", where=_DATABASES), "{{datname}} rolled back"),
                    unit="short",
                ),
                graph(
                    "Background tasks that died",
                    "In five minutes, by service and task; more than three is an alert.",
                    (
                        or_zero(increase("task_restarts_total", "job", "task", where=CHOSEN, window="5m")),
                        "{{job}} {{task}}",
                    ),
                    unit="short",
                    width=12,
                ),
                graph(
                    "Connections by database",
                    "PostgreSQL takes 100 in all, as it comes.",
                    (f"sum by (datname) (pg_stat_database_numbackends{{{_DATABASES}}})", "{{datname}}"),
                    unit="short",
                    width=12,
                    stacked=True,
                ),
                log_lines(
                    "What readers and relays complain about",
                    r'{service=~"$service", logger=~"chassis\\..+", severity=~"warning|error|critical"}',
                ),
            ],
        },
    )
