"""One address of the hub, Hugging Face's own or a mirror's, and what its answers mean."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Self

import httpx2
from huggingface_hub import ModelInfo, hf_hub_url
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from noibo.egress import Destination, Door, Purpose
from noibo.errors import AccessNeeded, FetchError, NotOffered
from noibo.modelstore.progress import Cancel
from noibo.modelstore.sources import hub_library
from noibo.modelstore.web.credentials import clean
from noibo.modelstore.web.faults import status_fault
from noibo.modelstore.web.session import WebSession
from noibo.settings import Fetch

SIGN_IN = "`hf auth login`, or HF_TOKEN"


class HubEndpoint:
    """Asks one address of the hub. `token` goes to this address and nowhere else."""

    def __init__(
        self,
        door: Door,
        fetch: Fetch,
        url: str,
        token: str | None,
        cancel: Cancel | None = None,
    ) -> None:
        self.url = url
        self._has_token = token is not None
        auth = Bearer(token) if token else None
        self._session = WebSession(
            door, Purpose.MODEL_HUB, [url], fetch.private_hosts, auth, cancel
        )
        self._session.retries = 2  # there may be another address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def info(self, repo: str, revision: str | None) -> ModelInfo:
        """What the repository holds at a revision, with sizes and digests."""
        with self._in_words(repo, revision), hub_library.through(self._session, self.url) as hub:
            return hub.model_info(repo, revision=revision, files_metadata=True)

    def search(self, words: str, limit: int) -> list[ModelInfo]:
        """Models whose name has the words, the most fetched first."""
        with self._in_words(), hub_library.through(self._session, self.url) as hub:
            return list(
                hub.list_models(
                    search=words,
                    sort="downloads",
                    limit=limit,
                    expand=["downloads", "likes", "lastModified", "gated", "tags"],
                )
            )

    def file_url(self, repo: str, commit: str, path: str) -> str:
        return hf_hub_url(repo, path, revision=commit, endpoint=self.url)

    def text(self, repo: str, commit: str, path: str, limit: int) -> str | None:
        """A small file as text; None where it cannot be had."""
        try:
            answer = self._session.get(self.file_url(repo, commit, path), limit=limit)
        except FetchError:
            return None
        return answer.content.decode("utf-8", "replace") if answer.status_code == 200 else None

    @contextmanager
    def open(self, repo: str, url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """A file's bytes; `AccessNeeded` where the hub itself refuses them."""
        with self._session.open(url, headers) as response:
            is_own = Destination.of(str(response.request.url)) == Destination.of(self.url)
            if is_own and response.status_code in {401, 403}:
                raise self.access_needed(repo)
            yield response

    def require_access(self, repo: str, url: str) -> None:
        """Raise `AccessNeeded` now rather than when the first byte is fetched."""
        try:
            with self.open(repo, url, {"Range": "bytes=0-0"}):
                pass
        except httpx2.TransportError:
            pass  # the download will see, and try again

    def access_needed(self, repo: str) -> AccessNeeded:
        """Where to accept the licence, and how to show who one is."""
        page = f"https://huggingface.co/{repo}"
        if self._has_token:
            return AccessNeeded(
                f"hf.co/{repo} is not open to the account whose token is set here.",
                next_step=f"Accept its licence at {page} (signed in to that account) and wait "
                "until access is given; a fine-grained token must also allow gated repositories.",
            )
        return AccessNeeded(
            f"hf.co/{repo} is given only to those who accepted its licence.",
            next_step=f"Accept it at {page} (signed in), then give noibo your token: {SIGN_IN}.",
        )

    @contextmanager
    def _in_words(self, repo: str = "", revision: str | None = None) -> Iterator[None]:
        """Turns the library's errors into ours; their own texts are never shown."""
        try:
            yield
        except HfHubHTTPError as exc:
            raise self._fault(exc, repo, revision) from exc
        except HFValidationError as exc:
            raise NotOffered(f"{repo} is no name of a repository on Hugging Face.") from exc
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
            raise FetchError(
                f"{clean(self.url)} answers with something else than the hub's API.",
                next_step="Check fetch.hub, HF_ENDPOINT and fetch.hub_mirrors; a proxy or a "
                "sign-in page may stand in between.",
            ) from exc

    def _fault(self, exc: HfHubHTTPError, repo: str, revision: str | None) -> FetchError:
        status = exc.response.status_code
        match exc:
            case GatedRepoError():
                fault: FetchError = self.access_needed(repo)
            case RevisionNotFoundError():
                fault = NotOffered(
                    f"hf.co/{repo} has no revision {revision}.",
                    next_step=f"See its branches and tags: https://hf.co/{repo}/tree/main.",
                )
            case DisabledRepoError():
                fault = NotOffered(f"hf.co/{repo} was disabled by Hugging Face or its owner.")
            case RepositoryNotFoundError():
                fault = self._not_there(repo)
            case _ if status == 404 and repo:
                fault = self._not_there(repo)
            case _ if status in {401, 403}:
                fault = self._not_welcome(repo)
            case _ if status == 429:
                fault = self._too_many()
            case _:
                fault = FetchError(f"{status_fault(self.url, status)}.")
        return fault

    def _not_there(self, repo: str) -> NotOffered:
        sign_in = "" if self._has_token else f" If it is private, sign in: {SIGN_IN}."
        return NotOffered(
            f"hf.co/{repo} is not there, or is private and closed to you: the hub does not say "
            "which.",
            next_step=f"Check the name: `noibo search {repo.partition('/')[2]}`.{sign_in}",
        )

    def _not_welcome(self, repo: str) -> AccessNeeded:
        if self._has_token:
            return AccessNeeded(
                f"{clean(self.url)} does not accept the token that is set here.",
                next_step=f"Get a new one at https://huggingface.co/settings/tokens: {SIGN_IN}.",
            )
        if repo:
            return self.access_needed(repo)
        return AccessNeeded(
            f"{clean(self.url)} wants a token.", next_step=f"Give yours: {SIGN_IN}."
        )

    def _too_many(self) -> FetchError:
        sign_in = "" if self._has_token else f"; those signed in may ask more: {SIGN_IN}"
        return FetchError(
            f"{clean(self.url)} takes no more requests from here for a while (429).",
            next_step=f"Try again in some minutes{sign_in}.",
        )


class Bearer(httpx2.Auth):
    """A token, in the Authorization header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request
