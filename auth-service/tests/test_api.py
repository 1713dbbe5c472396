"""Accounts and sessions over HTTP."""

import asyncio
import json
from uuid import uuid4

import pytest
from chassis.ids import uuid7
from chassis.testing.service import ServiceUnderTest
from jose import jwt
from support.people import PASSWORD, Json, People

from auth_service.settings import Settings

Service = ServiceUnderTest[Settings]


class TestRegister:
    async def test_a_new_account_is_shown_without_its_password_and_told(self, service: Service, people: People) -> None:
        account = people.account(email="Grace.Hopper+1@Example.COM", username=f"Grace-{uuid4().hex[:8]}")

        answer = await service.client.post("/api/v1/auth/register", json=account)

        assert answer.status_code == 201, answer.text
        user = answer.json()
        assert set(user) == {"id", "username", "email", "full_name", "role", "status", "created_at"}
        assert (user["email"], user["role"], user["status"]) == ("grace.hopper+1@example.com", "customer", "active")
        told = await service.said.wait_for("auth.user-registered.v1", user["id"])
        assert told["username"] == account["username"]

    async def test_an_address_or_a_name_that_is_taken_is_a_conflict(self, people: People) -> None:
        first = (await people.register()).json()

        same_email = await people.register(email=first["email"].upper())
        same_name = await people.register(username=first["username"].upper())

        assert same_email.status_code == same_name.status_code == 409
        assert same_email.json()["type"].endswith("/email-taken")
        assert same_name.json()["type"].endswith("/username-taken")

    async def test_of_many_at_once_one_gets_the_name(self, people: People) -> None:
        account = people.account()

        answers = await asyncio.gather(*(people.register(**account) for _ in range(5)))

        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"email": "nobody"}, "/email"),
            ({"email": "a@b@c"}, "/email"),
            ({"username": "a"}, "/username"),
            ({"username": "<script>"}, "/username"),
            ({"full_name": ""}, "/full_name"),
            ({"full_name": "A\u0000da"}, "/full_name"),
            ({"password": "short"}, "/password"),
            ({"password": "x" * 257}, "/password"),
            ({"role": "admin"}, "/role"),
        ],
    )
    async def test_what_is_wrong_with_an_account_is_pointed_at(
        self, people: People, changes: Json, pointer: str
    ) -> None:
        answer = await people.register(**changes)

        assert answer.status_code == 422
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]
        assert PASSWORD not in answer.text

    async def test_a_password_may_be_long_and_in_any_script_a8(self, people: People) -> None:
        password = "длинный пароль 🔑 " * 10
        user = (await people.register(password=password)).json()

        assert (await people.log_in(user["email"], password)).status_code == 200


class TestLogIn:
    async def test_tokens_are_what_the_api_promises(self, service: Service, people: People) -> None:
        person = await people.somebody()

        assert set(person.tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
        assert person.tokens["token_type"] == "Bearer"
        assert 0 < person.tokens["expires_in"] <= service.settings.access_token_seconds
        header = jwt.get_unverified_header(person.tokens["access_token"])
        assert (header["alg"], header["typ"]) == ("RS256", "at+jwt")
        keys = (await service.client.get("/.well-known/jwks.json")).json()
        claims = jwt.decode(
            person.tokens["access_token"],
            keys,
            algorithms=["RS256"],
            audience=service.settings.token_audience,
            issuer=service.settings.token_issuer,
        )
        assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "role", "iat", "exp"}
        assert claims["sub"] == person.user["id"]
        await service.said.wait_for("auth.user-authenticated.v1", person.user["id"])

    async def test_the_oauth2_form_logs_in_too(self, service: Service, people: People) -> None:
        user = (await people.register()).json()

        answer = await service.client.post(
            "/api/v1/auth/login",
            data={"username": user["email"], "password": PASSWORD, "grant_type": "password", "scope": ""},
        )

        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"

    async def test_a_wrong_password_and_an_unknown_address_look_the_same_a7(
        self, service: Service, people: People
    ) -> None:
        user = (await people.register()).json()

        wrong = await people.log_in(user["email"], "not the password")
        unknown = await people.log_in(f"nobody-{uuid4()}@example.com", "not the password")

        assert wrong.status_code == unknown.status_code == 401
        assert wrong.json() == unknown.json()
        await service.said.wait_for("auth.login-failed.v1", f"email:{user['email']}")

    async def test_many_failures_make_the_next_try_wait_and_then_it_works_a6(
        self, service: Service, people: People
    ) -> None:
        user = (await people.register()).json()
        for _ in range(3):
            assert (await people.log_in(user["email"], "not the password")).status_code == 401

        held = await people.log_in(user["email"])

        assert held.status_code == 429
        assert int(held.headers["retry-after"]) >= 1
        await service.said.wait_for("auth.account-locked.v1", f"email:{user['email']}")
        async with asyncio.timeout(5):
            while (answer := await people.log_in(user["email"])).status_code == 429:
                pass
        assert answer.status_code == 200

    @pytest.mark.parametrize(
        "content",
        [b"[" * 100_000, b"{", b"[]", b'"x"', b'{"email": 1, "password": "x"}', b'{"email": "a@example.com"}', b"\xff"],
    )
    async def test_a_body_that_is_no_log_in_is_a_problem(self, service: Service, content: bytes) -> None:
        answer = await service.client.post(
            "/api/v1/auth/login", content=content, headers={"Content-Type": "application/json"}
        )

        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"] == "application/problem+json"


