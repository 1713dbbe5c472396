"""uvicorn's HTTP protocol, with an end to the heads that it reads, and problem documents for what is no HTTP."""

from chassis.http_protocol import HttpProtocol
from chassis.problems import Problem
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from .errors import HeadersTooLarge, MalformedRequest, problem_body

# Of a request's head, while it comes; far above what a finished one may have, and far below what hurts.
_MOST_HEAD_BYTES = 256 * 1024


class GatewayProtocol(HttpProtocol):
    """One connection of a client."""

    _is_in_head = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head and self.parser is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                # uvicorn would go on reading it into memory for ever.
                self._refuse(
                    HeadersTooLarge(f"The head of a request may have {_MOST_HEAD_BYTES} bytes at the very most.")
                )

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(MalformedRequest("This is no HTTP/1.1 request, or one that could be read in more than one way."))

    def _refuse(self, problem: Problem) -> None:
        is_within_answer = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not is_within_answer:
            body = problem_body(problem)
            self.transport.write(
                b"%bcontent-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
                % (STATUS_LINE[problem.status], len(body), body)
            )
        self.transport.close()
