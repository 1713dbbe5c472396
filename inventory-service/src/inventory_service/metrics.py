"""What is counted of stock."""

from prometheus_client import Counter

RESERVATIONS = Counter("stock_reservations", "Orders that stock was asked for, by what they were answered", ["outcome"])
RELEASES = Counter("stock_releases", "Reservations that were released or put back, by why", ["reason"])