class TestRefresh:
    async def test_a_refresh_token_gives_new_tokens_of_the_same_session(self, people: People) -> None:
        person = await people.somebody()

        answer = await people.refresh(person.tokens["refresh_token"])

        assert answer.status_code == 200
        assert answer.json()["refresh_token"] != person.tokens["refresh_token"]
        before = jwt.get_unverified_claims(person.tokens["access_token"])
        after = jwt.get_unverified_claims(answer.json()["access_token"])
        assert after["sid"] == before["sid"]
        assert after["jti"] != before["jti"]

    async def test_the_same_token_twice_at_once_answers_the_same_pair_a3(self, people: People) -> None:
        person = await people.somebody()

        answers = await asyncio.gather(*(people.refresh(person.tokens["refresh_token"]) for _ in range(4)))

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["access_token"] for answer in answers}) == 1
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1

    async def test_a_token_used_long_ago_ends_the_whole_session_a3(self, service: Service, people: People) -> None:
        person = await people.somebody()
        second = (await people.refresh(person.tokens["refresh_token"])).json()
        third = (await people.refresh(second["refresh_token"])).json()

        reused = await people.refresh(person.tokens["refresh_token"])

        assert reused.status_code == 401
        assert (await people.refresh(third["refresh_token"])).status_code == 401
        assert (await people.me({"Authorization": f"Bearer {third['access_token']}"})).status_code == 401
        told = await service.said.wait_for("auth.session-revoked.v1", person.user["id"])
        assert told["reason"] == "refresh-reuse"

    @pytest.mark.parametrize("token", ["x", "a.b.c", f"{uuid7()}.0.AAAA", f"{uuid7()}.99999999999999999999.AAAA"])
    async def test_what_is_no_refresh_token_is_refused(self, people: People, token: str) -> None:
        answer = await people.refresh(token)

        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_a_forged_token_of_a_real_session_does_not_end_it(self, people: People) -> None:
        person = await people.somebody()
        session_id, _, _ = person.tokens["refresh_token"].split(".")

        assert (await people.refresh(f"{session_id}.0.forged")).status_code == 401

        assert (await people.refresh(person.tokens["refresh_token"])).status_code == 200


