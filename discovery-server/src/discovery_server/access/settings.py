"""What can be told about who may do what."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from chassis.hashed_credentials import MalformedCredential
from chassis.settings import ServiceSettings, SettingsInvalid, refreshable
from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from .credentials import PEER, Credentials


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _split(value: Any) -> Any:
    """A list, written as JSON or with commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _named(value: Any) -> Any:
    """An object, written as JSON; what is none is the password of `admin`, as config-server's setting has it."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return json.loads(value)
    return {"admin": passwords} if (passwords := _split(value)) else {}


_Written = SecretStr | list[SecretStr]
_Passwords = Annotated[list[SecretStr], BeforeValidator(_listed, json_schema_input_type=_Written)]
_Tokens = Annotated[list[SecretStr], NoDecode, BeforeValidator(_split, json_schema_input_type=_Written)]
_Administrators = Annotated[
    dict[str, _Passwords],
    NoDecode,
    BeforeValidator(_named, json_schema_input_type=SecretStr | dict[str, _Written]),
]


class AccessSettings(ServiceSettings):
    """The credentials; for a password its hash may stand, and while one is changed, both: any of several will do.

    All of it can be refreshed, so that a credential is changed without a restart.
    """

    model_config = SettingsConfigDict(env_prefix="DISCOVERY_SERVER_")

    credentials: dict[str, _Passwords] = refreshable(
        {}, description='JSON object of service and password, a list of them, or hashes: {"order-service": "..."}'
    )
    admin_credentials: _Administrators = refreshable(
        {}, description="the same for people who put instances out of service; without a name it is admin's"
    )
    reading: Literal["credential", "open"] = refreshable(
        "credential", description="credential: who has any credential reads; open: everybody does"
    )
    read_tokens: _Tokens = refreshable(
        [], description="tokens with which one may only read, as bearer token or as password of any user"
    )
    shared_addresses: bool = refreshable(
        False, description="true: one may register the name of another application as virtual address"
    )
    anonymous: bool = Field(False, description="true: nobody is asked for a credential")

    @property
    def audit_path(self) -> Path | None:
        """Where the audit log is kept: only in a folder that was given. Servers of one folder differ by their ports."""
        return self.state_dir / f"audit-{self.port}.jsonl" if "state_dir" in self.model_fields_set else None

    def known_credentials(self) -> Credentials:
        """Everybody's, and our own, which is that of the other discovery-servers. Raises MalformedCredential."""
        applications = _revealed(self.credentials)
        if own := self.service_password.get_secret_value():
            applications = {**applications, PEER: [own, *applications.get(PEER, [])]}
        return Credentials(
            applications,
            admins=_revealed(self.admin_credentials),
            read_tokens=[token.get_secret_value() for token in self.read_tokens],
        )

    def secrets(self) -> Iterator[tuple[str, str]]:
        yield from super().secrets()
        for variable, credentials in (("CREDENTIALS", self.credentials), ("ADMIN_CREDENTIALS", self.admin_credentials)):
            for name, several in _revealed(credentials).items():
                yield from ((f"DISCOVERY_SERVER_{variable} of {name}", password) for password in several)
        yield from (("DISCOVERY_SERVER_READ_TOKENS", token.get_secret_value()) for token in self.read_tokens)

    @model_validator(mode="after")
    def _refuse_an_open_door_nobody_asked_for(self) -> Self:
        if not self.anonymous and not self.credentials:
            raise SettingsInvalid(
                "nobody could register: set DISCOVERY_SERVER_CREDENTIALS to a JSON object of service names and "
                "passwords, or DISCOVERY_SERVER_ANONYMOUS=true to let anybody in."
            )
        try:
            self.known_credentials()
        except MalformedCredential as error:
            raise SettingsInvalid(
                f"DISCOVERY_SERVER_CREDENTIALS, _ADMIN_CREDENTIALS or _READ_TOKENS: {error}."
            ) from error
        return self


def _revealed(credentials: Mapping[str, list[SecretStr]]) -> dict[str, list[str]]:
    return {name: [one.get_secret_value() for one in several] for name, several in credentials.items()}
