"""The chat page at `/chat`."""

from pathlib import Path

from runtime.http.routes import static_page

router = static_page(Path(__file__).resolve().parents[2] / "page", path="/chat", assets="/chat/assets")
