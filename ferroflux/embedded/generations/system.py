"""The generations of a running `ferroflux up`: opened at its start, built and let go while it serves.

`main` is the system's own: it journals every change, and it stays. Every other generation follows the journal beside it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from ferroflux.embedded.generations.follower import FOLLOWER_BACKOFF
from ferroflux.embedded.generations.member import GenerationMember, Surroundings
from ferroflux.operations.generations.service import GenerationService
from indexer.batch.embedding import CollectionReuse
from indexer.generations.build import BuildOutcome, BuildProgress, OnProgress
from indexer.generations.settings import configured_by
from indexer.process.generation_builder import BuildRequest, CountingEncoder
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.models.architecture import settle_layers
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings
from retrieval.generations import transitions
from retrieval.generations.file import FileGenerationStore
from retrieval.generations.fitting import (
    built_with,
    choice_of,
    encoder_settings,
    planned,
    require_revision,
    require_text_fit,
)
from retrieval.generations.supervisor import GenerationSupervisor
from retrieval.generations.transitions import Transition
from retrieval.generations.view import GenerationRefusedError, GenerationView, Records, view_of
from retrieval.serving.parts import HeldParts
from retrieval.serving.searchers import Searchers
from retrieval.text.tantivy_index.compatibility import current_metadata
from retrieval.vectors.port import VectorCounts
from retrieval.vectors.spaces import Spaces, spaces_of
from runtime.clock import SystemClock
from schemas.errors import NotReadyError
from schemas.records.generations import MAIN, Generation, Origin, ReplicaReport

log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.1
_NAME: Final = "up"


class EmbeddedGenerations:
    """Owns the members; it is the store of the generation service (with the system's own report in it) and its facts.

    `settled` waits until everything that was journalled so far is in `main`.
    """

    def __init__(
        self,
        around: Surroundings,
        encoder: TextEncoder,
        *,
        settled: Callable[[], Awaitable[None]],
        load: Callable[[EncoderSettings], TextEncoder] = load_encoder,
    ) -> None:
        self._around = around
        self._encoder = encoder
        self._settled = settled
        self._load = load
        self._file = FileGenerationStore(around.settings.api.text.directory)
        self._members: dict[str, GenerationMember] = {}
        self._building = asyncio.Lock()
        self._deciding = asyncio.Lock()
        self._searchers: Searchers | None = None
        self._following = GenerationSupervisor(
            around.supervisor, "generation", self._hold, wanted=self._wanted, backoff=FOLLOWER_BACKOFF
        )
        self._clock = SystemClock()
        self._main = configured_by(around.settings.indexer)
        self.generation_service = GenerationService(self, self, self._clock, configured=self._main)

    async def open(self) -> None:
        """Open every generation that is prepared and let it catch up with the journal; a build that was interrupted waits for its command.

        Raises:
            FatalError: the live generation does not fit this version or its model is gone; another one is told, and tried again.
        """
        own = await self._settled_layers(self._around.settings.indexer.encoder)
        view = await self.commit(transitions.record(built_with(self._main, own, self._encoder, self._around.policy)))
        for name in self._wanted(view):
            while name not in self._members and not self._following.trouble(name):  # noqa: ASYNC110 - a build or a failure ends it, too
                await asyncio.sleep(_LOOK_EVERY_S)
            if self._around.supervisor.failure is not None:
                raise self._around.supervisor.failure
        await asyncio.to_thread(self._remove_leftovers, view)

    def serve(self, searchers: Searchers) -> None:
        """What answers; what it has opened is the system's report."""
        self._searchers = searchers

    def parts_of(self, manifest: Generation) -> HeldParts:
        """For the searchers.

        Raises:
            NotReadyError: the generation is not open.
        """
        member = self._members.get(manifest.name)
        if member is None:
            raise NotReadyError(f"generation {manifest.name} is not open; the log says why")
        return member.parts()

    async def until_searchable(self) -> None:
        """Wait until everything journalled so far is searchable in the generation that answers; for `main`, its own way does it."""
        member = self._members.get(view_of(await self._file.records()).live)
        if member is not None:
            await member.caught_up(await self._around.journal.end())

    async def drained(self) -> None:
        """Wait until every generation has taken in the journal."""
        end = await self._around.journal.end()
        for member in list(self._members.values()):
            await member.caught_up(end)

    async def close(self) -> None:
        """End every generation in order."""
        await self._following.stop()
        for name in list(self._members):
            await self._members.pop(name).close()

    async def build(self, request: BuildRequest, on_progress: OnProgress) -> BuildOutcome:
        """Build a generation until it follows the journal closely; cancelled, it is gone on with by the same command.

        Raises:
            NotReadyError: another build runs.
            GenerationRefusedError: the name is taken.
        """
        if self._building.locked():
            raise NotReadyError("another generation is being built; try again when that has finished")
        async with self._building:
            return await self._build(request, on_progress)

    @property
    def is_building(self) -> bool:
        """Whether a build reads the journal, which must not be pruned meanwhile."""
        return self._building.locked()

    # The port `GenerationStore`.

    async def records(self) -> Records:
        """The file's records, with the system's own report, fresh."""
        await self._file.report(self._report(view_of(await self._file.records())))
        return await self._file.records()

    async def commit(self, transition: Transition) -> GenerationView:
        """Decide and write, and follow what came of it; the searchers beside us read the file."""
        async with self._deciding:
            view = await self._file.commit(transition)
            await self._following.follow(view)
        return view

    async def report(self, report: ReplicaReport) -> None:
        """Keep a report."""
        await self._file.report(report)

    # The port `GenerationFacts`.

    async def counts(self, manifest: Generation) -> VectorCounts:
        """Of the vector index."""
        if manifest.name == MAIN:
            return await self._around.main.counts()
        member = self._members.get(manifest.name)
        return VectorCounts(0, 0, {}) if member is None else await member.vectors.counts()

    async def lag(self, manifest: Generation) -> int:
        """Records of the journal that it has not taken in."""
        end = await self._around.journal.end()
        if manifest.name == MAIN:
            return (await self._around.journal.size()).pending
        member = self._members.get(manifest.name)
        return end if member is None else max(0, end - member.after)

    async def followers(self, manifest: Generation) -> int:
        """1 while queries may still be answered from it; then it is closed."""
        if self._is_held(manifest.name):
            return 1
        await self._following.follow(view_of(await self._file.records()))
        member = self._members.pop(manifest.name, None)
        if member is not None:  # of a build that did not come to its end
            await member.close()
        return 0

    async def remove(self, manifest: Generation) -> None:
        """Remove its folder."""
        assert manifest.identity, "require_droppable refuses main, whose folder would be that of all"
        await asyncio.to_thread(shutil.rmtree, self._around.folder / manifest.identity, ignore_errors=True)

    def require_droppable(self, name: str) -> None:
        """Check it before anything is written.

        Raises:
            GenerationRefusedError: it is `main`, or it is being built.
        """
        if name == MAIN:
            raise GenerationRefusedError(
                "main journals the changes of this system and stays: to be rid of it, start another folder with the new "
                "model's settings (`ferroflux up --data-dir`) and load the catalogue there"
            )
        if self.is_building:
            raise GenerationRefusedError("a generation is being built: let it finish, or interrupt its command, first")

    def _wanted(self, view: GenerationView) -> list[str]:
        """The generations beside `main` that are followed: those that can answer, and those that a query still holds."""
        prepared = view.prepared()
        held = {name for name in self._members if self._is_held(name)}
        return [name for name in view.names() if name != MAIN and (name in prepared or name in held)]

    def _is_held(self, name: str) -> bool:
        return self._searchers is not None and self._searchers.is_held(name)

    async def _hold(self, manifest: Generation) -> None:
        """Follow the journal with one generation until cancelled: one that a build has opened, or one that is opened here."""
        name = manifest.name
        member = self._members.get(name)
        is_built = member is not None
        if member is None:
            member = await self._opened(manifest, encoder_settings(self._around.settings.indexer.encoder, manifest))
        try:
            if not is_built:
                await member.follow(lambda _: None)
                await member.caught_up(await self._around.journal.end())
                self._members[name] = member
            await asyncio.Event().wait()
        finally:
            self._members.pop(name, None)
            await member.close()

    async def _build(self, request: BuildRequest, on_progress: OnProgress) -> BuildOutcome:
        began, name = self._clock.monotonic(), request.name
        chosen = await self._settled_layers(request.encoder)
        view = view_of(await self._file.records())
        manifest = view.manifests.get(name)
        encoder = CountingEncoder(await self._encoder_of(chosen))
        if manifest is None:
            manifest = await self._planned(request, chosen, encoder)
        require_text_fit(manifest)
        require_revision(manifest, encoder.revision)
        await self.commit(transitions.create(manifest, now_us=self._clock.now_us()))
        own, wanted = spaces_of(self._encoder.revision), spaces_of(encoder.revision).items()
        common = Spaces(named for named in wanted if named in own.items())
        reuse = CollectionReuse(self._around.main, common) if request.take_over and common else None
        if name not in self._members:
            self._members[name] = await self._opened(
                manifest, chosen, encoder=encoder, reuse=reuse, by_content=request.take_over
            )
            try:
                await self._members[name].follow(on_progress)
            except BaseException:
                # Half seeded, it follows nothing: the same command opens it anew and goes on.
                await self._members.pop(name).close()
                raise
        member = self._members[name]
        await self._until_caught_up(member, on_progress)
        apart = member.set_apart
        await self.commit(transitions.mark_prepared(name, now_us=self._clock.now_us(), set_apart=apart.total()))
        return BuildOutcome(
            manifest,
            seconds=self._clock.monotonic() - began,
            products=(await member.vectors.counts()).alive,
            taken_over=0 if reuse is None else reuse.given,
            computed=encoder.computed,
            set_apart=apart,
        )

    async def _until_caught_up(self, member: GenerationMember, on_progress: OnProgress) -> None:
        first: int | None = None
        while True:
            end = await self._around.journal.end()
            left = max(0, end - member.after)
            first = left if first is None else max(first, left)
            done = 1.0 if not first else 1 - left / first
            on_progress(BuildProgress("reading the journal", done, f"{left:,} records to go"))
            if not left:
                await member.caught_up(end)
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _planned(self, request: BuildRequest, chosen: EncoderSettings, encoder: TextEncoder) -> Generation:
        """From the whole journal; where old records were forgotten, from the products that there are."""
        journal = self._around.journal
        first = None
        async for slice_ in journal.read(page=1):
            first = slice_.last
            break
        cut = first is not None and first > 1
        if request.origin is Origin.CHANGES and cut:
            raise GenerationRefusedError(
                "the journal was pruned and no longer reaches back: leave --from out, or give --from documents"
            )
        origin = request.origin or (Origin.DOCUMENTS if cut else Origin.CHANGES)
        starts = {}
        if origin is Origin.DOCUMENTS:
            starts = {"journal": await journal.end()}
            await self._settled()
        plan = planned(
            request.name, self._main, request.store, now_us=self._clock.now_us(), origin=origin, starts=starts
        )
        return built_with(plan, chosen, encoder, self._around.policy)

    async def _opened(
        self,
        manifest: Generation,
        chosen: EncoderSettings,
        *,
        encoder: TextEncoder | None = None,
        reuse: CollectionReuse | None = None,
        by_content: bool = True,
    ) -> GenerationMember:
        require_text_fit(manifest)
        encoder = encoder or await self._encoder_of(chosen)
        require_revision(manifest, encoder.revision)
        is_live = partial(self._following.is_live, manifest.name)
        contents = self._around.contents if by_content else None
        member = GenerationMember(manifest, encoder, self._around, is_live, reuse, contents)
        await member.open()
        return member

    async def _encoder_of(self, chosen: EncoderSettings) -> TextEncoder:
        """The system's own where it is the same: one model in memory."""
        own = await self._settled_layers(self._around.settings.indexer.encoder)
        if choice_of(chosen) == choice_of(own):
            return self._encoder
        return await asyncio.to_thread(self._load, chosen)

    async def _settled_layers(self, chosen: EncoderSettings) -> EncoderSettings:
        """Where the layers are open, those of `main`, whose vectors can then be taken over."""
        return await asyncio.to_thread(settle_layers, chosen, await self._around.main.recorded())

    def _report(self, view: GenerationView) -> ReplicaReport:
        text = current_metadata()
        return ReplicaReport(
            replica=_NAME,
            text_schema=text["schema"],
            analyser=text["analyser"],
            ready={name: self._reason(name) for name in view.replicated()},
            workers=() if self._searchers is None else (self._searchers.report(),),
            written_us=self._clock.now_us(),
        )

    def _reason(self, name: str) -> str:
        if name == MAIN:
            return ""
        member = self._members.get(name)
        if member is None:
            return self._following.trouble(name) or "it is being opened"
        return member.trouble or member.replica.not_ready or ""

    def _remove_leftovers(self, view: GenerationView) -> None:
        kept = {manifest.identity for manifest in view.manifests.values()}
        for path in self._around.folder.iterdir() if self._around.folder.is_dir() else ():
            if path.name not in kept:
                log.info("folder of a dropped generation is removed", folder=path.name)
                shutil.rmtree(path, ignore_errors=True)
