"""Who may do what: an application reads its own configuration and the shared one, the admin reads and decrypts all."""

import re
from collections.abc import Sequence

from chassis.problems import NotAllowed

from .credentials import Credentials, Reader
from .errors import CredentialNeeded
from .precedence import SHARED_NAME
from .queries import Query

_ANYBODY = Reader("anonymous", is_admin=True)


class Access:
    """Decides for each request. With `anonymous`, anybody may do everything, and who sends a name is called by it."""

    def __init__(self, credentials: Credentials, *, anonymous: bool) -> None:
        self._credentials = credentials
        self._anonymous = anonymous

    def reader(self, authorization: str | None) -> Reader:
        """Who is asking. Raises CredentialNeeded for a missing or wrong credential."""
        if not self._anonymous:
            return self._credentials.reader(authorization)
        try:
            return Reader(self._credentials.reader(authorization).name, is_admin=True)
        except CredentialNeeded:
            return _ANYBODY

    def admin(self, authorization: str | None) -> Reader:
        """The same, for what only the admin may do. Raises NotAllowed for others."""
        reader = self.reader(authorization)
        if not reader.is_admin:
            raise NotAllowed("Only the admin may do this.")
        return reader

    def check(self, authorization: str | None, query: Query) -> Reader:
        """Who is asking, if he may read this. Raises CredentialNeeded, or NotAllowed for another application's."""
        reader = self.reader(authorization)
        if reader.is_admin:
            return reader
        for application in query.applications:
            if application not in (reader.name, SHARED_NAME):
                raise NotAllowed(f"{reader.name} may read its own configuration, not that of {application}.")
            for profile in query.profiles:
                self._refuse_names_of_others(reader.name, application, profile)
        return reader

    def check_files(self, reader: Reader, names: Sequence[str]) -> None:
        """Raises NotAllowed where a file belongs to another application: by its name, or by the folder it is in."""
        if reader.is_admin:
            return
        for name in names:
            for part in name.split("/"):
                owners = [known for known in self._credentials.names if re.match(rf"{re.escape(known)}(?![^-.])", part)]
                if owners and (owner := max(owners, key=len)) != reader.name:
                    raise NotAllowed(f"{name} belongs to {owner}, and {reader.name} may not read it.")

    def _refuse_names_of_others(self, reader: str, application: str, profile: str) -> None:
        # `order` in profile `service` is served out of order-service.yml: of all the applications whose name a file's
        # name begins with, it belongs to the one with the longest. And a search path may be `{profile}`.
        file = f"{application}-{profile}-"
        for other in self._credentials.names:
            theirs = len(other) > len(application) and file.startswith(f"{other}-")
            if other != reader and (theirs or profile == other):
                raise NotAllowed(f"The profile {profile} leads to files of {other}, which {reader} may not read.")
