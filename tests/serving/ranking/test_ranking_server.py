import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from hftrain.errors import ConfigError
from hftrain.serving.ranking_desk import Desk
from hftrain.serving.ranking_items import item_of
from hftrain.serving.ranking_server import Access, RankingPage, kept_token, listen
from hftrain.serving.ranking_store import RankingStore, database_url

ACCESS = Access("127.0.0.1", 8765, "t" * 32)
HERE = "http://127.0.0.1:8765"


class Client:
    """Asks the application without a network, as a page of it would."""

    def __init__(self, desk: Desk, **more: Any) -> None:
        self._app = RankingPage(desk, ACCESS, **more).app()
        self.headers = {"cookie": f"{ACCESS.cookie}={ACCESS.token}"}

    async def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        headers = {**self.headers, **given.pop("headers", {})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self._app), base_url=HERE) as client:
            return await client.request(method, path, headers=headers, **given)

    def __call__(self, method: str, path: str, **given: Any) -> httpx.Response:
        import anyio

        return anyio.run(lambda: self.ask(method, path, **given))


@pytest.fixture
def client(desk: Desk) -> Client:
    return Client(desk)


def choice(client: Client, **more: Any) -> dict[str, Any]:
    task = client("GET", "/api/work?rater=Ann").json()["tasks"][0]
    places = list(range(1, len(task["answers"]) + 1))
    return {"choice_id": "choice-01", "rater": "Ann", "item": task["item"], "kind": "ranked", "places": places} | more


def test_a_choice_that_is_sent_twice_is_stored_once(client: Client, desk: Desk) -> None:
    body = {"choices": [choice(client), choice(client, choice_id="choice-02", kind="nonsense")]}
    first, second = (client("POST", "/api/choices", json=body).json()["results"] for _ in range(2))
    assert [each["status"] for each in first] == ["stored", "refused"]
    assert [each["status"] for each in second] == ["already", "refused"]
    assert desk.store.count() == 1
    work = client("GET", "/api/work?rater=Ann").json()
    assert (work["total"], work["decided"], len(work["tasks"])) == (3, {"ranked": 1, "all_bad": 0, "skip": 0}, 2)
    assert client("GET", "/api/last?rater=Ann").json()["last"]["choice_id"] == "choice-01"
    assert client("GET", "/api/raters").json() == {"raters": ["Ann"]}
    assert client("GET", "/api/team").json()["alpha"] is None


def test_a_rater_never_sees_who_answered_or_in_which_order(client: Client) -> None:
    said = client("GET", "/api/work?rater=Ann").text
    assert "sha256" not in said and "answered_by" not in said and "order" not in said


def test_without_the_token_there_is_neither_page_nor_data(client: Client) -> None:
    assert "Rank the answers" in client("GET", "/").text
    for cookie in ("", f"{ACCESS.cookie}=wrong", "hftrain_rank_1=" + ACCESS.token):
        client.headers = {"cookie": cookie}
        assert client("GET", "/").status_code == 403
        assert client("GET", "/api/work?rater=Ann").status_code == 401
        assert client("POST", "/api/choices", json={"choices": []}).status_code == 401
    assert client("GET", "/?token=wrong").status_code == 403
    entered = client("GET", f"/?token={ACCESS.token}")
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict"} <= set(entered.headers["set-cookie"].split("; "))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example:8765"}, 421),
        ({"host": "127.0.0.1.evil.example:8765"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "text/plain"}, 415),
    ],
)
def test_other_hosts_and_other_origins_are_refused(
    client: Client, desk: Desk, headers: dict[str, str], status: int
) -> None:
    body = json.dumps({"choices": [choice(client)]})
    usual = {"content-type": "application/json", "origin": HERE}
    assert client("POST", "/api/choices", content=body, headers=usual | headers).status_code == status
    assert desk.store.count() == 0
    assert client("POST", "/api/choices", content=body, headers=usual).status_code == 200


def test_bodies_that_are_large_or_no_choices_are_refused(client: Client) -> None:
    json_type = {"content-type": "application/json"}
    assert client("POST", "/api/choices", content=b"x" * 300_000, headers=json_type).status_code == 413
    for body in (b"", b"[]", b"{}", b"\xff", b'{"choices": 3}', b'{"choices": []}', b"[" * 100_000):
        assert client("POST", "/api/choices", content=body, headers=json_type).status_code == 422, body[:20]
    odd: list[Any] = [
        3,
        {},
        {"choice_id": 3},
        choice(client, places="12"),
        choice(client, more=1),
        choice(client, item=[]),
    ]
    odd += [choice(client, comment=7), choice(client, undoes=["x"]), choice(client, places=[1.5, 2]), None]
    results = client("POST", "/api/choices", json={"choices": odd}).json()["results"]
    assert {each["status"] for each in results} == {"refused"}
    assert client("GET", "/api/work?rater=").status_code == 422


def test_the_pages_policy_lets_only_its_own_script_run_and_its_data_cannot_leave_their_place(desk: Desk) -> None:
    answer = Client(desk, rater="</script><script>alert(1)</script>")("GET", "/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "alert(1)</script>" not in answer.text
    assert answer.text.count("<script") == 2
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")
    assert "@@" not in answer.text and "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")


def test_odd_texts_reach_the_page_as_they_are(tmp_path: Path) -> None:
    odd = "\0\u2028</script>\U0001f600"
    odd_desk = Desk(
        RankingStore(database_url(tmp_path, None)), [item_of([{"role": "user", "content": odd}], [odd, "b"])]
    )
    task = Client(odd_desk)("GET", "/api/work?rater=Ann").json()["tasks"][0]
    assert task["prompt"][0]["content"] == odd and odd in task["answers"]


def test_a_restart_keeps_the_token_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "ranking" / "token"
    token = kept_token(path)
    assert kept_token(path) == token and len(token) >= 32
    assert path.stat().st_mode & 0o077 == 0


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="Give another --port"):
        listen("127.0.0.1", taken.getsockname()[1])
