"""A generation in llama-server's own shape: `/completion` and `/infill`."""

from __future__ import annotations

import re
from dataclasses import replace

from noibo.gateway.pipeline import Request
from noibo.gateway.relay import Assembler, Relay
from noibo.gateway.services import Services
from noibo.wire import body, completion, llama_server


class NativeRelay(Relay):
    """Passes llama-server's events through, or puts them together. A native stream has no last
    word: it is whole when its response is, which HTTP says."""

    ending = re.compile(rb'"stop": ?true')

    def __init__(self, services: Services, request: Request) -> None:
        fields = dict(request.fields)
        completion.check(fields)
        self._with_tokens = body.field(fields, "return_tokens", bool, False)
        self._wanted = body.field(fields, "response_fields", list[str])
        if not request.streamed:
            fields.pop("response_fields", None)  # the engine would leave out what we join
        request = replace(request, fields=fields)
        super().__init__(services.pipeline, request, services.settings.queue, llama_server.Voice())

    def is_end(self, block: bytes) -> bool:
        """Always: a response that breaks off raises while it is read."""
        return True

    def new_assembler(self) -> Assembler:
        """llama-server's shape."""
        return llama_server.Assembler(with_tokens=self._with_tokens, wanted=self._wanted)
