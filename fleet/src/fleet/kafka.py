"""Apache Kafka as one of the parts that are kept running, where it runs instead of the embedded broker."""

from chassis.kafka_programs import find_jars, find_java
from chassis.local_kafka import LocalKafka

from .plan import Part
from .state import FleetProblem, Home
from .watch import Kept


class KeptKafka(Kept):
    """Apache Kafka, with data of its own: what the embedded broker keeps is left alone."""

    def __init__(self, part: Part, home: Home) -> None:
        log = home.log_of(part.name)
        self._broker = LocalKafka(home.data / "apache-kafka", part.port, log_file=log, die_with_parent=True)
        super().__init__(part, lambda _: self._broker.begin(), log)

    def make_files(self) -> None:
        """Make its files where there are none, which takes a while; starting it does that, too."""
        self._broker.make_files()

    def is_ready(self) -> bool:
        return self._broker.is_ready()

    def end_of_log(self) -> str:
        return self._broker.complaints()


def get_programs() -> None:
    """Find Java and get Kafka's jars, which takes a while the first time. Raises FleetProblem."""
    try:
        find_java()
        find_jars()
    except OSError as problem:
        raise FleetProblem(str(problem)) from problem
