"""The few shapes of PromQL that the dashboards ask in."""

# The servers of the fleet, by the label that Prometheus gives them, and those chosen at the top of a dashboard.
FLEET = 'job=~"config-server|discovery-server|gateway|.+-service"'
CHOSEN = 'job=~"$service"'

_WINDOW = "$__rate_interval"  # what Grafana finds fitting for the time shown and the scrape interval


def rate(counter: str, *by: str, where: str = "", window: str = _WINDOW) -> str:
    """How much a second, for each value of the labels `by`."""
    return f"{_sum(by)}(rate({_pick(counter, where)}[{window}]))"


def per_minute(counter: str, *by: str, where: str = "") -> str:
    """As `rate`, for what happens less often than every second."""
    return f"60 * {rate(counter, *by, where=where)}"


def increase(counter: str, *by: str, where: str = "", window: str = "$__range") -> str:
    """How many in the window: by itself, the whole time shown."""
    return f"{_sum(by)}(increase({_pick(counter, where)}[{window}]))"


def failed(counter: str, *by: str, where: str = "", window: str = _WINDOW) -> str:
    """The rate of 5xx answers; zero where there are answers and none of them failed, instead of no line at all."""
    errors = rate(counter, *by, where=", ".join(filter(None, [where, 'status=~"5.."'])), window=window)
    return f"{errors} or 0 * {rate(counter, *by, where=where, window=window)}"


def share_failed(counter: str, *by: str, where: str = "", window: str = _WINDOW) -> str:
    """5xx answers among all, 0 to 1."""
    return f"({failed(counter, *by, where=where, window=window)}) / {rate(counter, *by, where=where, window=window)}"


def quantile(share: float, histogram: str, *by: str, where: str = "") -> str:
    """What `share` of all observations stay below."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', *by, 'le', where=where)})"


def mean(histogram: str, *by: str, where: str = "", window: str = _WINDOW) -> str:
    """The mean of the observations."""
    total, count = (rate(f"{histogram}_{part}", *by, where=where, window=window) for part in ("sum", "count"))
    return f"{total} / {count}"


def share_above(bound: str, histogram: str, *by: str, where: str, window: str = _WINDOW) -> str:
    """The share of the observations above one of the histogram's bounds."""
    below = rate(f"{histogram}_bucket", *by, where=f'{where}, le="{bound}"', window=window)
    return f"1 - {below} / {rate(f'{histogram}_count', *by, where=where, window=window)}"


def or_zero(expression: str) -> str:
    """Zero in place of "No data": for what has not happened yet."""
    return f"{expression} or vector(0)"


def _sum(by: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(by)}) " if by else "sum"


def _pick(metric: str, where: str) -> str:
    return f"{metric}{{{where}}}" if where else metric
