"""Which instances have a vip: a name in the comma list of their (secure) vip address."""

from collections.abc import Iterable, Sequence

from discovery_server.registry.instance import Instance


class Vips:
    """Remembers the vips of each application until that changes: few have the one that is asked for."""

    def __init__(self) -> None:
        self._known: dict[bool, dict[str, tuple[Sequence[Instance], frozenset[str]]]] = {False: {}, True: {}}

    def having(
        self, vip: str, applications: Iterable[tuple[str, Sequence[Instance]]], *, secure: bool
    ) -> dict[str, list[Instance]]:
        """By application."""
        known, now, found = self._known[secure], {}, {}
        for app, instances in applications:
            before = known.get(app)
            if before is None or before[0] is not instances:
                before = (instances, frozenset(each for instance in instances for each in _vips(instance, secure)))
            now[app] = before
            if vip in before[1]:
                found[app] = [instance for instance in instances if vip in _vips(instance, secure)]
        self._known[secure] = now  # without the applications that are gone
        return found


def _vips(instance: Instance, secure: bool) -> list[str]:
    return ((instance.secure_vip_address if secure else instance.vip_address) or "").split(",")
