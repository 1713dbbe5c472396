"""What Spring's AesBytesEncryptor wrote is read, what is written here can be read by it, and keys can be changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config_server.encryption import Key, KeyRing, PrefixedText, Undecryptable

# Encrypted by Spring's own server.
SPRINGS_KEY = Key("", "flotilla-golden-key-2026", "deadbeef")
SPRINGS = {
    "44113916a7a20c6818771d7008b8aaff75b2ce4dcfc1a57b7a161f97adb22f2c5f64d877bb23c72166e0ff16ed98fa6e": (
        "s3cr3t-pässwörd"
    ),
    "cf7d04a883f81f26a412c7478b828ff30dce13c98b629b80820634d215259544debc0ba8af1880e61a6cedf8907c8095": (
        "line one\nline two"
    ),
    "298c720ce676058cb1403a2242d3faaff6d65f195bb5a4a3ef6940456034f747": " ",
    "87b133cc4f0ddc9b27e88dd3e0249e51e973f80463de16e840753f9c9781df24": "hello",
    "{key:mine}23ec5a278136450145304a4a8f387f9571926ca45a3a95b01f71c0fadfa7d36b": "hello",
    '{"a":1}da23a50b70a90a93da9be2ee7ec6bee8e208b4d44688f3c1232227abd8bdbc0f': "",
}

FIRST = Key("2025", "first", "deadbeef")
SECOND = Key("2026", "second", "deadbeef")
# Made so that `first` and `second` both lead to a right padding and to UTF-8.
FITS_BOTH = "4032d9fe67a542ee0f5e762f79500e7a9ffb21304dd771668754455c75d6eb69"


class TestDecrypt:
    @pytest.mark.parametrize(("encrypted", "text"), SPRINGS.items())
    def test_what_springs_server_encrypted_is_read(self, encrypted: str, text: str) -> None:
        assert KeyRing(SPRINGS_KEY).decrypt(encrypted) == text
        assert KeyRing(SECOND, [FIRST, SPRINGS_KEY]).decrypt(encrypted) == text

    def test_hexadecimal_digits_may_be_capitals_as_in_spring(self) -> None:
        encrypted = next(iter(SPRINGS))

        assert KeyRing(SPRINGS_KEY).decrypt(encrypted.upper()) == SPRINGS[encrypted]

    @pytest.mark.parametrize(
        "encrypted",
        [
            *("", "{cipher}", "zzzz", "0123456789abcdef", "00" * 16, "00" * 32, "0", "é" * 64, "{key:a}", "{plain}"),
            next(iter(SPRINGS))[:-2],
            next(iter(SPRINGS)) + "\n",
            " " + next(iter(SPRINGS)),
            "{cipher}" + next(iter(SPRINGS)),
        ],
    )
    def test_anything_else_is_undecryptable_and_the_error_does_not_repeat_it(self, encrypted: str) -> None:
        with pytest.raises(Undecryptable) as raised:
            KeyRing(SPRINGS_KEY).decrypt(encrypted)

        assert not encrypted or encrypted not in str(raised.value)

    @given(st.text(alphabet="0123456789abcdef{}:keyplan", max_size=200))
    def test_no_text_is_worse_than_undecryptable(self, encrypted: str) -> None:
        with pytest.raises(Undecryptable):
            KeyRing(FIRST, [SECOND]).decrypt(encrypted)


class TestEncrypt:
    @given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
    def test_what_is_encrypted_can_be_decrypted(self, text: str) -> None:
        for ring in (KeyRing(SPRINGS_KEY), KeyRing(SECOND, [FIRST])):
            encrypted = ring.encrypt("{plain}" + text)
            assert ring.decrypt(encrypted) == text

    def test_the_same_text_is_never_encrypted_to_the_same(self) -> None:
        ring = KeyRing(SPRINGS_KEY)

        assert ring.encrypt("hello") != ring.encrypt("hello")

    def test_it_has_the_form_of_springs_iv_and_blocks_in_hexadecimal_digits(self) -> None:
        encrypted = KeyRing(SPRINGS_KEY).encrypt("x" * 16)

        assert len(bytes.fromhex(encrypted)) == 16 + 32

    @pytest.mark.parametrize(
        ("written", "prefixes", "text"),
        [
            ("hello", "", "hello"),
            ("{key:mine}hello", "{key:mine}", "hello"),
            ("{key:mine}{secret:s}hello", "{key:mine}{secret:s}", "hello"),
            ("{plain}{key:mine}hello", "", "{key:mine}hello"),
            ("{key:mine}{plain}{a:b}", "{key:mine}", "{a:b}"),
            ('{"a":1}', '{"a":1}', ""),
            ("{no prefix}x", "", "{no prefix}x"),
            ('{"a":{"b":1}}', "", '{"a":{"b":1}}'),
            ("a{key:mine}", "", "a{key:mine}"),
            ("a{plain}b", "", "a{plain}b"),
        ],
    )
    def test_prefixes_stay_before_it(self, written: str, prefixes: str, text: str) -> None:
        ring = KeyRing(SPRINGS_KEY)

        encrypted = ring.encrypt(written)

        assert PrefixedText.of(encrypted).prefixes == prefixes
        assert ring.decrypt(encrypted) == text


class TestChangeOfKeys:
    def test_what_an_older_key_encrypted_is_read_with_and_without_its_id(self) -> None:
        ring = KeyRing(SECOND, [FIRST])

        assert ring.decrypt(FIRST.encrypt("old")) == "old"
        assert ring.decrypt("{key:2025}" + FIRST.encrypt("old")) == "old"

    def test_new_values_name_the_current_key(self) -> None:
        encrypted = KeyRing(SECOND, [FIRST]).encrypt("new")

        assert encrypted.startswith("{key:2026}")
        assert SECOND.decrypt(encrypted.removeprefix("{key:2026}")) == "new"

    def test_an_older_key_can_be_asked_for(self) -> None:
        encrypted = KeyRing(SECOND, [FIRST]).encrypt("{key:2025}for a server that has only this")

        assert FIRST.decrypt(encrypted.removeprefix("{key:2025}")) == "for a server that has only this"

    def test_a_named_key_is_the_only_one_that_is_tried(self) -> None:
        with pytest.raises(Undecryptable):
            KeyRing(SECOND, [FIRST]).decrypt("{key:2026}" + FIRST.encrypt("old"))

    def test_an_unknown_name_says_nothing(self) -> None:
        assert KeyRing(SECOND, [FIRST]).decrypt("{key:other}" + FIRST.encrypt("old")) == "old"

    def test_a_key_that_was_taken_out_reads_nothing_any_more(self) -> None:
        with pytest.raises(Undecryptable):
            KeyRing(SECOND).decrypt(FIRST.encrypt("old"))

    def test_where_two_keys_seem_to_fit_nothing_is_guessed(self) -> None:
        ring = KeyRing(SECOND, [FIRST])

        with pytest.raises(Undecryptable):
            ring.decrypt(FITS_BOTH)

        assert ring.decrypt("{key:2026}" + FITS_BOTH) == "äääBäk?ää"

    def test_one_key_under_two_ids_is_one_key(self) -> None:
        ring = KeyRing(Key("", "first", "deadbeef"), [FIRST])

        assert ring.decrypt(ring.encrypt("hello")) == "hello"

    @pytest.mark.parametrize(
        ("written", "is_current"),
        [
            ("{key:2026}" + SECOND.encrypt("x"), True),
            (SECOND.encrypt("x"), False),
            ("{key:2025}" + FIRST.encrypt("x"), False),
            (FIRST.encrypt("x"), False),
        ],
    )
    def test_what_is_not_current_is_known(self, written: str, is_current: bool) -> None:
        assert KeyRing(SECOND, [FIRST]).is_current(written) == is_current

    def test_a_current_key_without_an_id_is_known_by_what_it_reads(self) -> None:
        ring = KeyRing(SPRINGS_KEY, [FIRST])

        assert ring.is_current(SPRINGS_KEY.encrypt("x"))
        assert not ring.is_current(FIRST.encrypt("x"))
