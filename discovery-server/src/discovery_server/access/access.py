"""Who may do what: an application registers its own name, an admin puts instances out of service, a peer tells all."""

from discovery_server.errors import NotAllowedHere, NotYourName
from discovery_server.registry.instance import Instance

from .credentials import ANYBODY, READER, Credentials, Principal
from .settings import AccessSettings

__all__ = ["ANYBODY", "READER", "Access", "Principal"]


class Access:
    """Decides for each request, by the settings as they are at that moment. With `anonymous`, everybody may all."""

    def __init__(self, settings: AccessSettings) -> None:
        self._settings = settings
        self._credentials = settings.known_credentials()
        self._made_from = _sources(settings)

    def principal(self, authorization: str | None) -> Principal:
        """Who asks. Raises CredentialNeeded for a missing or wrong credential."""
        return ANYBODY if self._settings.anonymous else self._known().principal(authorization)

    def require_reader(self, authorization: str | None) -> None:
        """Reading: whoever has a credential may. Raises CredentialNeeded."""
        if self._settings.reading != "open":
            self.principal(authorization)

    def require_owner_of(self, app: str, authorization: str | None) -> Principal:
        """Registering and renewing: who owns the name may, and peers. Raises CredentialNeeded, NotYourName."""
        principal = self.principal(authorization)
        if not principal.may_register(app):
            raise NotYourName(_refusal(principal, app))
        return principal

    def require_own_addresses(self, principal: Principal, instance: Instance) -> None:
        """A virtual address that is another's name would draw that one's calls: Spring's clients look for addresses.

        Raises NotYourName.
        """
        if principal.is_peer or self._settings.shared_addresses:
            return
        for addresses in (instance.vip_address, instance.secure_vip_address):
            for address in map(str.strip, (addresses or "").upper().split(",")):
                if address != principal.owner and self._known().is_application(address):
                    raise NotYourName(f"The virtual address {address} is the name of another application.")

    def require_operator_of(self, app: str, authorization: str | None) -> Principal:
        """Overriding a status and cancelling: an admin may as well. Raises CredentialNeeded, NotYourName."""
        principal = self.principal(authorization)
        if not (principal.is_admin or principal.may_register(app)):
            raise NotYourName(_refusal(principal, app))
        return principal

    def require_admin(self, authorization: str | None) -> Principal:
        """Raises CredentialNeeded, NotAllowedHere."""
        principal = self.principal(authorization)
        if not principal.is_admin:
            raise NotAllowedHere(f"Only an administrator may do this; the credential is that of {principal.name}.")
        return principal

    def require_peer(self, authorization: str | None) -> Principal:
        """Raises CredentialNeeded, NotAllowedHere."""
        principal = self.principal(authorization)
        if not principal.is_peer:
            raise NotAllowedHere(f"Only a discovery-server may do this; the credential is that of {principal.name}.")
        return principal

    def known_name(self, authorization: str | None) -> str | None:
        """The name that a header claims, right or wrong, if somebody has it: to tell of, not to believe."""
        return self._known().known_name(authorization)

    def is_application(self, name: str) -> bool:
        """Whether somebody may register under this name."""
        return self._known().is_application(name.upper())

    def _known(self) -> Credentials:
        # A refresh puts new objects in place of those that changed; headers that were good may not be any more.
        now = _sources(self._settings)
        if any(ours is not theirs for ours, theirs in zip(self._made_from, now, strict=True)):
            self._credentials, self._made_from = self._settings.known_credentials(), now
        return self._credentials


def _sources(settings: AccessSettings) -> tuple[object, object, object]:
    return settings.credentials, settings.admin_credentials, settings.read_tokens


def _refusal(principal: Principal, app: str) -> str:
    return f"The credential of {principal.name} does not open {app.upper()}."