class TestEndedSessions:
    async def test_after_logout_both_tokens_are_dead_at_once_a5(self, service: Service, people: People) -> None:
        person = await people.somebody()

        answer = await service.client.post("/api/v1/auth/logout", headers=person.headers)

        assert answer.status_code == 204
        assert (await people.me(person.headers)).status_code == 401
        assert (await people.refresh(person.tokens["refresh_token"])).status_code == 401
        told = await service.said.wait_for("auth.session-revoked.v1", person.user["id"], timeout_seconds=0.5)
        assert told["reason"] == "logout"

    async def test_a_changed_password_ends_the_other_sessions_a5(self, service: Service, people: People) -> None:
        here = await people.somebody()
        elsewhere = await people.again(here)
        body = {"current_password": PASSWORD, "new_password": "another good password"}

        answer = await service.client.put("/api/v1/auth/me/password", json=body, headers=here.headers)

        assert answer.status_code == 204
        assert (await people.me(here.headers)).status_code == 200
        assert (await people.me(elsewhere.headers)).status_code == 401
        assert (await people.refresh(elsewhere.tokens["refresh_token"])).status_code == 401
        assert (await people.log_in(here.email)).status_code == 401
        assert (await people.log_in(here.email, "another good password")).status_code == 200

    async def test_a_wrong_current_password_changes_nothing(self, service: Service, people: People) -> None:
        person = await people.somebody()
        body = {"current_password": "not it at all", "new_password": "another good password"}

        answer = await service.client.put("/api/v1/auth/me/password", json=body, headers=person.headers)

        assert answer.status_code == 403
        assert (await people.log_in(person.email)).status_code == 200

    async def test_a_password_is_not_guessed_by_changing_it(self, service: Service, people: People) -> None:
        person = await people.somebody()
        body = {"current_password": "not it at all", "new_password": "another good password"}

        answers = [
            await service.client.put("/api/v1/auth/me/password", json=body, headers=person.headers) for _ in range(5)
        ]

        assert [answer.status_code for answer in answers[:4]] == [403, 403, 403, 429]
        assert (await people.log_in(person.email)).status_code == 200

    async def test_one_ends_one_session_and_keeps_the_other(self, service: Service, people: People) -> None:
        here = await people.somebody()
        elsewhere = await people.again(here)
        listed = (await service.client.get("/api/v1/auth/sessions", headers=here.headers)).json()["items"]
        other = next(session["id"] for session in listed if not session["current"])

        answer = await service.client.delete(f"/api/v1/auth/sessions/{other}", headers=here.headers)

        assert answer.status_code == 204
        assert (await people.me(elsewhere.headers)).status_code == 401
        assert (await people.me(here.headers)).status_code == 200

    async def test_somebody_elses_session_is_not_there_a9(self, service: Service, people: People) -> None:
        one, other = await people.somebody(), await people.somebody()
        session_id = jwt.get_unverified_claims(other.tokens["access_token"])["sid"]

        answer = await service.client.delete(f"/api/v1/auth/sessions/{session_id}", headers=one.headers)

        assert answer.status_code == 404
        assert (await people.me(other.headers)).status_code == 200

    async def test_who_is_disabled_is_out_at_once_and_stays_out(self, service: Service, people: People) -> None:
        admin, person = await people.admin(), await people.somebody()

        answer = await service.client.patch(
            f"/api/v1/auth/users/{person.user['id']}", json={"status": "disabled"}, headers=admin.headers
        )

        assert answer.json()["status"] == "disabled"
        assert (await people.me(person.headers)).status_code == 401
        assert (await people.refresh(person.tokens["refresh_token"])).status_code == 401
        assert (await people.log_in(person.email)).status_code == 401


