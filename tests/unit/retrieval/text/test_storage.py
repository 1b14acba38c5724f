"""What the text index lies on, and what is said when it is full."""

from pathlib import Path

import pytest

from retrieval.text import storage
from retrieval.text.factory import open_reader, open_writer
from retrieval.text.port import Checkpoint
from retrieval.text.settings import TextIndexSettings
from retrieval.text.storage import file_system_of, require_room
from schemas.documents import SearchDocument
from schemas.errors import FatalError, StorageFullError
from schemas.identity import SkuId, TenantId

MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /dev/shm tmpfs rw 0 0
tmpfs /srv/two\\040words tmpfs rw 0 0
/dev/vdb /srv xfs rw 0 0
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    file = tmp_path / "mounts"
    file.write_text(MOUNTS)
    return file


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/nowhere/yet", "ext4"),
        ("/dev/shm/text", "tmpfs"),
        ("/dev/shmx", "ext4"),
        ("/srv/text", "xfs"),
        ("/srv/two words/text", "tmpfs"),
    ],
)
def test_the_innermost_mount_says_what_a_folder_lies_on(mounts: Path, folder: str, kind: str) -> None:
    assert file_system_of(Path(folder), mounts) == kind


def test_a_system_that_does_not_say_gives_nothing(tmp_path: Path) -> None:
    assert file_system_of(tmp_path, tmp_path / "missing") == ""


def test_a_failure_for_want_of_room_says_so_and_any_other_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_room(tmp_path, ValueError("schema error"))
    with pytest.raises(StorageFullError, match=r"three times the index.*FERROFLUX_TEXT__DIRECTORY"):
        require_room(tmp_path, ValueError('IoError { kind: StorageFull, message: "No space left on device" }'))
    monkeypatch.setattr(storage, "_free_bytes", lambda directory: 4096)
    with pytest.raises(FatalError):
        require_room(tmp_path, ValueError("An index writer was killed.. A worker thread encountered an error"))


class Full:
    """A Tantivy writer on a disk without room."""

    def delete_documents_by_term(self, *_: object) -> None:
        """It is only noted."""

    def add_document(self, _: object) -> None:
        raise ValueError("An error occurred in a thread: No space left on device")


def test_a_full_folder_ends_the_writer_with_the_remedy_and_its_last_commit_stands(tmp_path: Path) -> None:
    settings = TextIndexSettings(directory=tmp_path / "text", heap_mb=15)
    document = SearchDocument(tenant=TenantId("acme"), sku=SkuId("A"), rev=1, state="0" * 16, title="Martillo")
    writer = open_writer(settings)
    writer.apply([document], Checkpoint("log", {0: 1}))
    kept, writer._writer = writer._writer, Full()  # type: ignore[assignment] # only what is called
    with pytest.raises(StorageFullError, match="last commit stands"):
        writer.apply([document.model_copy(update={"rev": 2})], Checkpoint("log", {0: 2}))
    writer._writer = kept
    writer.close()
    assert open_reader(settings).checkpoint() == Checkpoint("log", {0: 1})
