"""`noibo pull`: from what a user typed to a model in the store.

The places that have it are tried in their order; a place that fails gives way to the next, and
when none is left the error lists what was tried. What is here already is not fetched, whoever
brought it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from noibo.errors import (
    BadModelFile,
    DigestMismatch,
    EgressRefused,
    FetchError,
    NameTaken,
    NoiboError,
    NotOffered,
    StoreError,
    UnknownModel,
)
from noibo.modelstore import catalog
from noibo.modelstore.blobs import Bringing
from noibo.modelstore.catalog import CatalogOrigin, licences
from noibo.modelstore.disk import turn
from noibo.modelstore.manifest import InStore, Licence, Manifest, ModelFile, Provenance
from noibo.modelstore.offer import Defaults, Offer
from noibo.modelstore.origin import (
    Hub,
    Local,
    Named,
    Origin,
    Package,
    Registry,
    Release,
    Web,
    origin_key,
    parse,
    pinned_sha256,
)
from noibo.modelstore.progress import Cancel, Progress, Report, ignore
from noibo.modelstore.reference import Reference
from noibo.modelstore.sources import Sources
from noibo.modelstore.store import Store, StoredModel
from noibo.modelstore.wants import Wants, how_far

# What another place may do better.
_ANOTHER_PLACE: Final = (FetchError, DigestMismatch, BadModelFile, EgressRefused)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be had: under which name, from which places in order, and what is known of it."""

    origin: str  # what to type to have it again
    reference: Reference
    places: tuple[CatalogOrigin, ...]
    is_named: bool = False  # by a bare name: whatever has that name here is it
    is_guess: bool = False  # the catalogue does not know the name
    licence: str | None = None
    defaults: Defaults = Defaults()

    def means_just(self, here: StoredModel) -> bool:
        """True if its places can have nothing newer than what is here under that name."""
        if here.manifest.origin.lower() != self.origin.lower():
            return True
        return all(one.file is not None or not _may_move(one.origin) for one in self.places)


@dataclass(slots=True)
class _Tried:
    """Places that were tried, and why each would not do."""

    faults: list[tuple[Origin, NoiboError]] = field(default_factory=list)

    def error(self, wish: Wish, near: Sequence[str]) -> NoiboError:
        """What to raise when no place is left."""
        (_, first), *others = self.faults
        if not others:
            return _with_names_near(first, wish, near)
        if all(isinstance(fault, EgressRefused) for _, fault in self.faults):
            return first
        said = "\n".join(
            f"  {number}. {origin}: {fault.message}"
            for number, (origin, fault) in enumerate(self.faults, 1)
        )
        steps = dict.fromkeys(fault.next_step for _, fault in self.faults if fault.next_step)
        return FetchError(
            f"{wish.reference} could not be had. Tried, in this order:\n{said}",
            next_step=next(iter(steps), ""),
        )


