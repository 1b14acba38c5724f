"""The search page at `/`."""

from pathlib import Path

from runtime.http.routes import static_page

router = static_page(Path(__file__).resolve().parents[1] / "page", path="/", assets="/assets")
