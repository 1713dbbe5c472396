"""Credentials as settings have them."""

import pytest

from chassis.hashed_credentials import MalformedCredential, digest_of_sent, digest_of_written, hashed


class TestDigestOfWritten:
    def test_a_credential_is_the_same_in_the_open_and_hashed(self) -> None:
        sent = digest_of_sent("a long random one")

        assert digest_of_written("orders", "a long random one") == sent
        assert digest_of_written("orders", hashed("a long random one")) == sent
        assert digest_of_written("orders", "another") != sent

    @pytest.mark.parametrize(
        "written", ["", "{sha256}", "{sha256}beef", "{sha256}" + "zz" * 32, "{bcrypt}$2a$10$abc", "{SHA}abc"]
    )
    def test_what_can_not_be_meant_is_refused_without_being_shown(self, written: str) -> None:
        with pytest.raises(MalformedCredential, match="orders") as refused:
            digest_of_written("orders", written)

        assert "beef" not in str(refused.value)
        assert "abc" not in str(refused.value)