class Puller:
    """Fetches models into a store."""

    def __init__(
        self,
        store: Store,
        sources: Sources,
        known: catalog.Catalog | None = None,
    ) -> None:
        self._store = store
        self._sources = sources
        self._known = known

    def pull(
        self,
        text: str,
        report: Report = ignore,
        *,
        name: str | None = None,
        cancel: Cancel | None = None,
    ) -> StoredModel:
        """The model that `text` means, fetched unless it is here and whole, named `name` if given.

        Raises `BadReference`, `UnknownModel`, `EgressRefused` (offline), `LicenceRefused`,
        `FetchError`, `DigestMismatch`, `DiskFull`, `BadModelFile`, `Cancelled`. A second noibo
        that wants the same waits for the first.
        """
        asked = cancel or Cancel()

        def tell(progress: Progress) -> None:
            asked.check()
            report(progress)

        origin = parse(text)
        if isinstance(origin, Local):
            return self._add(origin, name, tell)
        wish = self.wish(origin, name)
        here = self._here(wish)
        if here is not None and (self._sources.door.offline or wish.means_just(here)):
            return _tell(here, report, "It is here already; nothing was fetched.")
        wants = Wants.of(self._store.partial, wish.reference)
        with turn(wants.lock_file, tell, lambda: how_far(self._store.partial, wants)):
            now = self._here(wish)
            if now is not None and here is None:
                return _tell(now, report, "Another noibo has just fetched it.")
            return self._fetch(wish, now, Bringing(self._store, wants, tell, asked))

    def mend(self, manifest: Manifest, report: Report, cancel: Cancel) -> None:
        """Fetch again what is damaged of a model, from where it came; the same files or none.

        Raises as `pull` does, `FetchError` where its place has other files now."""
        same = frozenset(manifest.blobs)
        origin = parse(manifest.origin)
        if isinstance(origin, Web) and len(same) == 1:  # promised, only its bad part is fetched
            origin = parse(f"{manifest.origin}#sha256={next(iter(same))}")
        wish = self.wish(origin, str(manifest.reference))
        wants = Wants.of(self._store.partial, manifest.reference)
        with turn(wants.lock_file, report):
            self._fetch(wish, None, Bringing(self._store, wants, report, cancel, same))

    def wish(self, origin: Origin, name: str | None = None) -> Wish:
        """Where to look for it, and what to call it. Raises `UnknownModel`."""
        reference = Reference.parse(name) if name else None
        if not isinstance(origin, Named):
            return self._outright(origin, reference or origin.reference)
        choice = self._catalog.resolve(origin.reference)
        if choice is None:
            place = CatalogOrigin(Registry(origin.reference))
            return Wish(
                str(origin),
                reference or origin.reference,
                (place,),
                is_named=True,
                is_guess=True,
            )
        if choice.api_only or not choice.origins:
            raise UnknownModel(
                f"{choice.reference} is API only: its weights are not published, so it cannot run "
                "here.",
                next_step="`noibo catalog` shows the models that can.",
            )
        return Wish(
            str(choice.reference),
            reference or choice.reference,
            choice.origins,
            is_named=True,
            licence=choice.licence,
            defaults=choice.defaults,
        )

    def _outright(self, origin: Origin, reference: Reference) -> Wish:
        """A place that was named; what the catalogue knows of it goes along."""
        known = self._catalog.place_of(origin)
        place = (CatalogOrigin(origin),)
        if known is None:
            return Wish(origin_key(origin), reference, place)
        return Wish(
            origin_key(origin), reference, place, licence=known.licence, defaults=known.defaults
        )

    @property
    def _catalog(self) -> catalog.Catalog:
        return self._known or catalog.load()

    def _add(self, origin: Local, name: str | None, report: Report) -> StoredModel:
        path = origin.path.expanduser()
        if not path.exists():
            raise NotOffered(
                f"There is no file {path} here.", next_step="Check the path; `~` is your home."
            )
        model = self._store.add(path, name)
        return _tell(model, report, "It is used where it lies.")

    def _here(self, wish: Wish) -> StoredModel | None:
        """The model, if it is here and whole, and is what is wished for."""
        manifest = self._store.register.exact(wish.reference)
        if manifest is None:
            return None
        if not wish.is_named and manifest.origin.lower() != wish.origin.lower():
            raise NameTaken(
                f"There is already a model named {wish.reference}, from {manifest.source}.",
                next_step=f"Give this one another name (`noibo pull {wish.origin} --name NAME`), "
                f"or remove the other: `noibo rm {wish.reference}`.",
            )
        pins = {pinned_sha256(place.origin) for place in wish.places} - {None}
        if pins and not pins & {one.file.sha256 for one in manifest.files}:
            return None  # other bytes than the address promises
        try:
            return self._store.get(wish.reference)
        except StoreError:
            if not manifest.origin:
                raise
            return None  # a file of it was lost or changed: fetch it again

    def _fetch(self, wish: Wish, here: StoredModel | None, bringing: Bringing) -> StoredModel:
        try:
            return self._fetch_somewhere(wish, here, bringing)
        except BaseException:  # what is here of it stays wanted, and nothing else
            bringing.wants.prune(self._store.has_any_of)
            raise

    def _fetch_somewhere(
        self, wish: Wish, here: StoredModel | None, bringing: Bringing
    ) -> StoredModel:
        tried = _Tried()
        for place in wish.places:
            bringing.cancel.check()
            if tried.faults:
                note = f"{tried.faults[-1][1].message} Trying {place.origin}."
                bringing.report(Progress("find", note=note))
            try:
                return self._fetch_from(place, wish, here, bringing)
            except _ANOTHER_PLACE as exc:
                tried.faults.append((place.origin, exc))
        if here is not None:
            why = tried.faults[-1][1].message
            return _tell(here, bringing.report, f"{why} The one that is here is kept.")
        raise tried.error(wish, self._catalog.nearest(wish.reference))

    def _fetch_from(
        self,
        place: CatalogOrigin,
        wish: Wish,
        here: StoredModel | None,
        bringing: Bringing,
    ) -> StoredModel:
        report = bringing.report
        if wish.licence is not None:  # known beforehand: not one byte comes of what is refused
            self._store.require_allowed(Licence(wish.licence), str(wish.reference))
        if place.file is not None and (blob := bringing.known(place.file)) is not None:
            licence = Licence(wish.licence)
            self._refuse_licence(wish, licence, report)
            known = Provenance(str(place.origin), wish.origin, licence, wish.defaults)
            files: Sequence[ModelFile] = [_model_file(blob, place.origin)]
            kept = self._store.keep(wish.reference, files, known, bringing.wants)
            return _tell(kept, report, "It was here already; nothing was fetched.")
        with self._sources.of(place.origin).offer(place.origin, report, bringing.cancel) as offer:
            if here is not None and _is_current(here.manifest, offer):
                return _tell(here, report, "It is here already, and the newest there is.")
            licence = _licence(wish, offer)
            self._refuse_licence(wish, licence, report)
            files = bringing.all(offer, place.file)
            known = Provenance(offer.source, wish.origin, licence, _both(wish, offer.defaults))
            kept = self._store.keep(wish.reference, files, known, bringing.wants)
        return _tell(kept, report, "")

    def _refuse_licence(self, wish: Wish, licence: Licence, report: Report) -> None:
        """Say which licence it is before anything is fetched; refuse what is not allowed."""
        known = licences.classify(licence.said)
        note = f"Licence: {known.name} ({known.kind}). {known.means['en']}"
        report(Progress("licence", note=note))
        if known.kind != "unknown":  # else its file may say; that is looked at when it is here
            self._store.require_allowed(licence, str(wish.reference))


