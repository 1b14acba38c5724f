"""One search worker: the searchers behind the HTTP face, what the catalogue holds, and the worker's report to the replica."""

from __future__ import annotations

import asyncio
from pathlib import Path

from query_api.catalogue_view import CatalogueView
from query_api.replica.worker_reports import REPORT_EVERY_S, WorkerReports
from retrieval.complements.finder import ComplementFinder
from retrieval.serving.searchers import Searchers
from runtime.supervision import Supervisor
from schemas.errors import RetryableError


class ReportsFolderError(RetryableError):
    """The worker cannot report to the replica, so no generation can be promoted. Set FERROFLUX_TEXT__REPORTS of replica and API to a folder that both can write."""

    code = "reports_folder"


class Worker:
    """Started and stopped by the application's lifespan; it answers health checks at once and is ready when the live generation is.

    `reports` is the folder where workers report; None where there is nobody to report to.
    """

    def __init__(self, searchers: Searchers, supervisor: Supervisor, *, reports: Path | None = None) -> None:
        self.searchers = searchers
        self.supervisor = supervisor
        self.catalogue = CatalogueView(searchers)
        self.complements = ComplementFinder(searchers.aliases)
        self._reports = WorkerReports(reports) if reports is not None else None

    async def start(self) -> None:
        """Begin to open the generations; returns at once."""
        await self.searchers.start()
        if self._reports is not None:
            self.supervisor.start("report-worker", self._report, ready_without=True)

    async def stop(self) -> None:
        """End the tasks and let go of what is the worker's own."""
        await self.supervisor.stop()
        await self.searchers.stop()
        if self._reports is not None:
            self._reports.withdraw()

    async def _report(self) -> None:
        reports = self._reports
        assert reports is not None
        while True:
            report = self.searchers.report(reports.name)
            try:
                await self.searchers.off_loop(lambda newest=report: reports.write(newest))  # type: ignore[misc] # mypy cannot type a lambda that binds a loop variable
            except OSError as error:
                raise ReportsFolderError(f"{ReportsFolderError()} ({error})") from error
            await asyncio.sleep(REPORT_EVERY_S)
