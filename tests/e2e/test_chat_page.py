"""The chat page in a headless Chromium: a whole order by keyboard, on a desk and on a phone, without anything from elsewhere."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from playwright.async_api import Page, async_playwright

from agent.conversation.order import OrderStatus
from schemas.identity import TenantId
from tests.support.agent.serving import Serving
from tests.support.prerequisites import unavailable
from tests.support.processes import free_port

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 780}


@asynccontextmanager
async def served(serving: Serving) -> AsyncIterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(serving.app(), host="127.0.0.1", port=port, log_config=None, lifespan="on"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
        await asyncio.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await running


@asynccontextmanager
async def browsing(url: str, viewport: dict[str, int]) -> AsyncIterator[tuple[Page, list[str]]]:
    chromium = shutil.which("chromium")
    if chromium is None:
        unavailable("Chromium", "install it (`apt-get install chromium`)")
    wrong: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await (await browser.new_context(viewport=viewport, locale="es-MX")).new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request", lambda request: None if request.url.startswith((url, "data:")) else wrong.append(request.url)
        )
        await page.goto(f"{url}/chat?tenant=norte")
        await page.wait_for_selector(".welcome")
        yield page, wrong
        await browser.close()


async def say(page: Page, words: str) -> None:
    await page.focus("#message")
    await page.keyboard.type(words)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#progress:not(.busy)")


async def test_an_order_is_made_and_confirmed_with_the_keyboard_alone(tmp_path) -> None:
    serving = Serving(tmp_path)
    async with served(serving) as url, browsing(url, DESK) as (page, wrong):
        await say(page, "cinta aislante negra")
        assert await page.locator(".card").count() == 3
        assert "$12.50" in await page.locator(".card").first.inner_text()
        await say(page, "agrega 3")
        order = await page.locator("#order").inner_text()
        assert "El precio subió; se mostró $12.00" in order
        assert "$37.50" in order
        await page.focus("#confirm")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".done")
        assert await page.locator("#confirm").count() == 0
        await page.reload()
        await page.wait_for_selector(".said.theirs")
        assert await page.locator(".done").count() == 1, "the conversation is there again after a reload"
        assert wrong == []
        (submitted,) = (await serving.orders.page(TenantId("norte"), status=OrderStatus.SUBMITTED)).orders
        assert str(submitted.total) == "37.50"


async def test_a_double_click_on_confirm_submits_once(tmp_path) -> None:
    serving = Serving(tmp_path)
    async with served(serving) as url, browsing(url, DESK) as (page, _):
        await say(page, "agrega 2")
        await page.dblclick("#confirm")
        await page.wait_for_selector(".done")
        assert len((await serving.orders.page(TenantId("norte"), status=OrderStatus.SUBMITTED)).orders) == 1


async def test_it_is_usable_on_a_phone(tmp_path) -> None:
    async with served(Serving(tmp_path)) as url, browsing(url, PHONE) as (page, wrong):
        await say(page, "cinta aislante negra")
        await say(page, "agrega 1")
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert not await page.locator("#confirm").is_visible()
        await page.click("#order-toggle")
        assert await page.locator("#confirm").is_visible()
        await page.click("#confirm")
        await page.wait_for_selector(".done")
        assert wrong == []


async def test_a_failure_is_told_and_the_same_message_can_be_sent_again(tmp_path) -> None:
    async with served(Serving(tmp_path)) as url, browsing(url, DESK) as (page, _):
        await say(page, "falla")
        assert await page.locator(".said.failed button").is_visible()


async def test_what_a_product_is_called_never_becomes_markup(tmp_path) -> None:
    async with served(Serving(tmp_path)) as url, browsing(url, DESK) as (page, wrong):
        await say(page, "<img src=x onerror=alert(1)>")
        assert await page.locator(".said img").count() == 0
        assert wrong == []