def _may_move(origin: Origin) -> bool:
    """True if the same words may mean other bytes tomorrow."""
    match origin:
        case Package(version=version):
            return version is None
        case Release(tag=tag):
            return tag is None
        case Hub() | Registry():
            return True
    return False


def _is_current(manifest: Manifest, offer: Offer) -> bool:
    """True if the offer holds just the files that are here."""
    here = {(one.role, one.file.sha256) for one in manifest.files}
    there = {(one.role, one.sha256) for one in offer.files if one.sha256 is not None}
    return bool(there) and len(offer.files) == len(manifest.files) and there <= here


def _model_file(blob: InStore, origin: Origin) -> ModelFile:
    name = getattr(origin, "member", None) or f"{origin.reference.name}.gguf"
    return ModelFile("model", name.rpartition("/")[2], blob)


def _licence(wish: Wish, offer: Offer) -> Licence:
    """The catalogue's word on what it chose; on a place named outright, the place's own."""
    names = (wish.licence, offer.licence) if wish.is_named else (offer.licence, wish.licence)
    return Licence(names[0] or names[1], offer.licence_text or None, offer.licence_link or None)


def _both(wish: Wish, offered: Defaults) -> Defaults:
    """The source's own word on how to ask, and the catalogue's where the source has none."""
    return Defaults(
        template=offered.template or (None if offered.source_template else wish.defaults.template),
        source_template=offered.source_template,
        system=offered.system or wish.defaults.system,
        parameters={**wish.defaults.parameters, **offered.parameters},
        messages=offered.messages or wish.defaults.messages,
    )


def _with_names_near(error: NoiboError, wish: Wish, near: Sequence[str]) -> NoiboError:
    """A bare name that nobody has is most often a typing error."""
    if not near or not wish.is_guess:
        return error
    names = ", ".join(f"`noibo pull {name}`" for name in near[:3])
    next_step = f"Did you mean {names}? {error.next_step}".strip()
    if isinstance(error, NotOffered):
        return UnknownModel(error.message, next_step=next_step)
    return type(error)(error.message, next_step=next_step)


def _tell(model: StoredModel, report: Report, note: str) -> StoredModel:
    report(Progress("done", model.size, model.size, note))
    return model
