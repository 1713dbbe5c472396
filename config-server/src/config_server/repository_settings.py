"""What can be told about a repository beside the default one."""

import re
from posixpath import normpath
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    StringConstraints,
    model_validator,
)

from .remotes import without_user_info

DEFAULT = "default"
"""What the repository of CONFIG_SERVER_GIT_URI, or the folder, is called beside the others."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_WORDS = re.compile(r"\s*,\s*")

RepositoryName = Annotated[str, StringConstraints(pattern=f"^{_NAME}$", max_length=60)]


def stay_inside(paths: list[str]) -> list[str]:
    """Search paths as they are used. Raises ValueError for one that leads out of the repository."""
    for path in paths:
        if ".." in path.split("/"):
            raise ValueError(f"{path} leads out of the repository")
    return [normpath(path).strip("/") for path in paths]


def _split(value: Any) -> Any:
    return [part for part in _WORDS.split(value.strip()) if part] if isinstance(value, str) else value


_List = Annotated[list[str], BeforeValidator(_split)]


class RepositorySettings(BaseModel):
    """One entry of the JSON object; what it does not say, it has from the default repository."""

    model_config = ConfigDict(extra="forbid")

    uri: str = Field(min_length=1)
    pattern: _List = []
    default_label: str = ""
    search_paths: _List | None = None
    username: str = ""
    password: SecretStr = SecretStr("")
    private_key_file: FilePath | None = None
    passphrase: SecretStr = SecretStr("")
    proxy: SecretStr = SecretStr("")
    strict_host_keys: bool | None = None

    @model_validator(mode="after")
    def _tidy(self) -> Self:
        self.uri, username, password = without_user_info(self.uri)
        self.username = self.username or username
        if not self.password.get_secret_value():
            self.password = SecretStr(password)
        if self.search_paths is not None:
            self.search_paths = stay_inside(self.search_paths)
        return self
