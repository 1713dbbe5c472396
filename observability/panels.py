"""The few kinds of panel that the dashboards are made of, with one look for all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import heatmap, logs, loki, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    GraphGradientMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from promql import FLEET

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
LOKI = DataSourceRef(type_val="loki", uid="loki")

# A query and the name of its lines in the legend (`{{label}}` is the label's value).
Query = tuple[str, str]

PanelBuilder = Builder[models.Panel]

_WHOLE_WIDTH = 24  # of Grafana's grid


def board(uid: str, title: str, description: str, rows: Mapping[str, Sequence[PanelBuilder]]) -> Dashboard:
    """A dashboard of titled rows, with links to the others, a `service` variable, and a mark where a process starts."""
    services = (
        dashboards.QueryVariable("service")
        .label("Service")
        .datasource(PROMETHEUS)
        .query(f"label_values(up{{{FLEET}}}, job)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )
    others = (
        dashboards.DashboardLink("Flotilla")
        .type(DashboardLinkType.DASHBOARDS)
        .tags(["flotilla"])
        .keep_time(True)
        .include_vars(True)
    )
    starts = (
        dashboards.AnnotationQuery()
        .name("Process starts")
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color("blue")
        .expr(f"changes(process_start_time_seconds{{{FLEET}}}[1m]) > 0")
        .title_format("{{job}} started")
    )
    dashboard = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["flotilla"])
        .timezone("browser")
        .time("now-30m", "now")
        .refresh("10s")
        .readonly()
        .link(others)
        .with_variable(services)
        .annotation(starts)
    )
    for heading, panels in rows.items():
        dashboard = dashboard.with_row(dashboards.Row(heading))
        for panel in panels:
            dashboard = dashboard.with_panel(panel)
    return dashboard


def graph(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    width: int = 8,
    height: int = 8,
    stacked: bool = False,
    exemplars: bool = False,
    limits: Sequence[tuple[float, str]] = (),
) -> timeseries.Panel:
    """Lines over time; `limits` are values at which a dashed line in that colour is drawn."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .min(0)
        .span(width)
        .height(height)
        .line_width(1)
        .fill_opacity(60 if stacked else 10)
        .gradient_mode(GraphGradientMode.NONE)
        .show_points(VisibilityMode.NEVER)
        .tooltip(common_builders.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
    )
    if stacked:
        panel = panel.stacking(common_builders.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if limits:
        style = common_builders.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds(limits)).thresholds_style(style)
    for reference, (expression, legend) in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_query(expression, legend, reference).exemplar(exemplars))
    return panel


def number(
    title: str,
    description: str,
    expression: str,
    *,
    unit: str = "short",
    limits: Sequence[tuple[float, str]] = (),
    base: str = "green",
    width: int = 3,
    decimals: int | None = None,
) -> stat.Panel:
    """One figure, coloured by `limits`."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(width)
        .height(4)
        .graph_mode(BigValueGraphMode.AREA)
        .color_mode(BigValueColorMode.VALUE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(limits, base))
        .with_target(_query(expression, "", "A"))
    )
    return panel if decimals is None else panel.decimals(decimals)


def heat(title: str, description: str, expression: str, *, unit: str, width: int = 8) -> heatmap.Panel:
    """The buckets of a histogram over time; `expression` keeps the label `le`."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(width)
        .height(8)
        .with_target(_query(expression, "{{le}}", "A").format(PromQueryFormat.HEATMAP))
    )


def columns(
    title: str,
    description: str,
    *cells: tuple[str, str, str],
    labels: dict[str, str],
    width: int = _WHOLE_WIDTH,
    height: int = 9,
) -> table.Panel:
    """One row for each set of `labels` (name -> heading); a cell is its heading, its unit and its expression."""
    panel = table.Panel().title(title).description(description).datasource(PROMETHEUS).span(width).height(height)
    headings = dict(labels)
    for reference, (heading, unit, expression) in zip("ABCDEFGH", cells, strict=False):
        panel = panel.with_target(
            _query(expression, "", reference).instant().format(PromQueryFormat.TABLE)
        ).override_by_name(heading, [DynamicConfigValue(id_val="unit", value=unit)])
        headings[f"Value #{reference}"] = heading
    organize: dict[str, Any] = {"excludeByName": {"Time": True}, "renameByName": headings, "indexByName": {}}
    return panel.with_transformation(DataTransformerConfig(id_val="merge", options={})).with_transformation(
        DataTransformerConfig(id_val="organize", options=organize)
    )


def log_lines(title: str, expression: str) -> logs.Panel:
    """Log lines, newest first, each with its link to its trace."""
    return (
        logs.Panel()
        .title(title)
        .description("A line opens to its fields; trace_id leads to the trace.")
        .datasource(LOKI)
        .span(_WHOLE_WIDTH)
        .height(9)
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .with_target(loki.Dataquery().datasource(LOKI).expr(expression).max_lines(200).ref_id("A"))
    )


def _query(expression: str, legend: str, reference: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(PROMETHEUS).expr(expression).legend_format(legend).ref_id(reference)


def _thresholds(limits: Sequence[tuple[float, str]], base: str = "green") -> dashboards.ThresholdsConfig:
    steps = [Threshold(value=None, color=base), *(Threshold(value=value, color=color) for value, color in limits)]
    return dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
