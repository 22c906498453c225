"""Connections to workers, against a server on a real port that answers whatever it is told to."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from noibo.egress import is_loopback
from noibo.engines import line
from noibo.errors import EgressRefused

pytestmark = pytest.mark.anyio
JSON = {"Content-Type": "application/json"}


class Server:
    """Says `answers`, one for each request, in the pieces given; None: closes instead."""

    def __init__(self, *answers: list[bytes] | None) -> None:
        self.answers = list(answers)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.hung_up = asyncio.Event()

    async def __aenter__(self) -> Server:
        self.server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                for piece in answer:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.005)
                if b"close" in answer[0].lower():
                    break
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.hung_up.set()
            writer.close()


def whole(body: bytes, *more: str, status: str = "200 OK") -> list[bytes]:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more]
    return ["\r\n".join(lines).encode() + b"\r\n\r\n" + body]


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Their transports are of different classes."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def session() -> AsyncIterator[line.Session]:
    async with line.Session() as made:
        yield made


@pytest.fixture
async def keeping() -> AsyncIterator[line.Session]:
    async with line.Session(keeps=True) as made:
        yield made


async def ask(session: line.Session, url: str, body: bytes = b"{}") -> tuple[int, bytes]:
    async with await session.post(url + "/v1/x?y=1", body, JSON) as response:
        return response.status, await response.read()


async def test_a_request_and_its_answer(session: line.Session) -> None:
    async with (
        Server(whole(b"hello", "X-A: b")) as server,
        await session.post(server.url + "/v1/x?y=1", b"{1}", JSON) as response,
    ):
        assert (response.status, response.headers["x-a"]) == (200, "b")
        assert await response.read() == b"hello"
    assert server.bodies == [b"{1}"]
    head = server.heads[0]
    assert head.startswith(b"POST /v1/x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Connection: close\r\n" in head
    assert b"Content-Type: application/json\r\n" in head


async def test_chunks_come_as_they_are_sent(session: line.Session) -> None:
    begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = [begin, b"3\r\none\r\n", b"3\r\nt", b"wo\r\n", b"0\r\n\r\n"]
    async with Server(parts) as server, await session.post(server.url, b"", {}) as response:
        pieces = []
        while piece := await response.piece():
            pieces.append(piece)
    assert pieces[0] == b"one"
    assert b"".join(pieces) == b"onetwo"


async def test_a_body_may_end_with_its_connection(session: line.Session) -> None:
    async with Server(
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"all ", b"of it"]
    ) as server:
        assert await ask(session, server.url) == (200, b"all of it")


async def test_a_word_before_the_answer_is_passed_over(session: line.Session) -> None:
    async with Server([b"HTTP/1.1 100 Continue\r\n\r\n", *whole(b"then")]) as server:
        assert await ask(session, server.url) == (200, b"then")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Le"],
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhalf"],
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"],
    ],
)
async def test_an_answer_that_breaks_off_is_an_error(
    session: line.Session, answer: list[bytes] | None
) -> None:
    async with Server(answer) as server:
        with pytest.raises(line.Broken):
            await ask(session, server.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense, and close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nclose",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nclose\r\n",
        b"HTTP/1.1 200 close\r\nA: " + b"a" * (line.MOST_HEAD + 1),
    ],
)
async def test_what_is_no_http_is_an_error(session: line.Session, answer: bytes) -> None:
    async with Server([answer]) as server:
        with pytest.raises(line.NotHttp):
            await ask(session, server.url)


async def test_nobody_there_is_another_error_than_a_broken_answer(session: line.Session) -> None:
    async with Server() as server:
        url = server.url
    with pytest.raises(line.Unreachable):
        await ask(session, url)


async def test_to_leave_closes_the_connection(session: line.Session) -> None:
    begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    async with Server([begin], whole(b"")) as server:
        response = await session.post(server.url, b"", {})
        assert await response.piece() == b"one"
        response.close()
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_to_be_cancelled_before_the_head_closes_the_connection(session: line.Session) -> None:
    async with Server([b""], whole(b"")) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await session.post(server.url, b"", {})
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_a_connection_is_kept_where_that_is_wanted(keeping: line.Session) -> None:
    async with Server(*[whole(b"%d" % n) for n in range(5)]) as server:
        for n in range(5):
            assert await ask(keeping, server.url) == (200, b"%d" % n)
    assert server.connections == 1


async def test_a_connection_is_not_kept_where_it_is_not_wanted(session: line.Session) -> None:
    async with Server(whole(b"a"), whole(b"b")) as server:
        assert await ask(session, server.url) == (200, b"a")
        assert await ask(session, server.url) == (200, b"b")
    assert server.connections == 2


async def test_an_answer_without_an_end_is_not_the_beginning_of_the_next(
    keeping: line.Session,
) -> None:
    """What was not read to its end, or says more than it may, is never used again."""
    async with Server(whole(b"x" * 100_000), [*whole(b"a"), b"stray"], whole(b"b")) as server:
        response = await keeping.post(server.url, b"", {})
        await response.piece()
        response.close()
        assert await ask(keeping, server.url) == (200, b"a")
        await asyncio.sleep(0.05)
        assert await ask(keeping, server.url) == (200, b"b")
    assert server.connections >= 2


async def test_one_that_was_closed_meanwhile_is_not_noticed(keeping: line.Session) -> None:
    async with Server(whole(b"a"), None, whole(b"b")) as server:
        assert await ask(keeping, server.url) == (200, b"a")
        assert await ask(keeping, server.url) == (200, b"b")
    assert server.connections == 2


async def test_what_nobody_reads_is_not_taken(session: line.Session) -> None:
    size = 64 * 2**20
    async with (
        Server(whole(b"x" * size)) as server,
        await session.post(server.url, b"", {}) as response,
    ):
        await asyncio.sleep(0.3)
        first = await response.piece()
        assert len(first) < 8 * line.HIGH
        rest = 0
        while piece := await response.piece():
            rest += len(piece)
    assert len(first) + rest == size


@pytest.mark.parametrize("said", ["a\r\nX: y", "a\nb", "a\0b"])
async def test_a_header_is_one_line(session: line.Session, said: str) -> None:
    async with Server() as server:
        with pytest.raises(ValueError, match="line break"):
            await session.post(server.url, b"", {"Authorization": said})


@pytest.mark.parametrize("url", ["http://10.0.0.1:80/", "http://example.com/", "https://1.1.1.1"])
async def test_it_goes_nowhere_else(session: line.Session, url: str) -> None:
    assert not is_loopback(url)
    with pytest.raises(EgressRefused):
        await session.post(url, b"", {})


async def test_a_reset_is_no_end_of_an_answer(session: line.Session) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{")
        await writer.drain()
        await asyncio.sleep(0.05)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(line.Broken):
        await ask(session, url)
    server.close()


async def test_what_comes_after_an_answer_is_nobodys(keeping: line.Session) -> None:
    one, two = whole(b"one")[0], whole(b"two")[0]
    async with Server([one + two], whole(b"three")) as server:
        assert await ask(keeping, server.url) == (200, b"one")
        assert await ask(keeping, server.url) == (200, b"three")
        assert server.connections == 2


async def test_an_answer_without_end_does_not_fill_the_memory(
    session: line.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "MOST_BODY", 1000)
    endless = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", *[b"x" * 100] * 20]
    async with Server(endless) as server:
        with pytest.raises(line.NotHttp, match="MiB"):
            await ask(session, server.url)


async def test_trailers_are_no_headers(session: line.Session) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with (
        Server([head, b"1\r\nx\r\n0\r\nRetry-After: 9\r\n\r\n"]) as server,
        await session.post(server.url, b"", JSON) as response,
    ):
        assert await response.read() == b"x"
        assert "retry-after" not in response.headers


async def test_who_stands_still_is_left(session: line.Session) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    async with Server([head, b"a"]) as server:
        async with await session.post(
            server.url, b"", JSON, line.Waits(first_s=0.2, stall_s=0.2)
        ) as response:
            with pytest.raises(line.Silent):
                await response.read()
        await server.hung_up.wait()


async def test_so_is_who_does_not_begin(session: line.Session) -> None:
    async with Server([b""]) as server:
        with pytest.raises(line.Silent):
            await session.post(server.url, b"", JSON, line.Waits(first_s=0.2, stall_s=0.2))
        await server.hung_up.wait()


async def test_who_is_watched_no_more_may_stand_still(session: line.Session) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    async with Server([head, b"a"]) as server:
        async with await session.post(server.url, b"", JSON, line.Waits(first_s=0.1)) as response:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(response.read(), 0.5)
        await server.hung_up.wait()


async def test_who_is_not_listened_to_does_not_stand_still(session: line.Session) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    async with (
        Server([head, b"ab"]) as server,
        await session.post(server.url, b"", JSON, line.Waits(first_s=0.1, stall_s=0.1)) as response,
    ):
        await asyncio.sleep(0.4)
        assert await response.read() == b"ab"


async def test_what_broke_with_nothing_said_may_be_asked_again(session: line.Session) -> None:
    async with Server(None, [b"HTTP/1.1 200 OK\r\nConte"]) as server:
        for begun in (False, True):
            server.answers = [None] if not begun else [[b"HTTP/1.1 200 close\r\nConte"]]
            with pytest.raises(line.Broken) as broken:
                await ask(session, server.url)
            assert broken.value.begun is begun


async def test_old_connections_do_not_pile_up(
    keeping: line.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Server(*[whole(b"x") for _ in range(8)]) as server:
        responses = await asyncio.gather(*(keeping.post(server.url, b"", JSON) for _ in range(4)))
        for response in responses:
            await response.read()
            response.close()
        monkeypatch.setattr(line, "IDLE_S", 0.0)
        assert await ask(keeping, server.url) == (200, b"x")
        assert sum(map(len, keeping._idle.values())) == 1


async def test_a_closed_session_keeps_nothing() -> None:
    session = line.Session(keeps=True)
    async with Server(whole(b"x")) as server:
        response = await session.post(server.url, b"", JSON)
        await session.close()
        assert await response.read() == b"x"
        response.close()
        assert not session._idle[next(iter(session._idle), ("", 0, False))]