class TestUsers:
    async def test_an_admin_makes_somebody_an_admin(self, service: Service, people: People) -> None:
        admin, person = await people.admin(), await people.somebody()

        answer = await service.client.patch(
            f"/api/v1/auth/users/{person.user['id']}", json={"role": "admin"}, headers=admin.headers
        )

        assert answer.json()["role"] == "admin"
        told = await service.said.wait_for("auth.role-changed.v1", person.user["id"])
        assert told == {"user_id": person.user["id"], "role": "admin", "changed_by": admin.user["id"]}
        refreshed = (await people.refresh(person.tokens["refresh_token"])).json()
        assert jwt.get_unverified_claims(refreshed["access_token"])["role"] == "admin"
        await service.client.patch(
            f"/api/v1/auth/users/{person.user['id']}", json={"role": "customer"}, headers=admin.headers
        )

    async def test_who_is_no_longer_an_admin_is_none_at_once_a10(self, service: Service, people: People) -> None:
        admin, person = await people.admin(), await people.somebody()
        url = f"/api/v1/auth/users/{person.user['id']}"
        await service.client.patch(url, json={"role": "admin"}, headers=admin.headers)
        promoted = await people.again(person)
        assert (await service.client.get("/api/v1/auth/users", headers=promoted.headers)).status_code == 200

        await service.client.patch(url, json={"role": "customer"}, headers=admin.headers)

        assert (await service.client.get("/api/v1/auth/users", headers=promoted.headers)).status_code == 401
        revenge = await service.client.patch(url, json={"role": "admin"}, headers=promoted.headers)
        assert revenge.status_code == 401
        assert (await people.refresh(promoted.tokens["refresh_token"])).status_code == 401

    async def test_the_last_admin_stays_one(self, service: Service, people: People) -> None:
        admin = await people.admin()

        for change in ({"role": "customer"}, {"status": "disabled"}):
            answer = await service.client.patch(
                f"/api/v1/auth/users/{admin.user['id']}", json=change, headers=admin.headers
            )
            assert answer.status_code == 409

    async def test_accounts_are_listed_in_pages(self, service: Service, people: People) -> None:
        admin = await people.admin()
        made = [(await people.register()).json()["id"] for _ in range(3)]

        first = (await service.client.get("/api/v1/auth/users?limit=2", headers=admin.headers)).json()
        second = await service.client.get(
            "/api/v1/auth/users", params={"limit": 2, "cursor": first["next_cursor"]}, headers=admin.headers
        )

        seen = [user["id"] for user in first["items"] + second.json()["items"]]
        assert seen[:3] == made[::-1]

    async def test_a_customer_sees_no_accounts(self, service: Service, people: People) -> None:
        person = await people.somebody()

        for path in ("", f"/{person.user['id']}"):
            answer = await service.client.get(f"/api/v1/auth/users{path}", headers=person.headers)
            assert answer.status_code == 403


class TestWhoIsCalling:
    @pytest.mark.parametrize(
        ("headers", "claims"),
        [
            ({"alg": "none"}, {}),
            ({"kid": "another"}, {}),
            ({"typ": "JWT"}, {}),
            ({}, {"exp": 1}),
            ({}, {"nbf": 9_999_999_999}),
            ({}, {"iss": "https://elsewhere.example"}),
            ({}, {"aud": "somebody-else"}),
            ({}, {"sub": "no-uuid"}),
            ({}, {"sid": "no-uuid"}),
            ({}, {"role": None, "sid": None}),
        ],
    )
    async def test_a_token_of_a_stranger_is_a_401_a1(self, service: Service, headers: Json, claims: Json) -> None:
        token = service.tokens.token(headers=headers, **claims)

        answer = await service.client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"})

        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer a.b.c", "x" * 5000])
    async def test_an_authorization_that_is_none_is_a_401(self, service: Service, authorization: str) -> None:
        answer = await service.client.get("/api/v1/auth/me", headers={"Authorization": authorization})

        assert answer.status_code == 401

    async def test_every_route_has_a_rule_on_who_may_call_it_a11(self, service: Service) -> None:
        document = (await service.client.get("/openapi.json")).json()
        open_to_all = {"/register", "/login", "/refresh", "/.well-known/jwks.json", "/.well-known/openid-configuration"}

        for path, operations in document["paths"].items():
            if path.removeprefix("/api/v1/auth") in open_to_all:
                continue
            for method in operations:
                url = path.replace("{user_id}", str(uuid7())).replace("{session_id}", str(uuid7()))
                answer = await service.client.request(method, url, content=json.dumps({}))
                assert answer.status_code == 401, f"{method} {path}"


class TestKeys:
    async def test_public_keys_and_nothing_private_are_shown_in_both_places(self, service: Service) -> None:
        root = (await service.client.get("/.well-known/jwks.json")).json()
        under_api = (await service.client.get("/api/v1/auth/.well-known/jwks.json")).json()

        assert root == under_api
        for key in root["keys"]:
            assert set(key) == {"kty", "alg", "use", "kid", "n", "e"}

    async def test_the_configuration_names_the_addresses_that_were_asked(self, service: Service) -> None:
        answer = await service.client.get(
            "/api/v1/auth/.well-known/openid-configuration",
            headers={"X-Forwarded-Host": "shop.example", "X-Forwarded-Proto": "https"},
        )

        assert answer.json()["jwks_uri"] == "https://shop.example/api/v1/auth/.well-known/jwks.json"
        assert answer.json()["issuer"] == service.settings.token_issuer
