"""People with accounts, for the tests."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from chassis.testing.service import ServiceUnderTest
from httpx import Response

from auth_service.settings import Settings

Json = dict[str, Any]

ADMIN_EMAIL = "admin@flotilla.example"
ADMIN_PASSWORD = "a password for the first admin"
PASSWORD = "correct horse battery staple"


@dataclass
class Person:
    """Somebody who has logged in."""

    user: Json
    tokens: Json

    @property
    def email(self) -> str:
        return str(self.user["email"])

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}


class People:
    def __init__(self, service: ServiceUnderTest[Settings]) -> None:
        self._client = service.client

    def account(self, **changes: Any) -> Json:
        """The body of a good registration, changed."""
        name = f"ada-{uuid4().hex[:12]}"
        return {
            "username": name,
            "email": f"{name}@example.com",
            "full_name": "Ada Lovelace",
            "password": PASSWORD,
        } | changes

    async def register(self, **changes: Any) -> Response:
        return await self._client.post("/api/v1/auth/register", json=self.account(**changes))

    async def log_in(self, email: str, password: str = PASSWORD) -> Response:
        return await self._client.post("/api/v1/auth/login", json={"email": email, "password": password})

    async def refresh(self, token: str) -> Response:
        return await self._client.post("/api/v1/auth/refresh", json={"refresh_token": token})

    async def me(self, headers: dict[str, str]) -> Response:
        return await self._client.get("/api/v1/auth/me", headers=headers)

    async def somebody(self) -> Person:
        """A new customer, logged in."""
        user = (await self.register()).json()
        return Person(user, (await self.log_in(user["email"])).json())

    async def again(self, person: Person) -> Person:
        """The same customer, logged in from elsewhere."""
        return Person(person.user, (await self.log_in(person.email)).json())

    async def admin(self) -> Person:
        tokens = (await self.log_in(ADMIN_EMAIL, ADMIN_PASSWORD)).json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        return Person((await self.me(headers)).json(), tokens)
