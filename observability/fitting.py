"""What does not fit together: panels, metrics, alerts, runbooks and the tests of alerts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

# What stands in an expression and is not a metric.
_KEYWORDS = frozenset({"and", "or", "unless", "offset", "bool", "inf", "nan", "by", "without"})
_NOT_METRICS = (
    r'"(?:\\.|[^"\\])*"',  # strings, first: the rest may stand in them
    r"\{[^}]*\}",  # label matchers
    r"\[[^\]]*\]",  # ranges
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",  # lists of labels
)
_NAME = re.compile(r"(?<![\w:])[a-zA-Z_:][\w:]*(?!\w|\s*\()")


def what_does_not_fit(folder: Path, dashboards: dict[str, dict[str, Any]]) -> list[str]:
    """A sentence for each fault; `folder` is observability/."""
    rules = [rule for path in sorted(folder.glob("prometheus/rules/*.yml")) for rule in _rules(path)]
    ours, from_others = documented_metrics(folder / "metrics.md")
    recorded = {rule["record"] for rule in rules if "record" in rule}
    return [
        *_panel_faults(dashboards),
        *_metric_faults(dashboards, rules, series_of(ours | from_others) | recorded),
        *_code_faults(ours, declared_metrics(folder.parent)),
        *_alert_faults(folder, [rule for rule in rules if "alert" in rule]),
    ]


def documented_metrics(page: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Name and kind of each metric in metrics.md: our own, and those of others."""
    ours, from_others = page.read_text().split("\n## From others\n")
    row = re.compile(r"^\| `([\w:]+)[^`]*` \| (\w+)", re.MULTILINE)
    return dict(row.findall(ours)), dict(row.findall(from_others))


def declared_metrics(root: Path) -> dict[str, str]:
    """Name and kind of each metric that the code of the fleet makes, named as Prometheus shows it."""
    declaration = re.compile(r"\b(Counter|Gauge|Histogram)\(\s*\"(\w+)\"")
    return {
        f"{name}_total" if kind == "Counter" else name: kind.lower()
        for path in root.glob("*/src/**/*.py")
        for kind, name in declaration.findall(path.read_text())
    }


def series_of(metrics: dict[str, str]) -> set[str]:
    """The names that an expression can ask for: a histogram stands for three."""
    names = set()
    for name, kind in metrics.items():
        names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return names


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics in a PromQL expression."""
    for pattern in _NOT_METRICS:
        expression = re.sub(pattern, " ", expression)
    return set(_NAME.findall(expression)) - _KEYWORDS


def _panel_faults(dashboards: dict[str, dict[str, Any]]) -> Iterator[str]:
    if len({document["uid"] for document in dashboards.values()}) < len(dashboards):
        yield "Two dashboards have the same uid."
    for name, document in dashboards.items():
        numbers = [panel["id"] for panel in document["panels"]]
        if len(set(numbers)) < len(numbers):
            yield f"{name}: two panels have the same id."
        for panel in document["panels"]:
            if panel["type"] != "row" and not (panel.get("description") and panel.get("targets")):
                yield f"{name}: the panel {panel.get('title')!r} has no description or asks nothing."


def _metric_faults(
    dashboards: dict[str, dict[str, Any]], rules: list[dict[str, Any]], known: set[str]
) -> Iterator[str]:
    asked = [
        (f"{name}, panel {panel['title']!r}", target["expr"])
        for name, document in dashboards.items()
        for panel in document["panels"]
        for target in panel.get("targets", [])
        if target["datasource"]["type"] == "prometheus"
    ]
    asked += [(f"rule {rule.get('alert') or rule['record']}", rule["expr"]) for rule in rules]
    for where, expression in asked:
        for metric in sorted(metrics_in(expression) - known):
            yield f"{where}: the metric {metric} is not in metrics.md."


def _code_faults(documented: dict[str, str], declared: dict[str, str]) -> Iterator[str]:
    for name in sorted(documented.keys() - declared.keys()):
        yield f"metrics.md promises {name}, which no code makes."
    for name in sorted(declared.keys() - documented.keys()):
        yield f"the code makes the metric {name}, which is not in metrics.md."
    for name in sorted(documented.keys() & declared.keys()):
        if documented[name] != declared[name]:
            yield f"{name} is a {declared[name]}, not a {documented[name]} as metrics.md says."


def _alert_faults(folder: Path, alerts: list[dict[str, Any]]) -> Iterator[str]:
    runbooks = folder.parent / "docs" / "runbooks"
    fired = {
        case["alertname"]
        for path in folder.glob("prometheus/tests/*.yml")
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        if case.get("exp_alerts")
    }
    for alert in alerts:
        name = alert["alert"]
        page = f"docs/runbooks/{re.sub(r'(?<!^)(?=[A-Z])', '-', name).lower()}.md"
        if alert["annotations"].get("runbook") != page or not (folder.parent / page).is_file():
            yield f"alert {name}: its runbook must be {page}, and be there."
        if alert["labels"].get("severity") not in ("page", "ticket"):
            yield f"alert {name}: its severity is page or ticket."
        if name not in fired:
            yield f"alert {name}: no test in prometheus/tests makes it fire."
    pages = {re.sub(r"(?<!^)(?=[A-Z])", "-", alert["alert"]).lower() for alert in alerts}
    for page_path in sorted(runbooks.glob("*.md")):
        if page_path.stem not in pages | {"README"}:
            yield f"docs/runbooks/{page_path.name} belongs to no alert."


def _rules(path: Path) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(path.read_text())["groups"]:
        yield from group["rules"]
