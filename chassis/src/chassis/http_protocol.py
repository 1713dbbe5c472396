"""HTTP/1.1 as uvicorn and httptools speak it, with what Java's clients need besides."""

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# With its first request Java's HttpClient offers to go on in HTTP/2 (RFC 7540 §3.2; withdrawn by RFC 9113 §3.1).
_OFFER_OF_HTTP_2 = re.compile(rb"\A([A-Z]+ [^\r\n]+ HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*?)Upgrade: *h2c\r\n", re.IGNORECASE)


class HttpProtocol(HttpToolsProtocol):
    """One connection of a client. An offer to go on in HTTP/2 is not taken up, and costs nothing."""

    def data_received(self, data: bytes) -> None:
        # The parser takes what follows such an offer for the other protocol, and so loses the request's body.
        if b"h2c" in data and not self._is_within_a_body():
            data = _OFFER_OF_HTTP_2.sub(rb"\1", data, count=1)
        super().data_received(data)

    def _is_within_a_body(self) -> bool:
        return self.cycle is not None and self.cycle.more_body
