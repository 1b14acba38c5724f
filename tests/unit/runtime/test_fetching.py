"""What a caller of the API may have fetched: what is listed, letter by letter, and nothing that only looks like it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.rights.fetching import FetchSettings, require_fetchable, require_resolved_below
from schemas.errors import InvalidRequestError

LISTED = FetchSettings(
    schemes=("https", "s3"),
    hosts=("models.example", "cache.example:8443", "bucket", "10.0.0.7"),
    folders=(Path("/models"),),
)


@pytest.mark.parametrize(
    "location",
    [
        "https://models.example/e5/small",
        "HTTPS://Models.Example/e5",
        "https://cache.example:8443/e5",
        "https://10.0.0.7/e5",  # listed just so
        "s3://bucket/e5",
        "/models/e5",
    ],
)
def test_what_is_listed_may_be_fetched(location):
    require_fetchable(location, LISTED, what="model")


@pytest.mark.parametrize(
    ("location", "setting"),
    [
        ("https://other.example/e5", "FERROFLUX_FETCH__HOSTS"),
        ("https://sub.models.example/e5", "FERROFLUX_FETCH__HOSTS"),
        ("https://models.example.evil.example/e5", "FERROFLUX_FETCH__HOSTS"),
        ("https://models.example:8080/e5", "FERROFLUX_FETCH__HOSTS"),
        ("https://models.example./e5", "FERROFLUX_FETCH__HOSTS"),
        ("https://169.254.169.254/latest/meta-data", "FERROFLUX_FETCH__HOSTS"),
        ("https://127.0.0.1/e5", "FERROFLUX_FETCH__HOSTS"),
        ("https://2130706433/e5", "FERROFLUX_FETCH__HOSTS"),
        ("https://0x7f.1/e5", "FERROFLUX_FETCH__HOSTS"),
        ("https://localhost/e5", "FERROFLUX_FETCH__HOSTS"),
        ("https://10.0.0.8/e5", "FERROFLUX_FETCH__HOSTS"),
        ("s3://other-bucket/e5", "FERROFLUX_FETCH__HOSTS"),
        ("http://models.example/e5", "FERROFLUX_FETCH__SCHEMES"),
        ("file://models.example/e5", "FERROFLUX_FETCH__SCHEMES"),
        ("ftp://models.example/e5", "FERROFLUX_FETCH__SCHEMES"),
        ("https://[::1]/e5", "no plain URL"),
        ("https://[::ffff:169.254.169.254]/e5", "no plain URL"),
        ("https://models.example@evil.example/e5", "no plain URL"),
        ("https://evil.example#@models.example/e5", "no plain URL"),
        ("https://evil.example\\@models.example/e5", "no plain URL"),
        ("https://models.example?x=1", "no plain URL"),
        ("https://models.example/e5\n", "no plain URL"),
        ("https://m\u043edels.example/e5", "no plain URL"),
        ("file:///etc", "no plain URL"),
        ("https:///e5", "no plain URL"),
        ("simplecache::https://models.example/e5", "no plain URL"),
        ("https://models.example/a::file:///etc", "no plain URL"),
        ("zip::/etc/passwd", "no plain URL"),
        ("https://models.example/" + "a" * 3000, "no plain URL"),
        ("/etc", "FERROFLUX_FETCH__FOLDERS"),
        ("/models-of-others", "FERROFLUX_FETCH__FOLDERS"),
        ("/models/../etc", "FERROFLUX_FETCH__FOLDERS"),
        ("models/e5", "FERROFLUX_FETCH__FOLDERS"),
        ("~/models", "FERROFLUX_FETCH__FOLDERS"),
    ],
)
def test_anything_else_is_refused_with_the_settings_name(location, setting):
    with pytest.raises(InvalidRequestError, match=setting):
        require_fetchable(location, LISTED, what="model")


@pytest.mark.parametrize("location", ["https://models.example/e5", "s3://bucket/e5", "/models/e5", "e5"])
def test_nothing_is_listed_by_default(location):
    with pytest.raises(InvalidRequestError, match="FERROFLUX_FETCH__"):
        require_fetchable(location, FetchSettings(), what="model")


@pytest.mark.parametrize(
    "listed",
    [
        {"schemes": ("file",)},
        {"schemes": ("LOCAL",)},
        {"hosts": ("*.example",)},
        {"hosts": ("*",)},
        {"hosts": ("https://models.example",)},
        {"hosts": ("[::1]",)},
        {"folders": (Path("models"),)},
    ],
)
def test_a_list_that_would_mean_more_than_it_says_is_refused(listed):
    with pytest.raises(ValidationError):
        FetchSettings(**listed)


def test_a_link_out_of_a_listed_folder_is_not_followed(tmp_path):
    models, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    (models / "e5").mkdir(parents=True)
    elsewhere.mkdir()
    (models / "link").symlink_to(elsewhere)
    allowed = FetchSettings(folders=(models,))
    for folder in (models / "e5", models / "link"):
        require_fetchable(str(folder), allowed, what="model")
    require_resolved_below(models / "e5", allowed, what="model")
    with pytest.raises(InvalidRequestError, match="leads out"):
        require_resolved_below(models / "link", allowed, what="model")
