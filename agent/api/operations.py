"""`/healthz`, `/readyz`, `/metrics` of the agent."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from agent.api.context import PROBLEMS, AgentContext, Context
from agent.orders.outbox import Backlog
from schemas.api.status import Readiness
from schemas.errors import NotReadyError

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> Readiness:
    """Always 200 while the process answers: restart it when this fails, not when /readyz does."""
    return Readiness(ready=True)


@router.get("/readyz", summary="Whether the process may get messages", responses={503: PROBLEMS[503]})
async def readyz(context: Context) -> Readiness:
    """200 when the stores answer; else 503 with what is waited for.

    Orders that wait for the log are named and do not count: they are safe, and the next ones would be too. Nor do background
    tasks that turns can do without, and orders and conversations that were set apart: they are told as `degraded`.
    """
    waiting = await context.process.waiting_for()
    if waiting:
        raise NotReadyError(f"waiting for {waiting}")
    backlog = await context.process.backlog()
    waits = {}
    if backlog is not None and context.process.is_late(backlog):
        waits["orders"] = f"{backlog.pending} submitted orders wait for the log longer than they should"
    return Readiness(ready=True, waiting_for=waits, degraded=await _degraded(context, backlog))


async def _degraded(context: AgentContext, backlog: Backlog | None) -> dict[str, str]:
    """Background tasks that rest, and what was set apart, in sentences that say where to look."""
    told = context.process.degraded
    if backlog is not None and backlog.set_apart:
        told["orders"] = f"{backlog.set_apart} submitted orders are set apart: ferroflux orders list --set-apart"
    conversations = await context.process.threads_apart()
    if conversations:
        told["conversations"] = f"{conversations} conversations are set apart: ferroflux chat set-apart"
    return told


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(context: Context) -> Response:
    """Metrics of this process. No tenant, thread, product or message is in them."""
    backlog = await context.process.backlog()
    if backlog is not None:
        context.metrics.backlog(backlog)
    return Response(context.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
