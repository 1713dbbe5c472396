"""What is counted of log-ins."""

from prometheus_client import Counter

LOGINS = Counter("logins", "Log-ins by outcome", ["outcome"])
for outcome in ("accepted", "refused", "held"):
    LOGINS.labels(outcome)  # a panel on refusals is empty, not missing, while there are none
