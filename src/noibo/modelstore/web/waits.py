"""Waits for the network that can be ended from outside: by a cancel, or by a page's own time.

A server that sends a byte a second resets every timeout that a socket has, and a socket that waits
does not see a cancel. So whoever reads a page reads in short turns, and what knows no turns (a
look-up, a connection, a handshake) is waited for while another thread does it. Files are read in
long turns: a download hangs up by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import httpcore2
import httpx2

from noibo.modelstore.progress import Cancel

T = TypeVar("T")

TURN_S: Final = 0.25


class Waits:
    """What ends the waits of one session. Each thread has pages of its own."""

    def __init__(self, cancel: Cancel) -> None:
        self.cancel = cancel
        self._here = threading.local()

    @contextmanager
    def page(self, seconds: float) -> Iterator[None]:
        """What this thread waits for in here ends with a cancel, and after so many seconds."""
        before = self._until
        self._here.until = min(before or float("inf"), time.monotonic() + seconds)
        try:
            yield
        finally:
            self._here.until = before

    @property
    def is_late(self) -> bool:
        """True when the page that this thread reads has had its time."""
        return self._until is not None and time.monotonic() >= self._until

    def check(self) -> None:
        """Raise `httpx2.TransportError` if the page is cancelled, or late."""
        if self._until is None:
            return
        if self.cancel.asked:
            raise httpx2.ReadError("it was cancelled")
        if self.is_late:
            raise httpx2.ReadTimeout("the page has had its time")

    def pause(self, seconds: float) -> None:
        """Wait before another try, at most until the page has had its time."""
        left = seconds if self._until is None else self._until - time.monotonic()
        self.cancel.wait(max(0.0, min(seconds, left)))

    def turn(self, timeout: float | None) -> float | None:
        """For how long to wait for a socket at once, where `timeout` is what is left."""
        if self._until is None:
            return timeout
        return TURN_S if timeout is None else max(0.001, min(TURN_S, timeout))

    def over(self, call: Callable[[], T], drop: Callable[[T], object] = lambda _: None) -> T:
        """What `call` gives, as soon as it is there. One that is not waited for any more works on
        in its thread, and `drop` gets what comes of it."""
        if self._until is None:
            return call()
        self.check()
        answer: Future[T] = Future()
        threading.Thread(target=_settle, args=(answer, call), daemon=True).start()
        try:
            while not wait([answer], TURN_S).done:
                self.check()
        except BaseException:
            answer.add_done_callback(partial(_dropped, drop))
            raise
        return answer.result()

    @property
    def _until(self) -> float | None:
        until: float | None = getattr(self._here, "until", None)
        return until


def _settle(answer: Future[T], call: Callable[[], T]) -> None:
    try:
        answer.set_result(call())
    except BaseException as exc:  # noqa: BLE001 - the thread that waits raises it
        answer.set_exception(exc)


def _dropped(drop: Callable[[T], object], answer: Future[T]) -> None:
    if answer.exception() is None:
        drop(answer.result())


class PatientNetwork(httpcore2.NetworkBackend):
    """Connections whose waits end when `waits` says so."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._plain = httpcore2.SyncBackend()

    @classmethod
    def under(cls, transport: httpx2.HTTPTransport, waits: Waits) -> httpx2.HTTPTransport:
        """`transport`, on such connections: its maker has no place for them."""
        transport._pool._network_backend = cls(waits)
        return transport

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        connect = partial(
            self._plain.connect_tcp, host, port, timeout, local_address, socket_options
        )
        return _Stream(self._waits.over(connect, httpcore2.NetworkStream.close), self._waits)


class _Stream(httpcore2.NetworkStream):
    """A connection, read in turns."""

    def __init__(self, inner: httpcore2.NetworkStream, waits: Waits) -> None:
        self._inner = inner
        self._waits = waits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            self._waits.check()
            left = None if until is None else until - time.monotonic()
            try:
                return self._inner.read(max_bytes, self._waits.turn(left))
            except httpcore2.ReadTimeout:
                if until is not None and time.monotonic() >= until:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, *args: Any, **options: Any) -> httpcore2.NetworkStream:
        shake_hands = partial(self._inner.start_tls, *args, **options)
        try:
            inner = self._waits.over(shake_hands, httpcore2.NetworkStream.close)
        except BaseException:
            self._inner.close()
            raise
        return _Stream(inner, self._waits)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
