from pathlib import Path

import pytest
from starlette.datastructures import Headers

from hftrain.errors import ConfigError
from hftrain.serving.guarding import Guard, allowed_hosts, read_keys

KEY = "a-key-of-many-characters"


def test_a_key_comes_from_a_file_of_its_owner_or_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HFTRAIN_API_KEY", raising=False)
    assert read_keys(None) == ()
    monkeypatch.setenv("HFTRAIN_API_KEY", KEY)
    assert read_keys(None) == (KEY,)
    file = tmp_path / "key"
    file.write_text(f"{KEY[::-1]}\n")
    file.chmod(0o600)
    assert read_keys(file) == (KEY[::-1],)
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_keys(file)
    with pytest.raises(ConfigError, match="readable file"):
        read_keys(tmp_path / "none")


def test_each_of_several_keys_is_taken_until_it_is_withdrawn(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\n{KEY[::-1]}\n")
    file.chmod(0o600)
    assert read_keys(file) == (KEY, KEY[::-1])
    both, last = Guard(port=80, key=KEY, further_keys=(KEY[::-1],)), Guard(port=80, key=KEY[::-1])
    cookie = Headers({"cookie": f"{both.cookie_name}={both.cookie_value}"})
    for key, by_last in ((KEY, False), (KEY[::-1], True)):
        assert both.allows_key(Headers({"authorization": f"Bearer {key}"}))
        assert last.allows_key(Headers({"authorization": f"Bearer {key}"})) == by_last
    assert both.allows_key(cookie)
    assert not last.allows_key(cookie)
    assert not Guard(port=80, key=KEY, further_keys=(KEY[::-1],)).is_key("")
    file.write_text(f"{KEY}\nshort\n")
    with pytest.raises(ConfigError, match="a key of 5"):
        read_keys(file)


@pytest.mark.parametrize("key", ["short", "with spaces in it at all", "with-ümlauts-in-it-at-all"])
def test_a_weak_key_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTRAIN_API_KEY", key)
    with pytest.raises(ConfigError, match="At least 16"):
        read_keys(None)


def test_a_request_holds_the_key_by_its_header_or_by_the_cookie_that_stands_for_it() -> None:
    guard = Guard(port=80, key=KEY)

    def allowed(**headers: str) -> bool:
        return guard.allows_key(Headers(headers))

    assert allowed(authorization=f"Bearer {KEY}")
    assert allowed(authorization=f"bearer  {KEY} ")
    assert allowed(cookie=f"a=b; {guard.cookie_name}={guard.cookie_value}")
    assert KEY not in guard.cookie_value
    for wrong in (f"Basic {KEY}", KEY, "Bearer ", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}"):
        assert not allowed(authorization=wrong)
    assert not allowed(cookie=f"{guard.cookie_name}={KEY}")
    assert not allowed()
    assert Guard(port=80).allows_key(Headers({}))
    assert Guard(port=81, key=KEY).cookie_name != guard.cookie_name


def test_a_server_is_asked_by_its_own_names() -> None:
    assert allowed_hosts("10.0.0.1", ["Models.example"]) == {
        "127.0.0.1", "localhost", "[::1]", "10.0.0.1", "models.example",
    }  # fmt: skip
