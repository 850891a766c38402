"""The gate before the service: who is let in, and what a page of another site can do."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.helpers.served import TOKEN, Served, served
from trainer.service import gate
from trainer.service.exposure import Exposure
from trainer.service.gate import Gate
from trainer.service.tokens import Tokens

BEARER = {"Authorization": f"Bearer {TOKEN}"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
PATHS = (
    "/", "/index.html", "/api/v1/runs", "/api/v1/preview", "/openapi.json", "/nothing",
    "/api/v1/events", "//api/v1/runs", "/api/v1/../v1/runs", "/%2e%2e/%2e%2e/etc/passwd",
)  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("gate")
    (folder / "runs").mkdir()
    with served(folder / "runs", folder / "state", hosts=["proxy.example"]) as found:
        yield found


def asked(
    service: Served, method: str = "GET", path: str = "/api/v1/runs", **headers: str
) -> httpx.Response:
    headers = {"Content-Type": "application/json", **{k.replace("_", "-"): v
               for k, v in headers.items()}}  # fmt: skip
    service.stranger.cookies.clear()
    return service.stranger.request(method, service.url + path, headers=headers)


def test_who_has_the_token_is_let_in(service: Served) -> None:
    assert asked(service, **BEARER).status_code == 200


@pytest.mark.parametrize("method", METHODS)
def test_nobody_else_is_let_in_by_any_method_or_path(method: str, service: Served) -> None:
    for path in PATHS:
        assert asked(service, method, path).status_code == 401
        assert asked(service, method, path, Authorization="Bearer x").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Cookie": f"trainer={TOKEN}"},
        {"Cookie": "trainer-1=; trainer-2="},
    ],
)
def test_what_is_nearly_the_token_is_not_it(headers: dict[str, str], service: Served) -> None:
    assert asked(service, **headers).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},  # a name that leads to 127.0.0.1
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example:80"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},  # another port is another site's
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_can_do_nothing_even_with_the_token(
    headers: dict[str, str], service: Served
) -> None:
    for method in METHODS:
        answer = asked(service, method, **BEARER, **headers)
        assert answer.status_code in (400, 403, 421)
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:99", "proxy.example"])
def test_the_names_of_the_server_are_known_with_any_port(host: str, service: Served) -> None:
    assert asked(service, Host=host, **BEARER).status_code == 200
    same = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert asked(service, **same, **BEARER).status_code == 200


def test_two_names_at_once_are_none(service: Served) -> None:
    assert "421" in raw(service, b"GET /api/v1/runs HTTP/1.0\r\nAuthorization: Bearer "
                        + TOKEN.encode() + b"\r\n\r\n").partition("\r\n")[0]  # fmt: skip
    twice = raw(service, b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert twice.partition("\r\n")[0].split()[1] in ("400", "421")


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x/json"]
)
def test_what_a_form_can_send_is_not_taken(kind: str, service: Served) -> None:
    headers = {**BEARER, "Content-Type": kind}
    answer = service.stranger.post("/api/v1/preview", headers=headers, content=b"{}")
    assert answer.status_code == 415


def test_a_body_that_is_announced_too_large_is_not_read(service: Served) -> None:
    head = (f"POST /api/v1/preview HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {2**21}\r\n\r\n")  # fmt: skip
    assert " 413 " in raw(service, head.encode()).partition("\r\n")[0]


def test_a_body_of_unknown_length_is_read_to_the_bound_and_no_further(service: Served) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 2**16

    headers = {**BEARER, "Content-Type": "application/json"}
    try:
        answer = service.stranger.post("/api/v1/preview", headers=headers, content=endless())
    except httpx.HTTPError:  # closed while it was still sending
        return
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("headers", "size", "status"),
    [({}, 2**20, 413), ({"content-type": "text/plain"}, 2**10, 415),
     ({"authorization": "Bearer x"}, 2**10, 401)],
)  # fmt: skip
@pytest.mark.parametrize("count", [3, 100])
@pytest.mark.parametrize("expect", ["", "100-continue"])
def test_a_body_that_is_refused_is_read_to_a_bound_before_the_answer(
    headers: dict[str, str], size: int, status: int, count: int, expect: str
) -> None:
    piece, events = b"x" * size, list[str]()
    pieces = iter([*[{"type": "http.request", "body": piece, "more_body": True}] * (count - 1),
                   {"type": "http.request", "body": piece, "more_body": False}])  # fmt: skip

    async def receive() -> Message:
        events.append("read")
        return next(pieces)

    async def send(message: Message) -> None:
        events.append(str(message.get("status", "")))

    sent = {"host": "localhost", "authorization": f"Bearer {TOKEN}", "expect": expect,
            "content-type": "application/json", "content-length": str(count * size),
            **headers}  # fmt: skip
    scope = {"type": "http", "method": "POST", "path": "/api/v1/preview", "query_string": b"",
             "headers": [(name.encode(), value.encode())
                         for name, value in sent.items() if value]}  # fmt: skip
    asyncio.run(Gate(no_app, Tokens(TOKEN, 1), Exposure())(scope, receive, send))
    most = gate.MAX_DROPPED_BYTES // len(piece)
    assert events == [*["read"] * (0 if expect else min(count, most)), str(status), ""]


async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("it was let in")


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "HEAD"])
def test_a_method_without_a_body_that_an_address_has_not_is_a_405(
    method: str, service: Served
) -> None:
    answer = asked(service, method, "/api/v1/health", **BEARER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_that_comes_too_slowly_is_given_up(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.1)
    head = (f"POST /api/v1/preview HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{")  # fmt: skip
    assert " 408 " in raw(service, head.encode()).partition("\r\n")[0]


def test_what_is_no_json_and_what_nests_too_deep_is_refused_in_words(service: Served) -> None:
    for content in (b"{", b"[" * 100_000, b'{"overrides": ' + b"[" * 50_000, b"\xff", b"null"):
        headers = {**BEARER, "Content-Type": "application/json"}
        answer = service.stranger.post("/api/v1/preview", headers=headers, content=content)
        assert answer.status_code in (400, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_link_lets_one_browser_in_once(service: Served) -> None:
    path = f"/?link={service.service.tokens.new_link()}"
    first = asked(service, path=path)
    assert (first.status_code, first.headers["location"]) == (303, "./")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert asked(service, path=path).status_code == 401
    by_cookie = asked(service, Cookie=cookie.partition(";")[0])
    assert by_cookie.status_code == 200
    again = asked(service, path=path, Cookie=cookie.partition(";")[0])
    assert again.status_code == 303


def test_a_link_does_not_work_from_a_page_of_another_site(service: Served) -> None:
    link = service.service.tokens.new_link()
    assert asked(service, path=f"/?link={link}", Sec_Fetch_Site="cross-site").status_code == 403
    assert asked(service, path=f"/api/v1/runs?link={link}").status_code == 401
    assert asked(service, "POST", f"/?link={link}").status_code == 401
    assert asked(service, path=f"/?link={link}").status_code == 303


@pytest.mark.parametrize("path", ["/", "/api/v1/runs", "/nothing", "/api/v1/health"])
@pytest.mark.parametrize("headers", [BEARER, {}, {"Host": "evil.example"}])
def test_every_answer_forbids_scripts_frames_and_guesses(
    path: str, headers: dict[str, str], service: Served
) -> None:
    answer = asked(service, path=path, **headers)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "server" not in answer.headers


def test_connections_that_ask_nothing_are_closed_and_others_served_meanwhile(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.service.server.HEADER_SECONDS", 0.5)
    idle = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(200)]
    try:
        for connection in idle[::2]:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert asked(service, **BEARER).status_code == 200
        for connection in idle:
            connection.settimeout(30)
            assert connection.recv(10) == b""
    finally:
        for connection in idle:
            connection.close()


def raw(service: Served, content: bytes) -> str:
    """What is answered to bytes."""
    with socket.create_connection(("127.0.0.1", service.port), 30) as connection:
        connection.sendall(content)
        answer = b""
        while piece := connection.recv(2**16):
            answer += piece
            if b"\r\n\r\n" in answer:
                break
            time.sleep(0.01)
    return answer.decode("latin-1")


def test_the_contract_is_served_and_names_every_path(service: Served) -> None:
    answer = asked(service, path="/openapi.json", **BEARER)
    document = json.loads(answer.text)
    paths = document["paths"]
    assert {"/api/v1/runs", "/api/v1/runs/{run}/rows", "/api/v1/preview"} <= paths.keys()
    for operation in (one for path in paths.values() for one in path.values()):
        assert operation["responses"].keys() >= {"default"}
        assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
        assert "422" not in operation["responses"]
    assert document["components"]["schemas"]["ProblemBody"]["properties"].keys() >= {"problems"}


def test_a_parameter_that_an_address_does_not_know_is_refused_by_each(service: Served) -> None:
    paths = json.loads(asked(service, path="/openapi.json", **BEARER).text)["paths"]
    asked_of = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(asked_of) > 30
    for method, path in asked_of:
        place = re.sub("{.*?}", "0" * 16, path)
        kind = "text/csv" if path.endswith("/predictions") else "application/json"
        answer = asked(service, method, f"{place}?limits=3", **BEARER, Content_Type=kind)
        problems = {one["path"]: one for one in answer.json()["problems"]}
        assert answer.status_code == 422, (method, path)
        assert problems["query.limits"]["rule"] == "is no parameter of this address"
    hint = asked(service, path="/api/v1/runs?limits=3", **BEARER).json()["problems"][0]["hint"]
    assert hint == "did you mean limit?"


def test_a_folder_is_needed_for_nothing_of_this(service: Served, tmp_path: Path) -> None:
    assert service.get("/runs")["total"] == 0
