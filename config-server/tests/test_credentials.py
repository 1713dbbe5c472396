"""Who is asking is proven by a password or a token, of which the server may know no more than the hash."""

import base64
import subprocess
import sys

import pytest
from chassis.hashed_credentials import MalformedCredential, hashed

from config_server.credentials import Credentials, Reader
from config_server.errors import CredentialNeeded


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class TestReader:
    @pytest.mark.parametrize("written", ["pw-1", hashed("pw-1"), hashed("pw-1").replace("ab", "AB")])
    def test_basic_and_bearer_prove_the_same(self, written: str) -> None:
        credentials = Credentials({"order": [written], "payment": ["pw-2"]})

        for authorization in (_basic("order", "pw-1"), "Bearer pw-1", "bearer pw-1"):
            assert credentials.reader(authorization) == Reader("order")

    def test_several_are_valid_at_once(self) -> None:
        credentials = Credentials({"order": [hashed("old"), "new"]}, admin=["old-admin", hashed("new-admin")])

        assert credentials.reader(_basic("order", "old")) == credentials.reader("Bearer new") == Reader("order")
        for password in ("old-admin", "new-admin"):
            assert credentials.reader(_basic("admin", password)) == Reader("admin", is_admin=True)
            assert credentials.reader(f"Bearer {password}").is_admin

    @pytest.mark.parametrize(
        "authorization",
        [
            *(None, "", "Basic", "Bearer", "Bearer ", "Digest x", "Basic !!!", "Bearer pw-2 "),
            *(
                _basic("order", "pw-2"),
                _basic("order", ""),
                _basic("nobody", "pw-1"),
                _basic("", ""),
                _basic("admin", ""),
            ),
            # What stands in the settings is not what opens.
            *(_basic("order", hashed("pw-1")), f"Bearer {hashed('pw-1')}"),
        ],
    )
    def test_nothing_else_proves_anything(self, authorization: str | None) -> None:
        with pytest.raises(CredentialNeeded):
            Credentials({"order": [hashed("pw-1")]}).reader(authorization)

    def test_a_token_that_two_have_is_no_proof_but_with_a_name(self) -> None:
        credentials = Credentials({"order": ["same"], "payment": ["same"]})

        assert credentials.reader(_basic("payment", "same")) == Reader("payment")
        with pytest.raises(CredentialNeeded):
            credentials.reader("Bearer same")


class TestSettings:
    @pytest.mark.parametrize(
        "written",
        ["", "{sha256}", "{sha256}abc", "{sha256}" + "z" * 64, "{bcrypt}$2a$10$x", "{argon2@Spring}$argon2id$x"],
    )
    def test_what_is_no_credential_is_refused_without_repeating_it(self, written: str) -> None:
        with pytest.raises(MalformedCredential, match="the password of order") as raised:
            Credentials({"order": [written]})

        assert "$" not in str(raised.value)
        assert "zzz" not in str(raised.value)

    def test_an_application_can_t_be_called_as_the_admin_is(self) -> None:
        with pytest.raises(MalformedCredential):
            Credentials({"admin": ["pw-1"]}, admin=["pw-2"])

    def test_an_application_called_admin_is_no_admin(self) -> None:
        assert not Credentials({"admin": ["pw-1"]}).reader(_basic("admin", "pw-1")).is_admin


class TestMain:
    def test_a_credential_is_made_with_its_hash(self) -> None:
        made = subprocess.run(
            [sys.executable, "-m", "config_server.credentials"], capture_output=True, text=True, check=True
        ).stdout

        credential, hash_of_it = (line.rpartition(" ")[2] for line in made.splitlines())
        assert Credentials({"order": [hash_of_it]}).reader(f"Bearer {credential}") == Reader("order")
        assert len(base64.urlsafe_b64decode(credential + "=")) == 32
