"""Live aliases: versions, tenants over the shared table, forgetting, the file."""

import pytest

from retrieval.aliases.compiled import compared, slots_of
from retrieval.aliases.file import AliasFile
from retrieval.aliases.live import LiveAliases
from retrieval.aliases.table import compared_slots
from retrieval.analysis.pipeline import analyse
from schemas.errors import InvalidEventError
from schemas.records.aliases import AliasKind, AliasRecord, AliasStatus


def entry(name="e", tenant="*", version=1, kind=AliasKind.SYNONYM, terms=("broca", "mecha"), targets=(), **fields):
    return AliasRecord(tenant=tenant, id=name, version=version, kind=kind, terms=terms, targets=targets, **fields)


def apply(live, *records):
    return live.apply({record.key: record for record in records})


def meant(live, tenant, text):
    slots = [compared(slot) for slot in slots_of(analyse(text).tokens)]
    return {p.text for match in live.of(tenant).matches(slots) for one in match.rewritings for p in one.targets}


def test_a_newer_version_replaces_and_an_older_one_is_dropped():
    live = LiveAliases([entry()])
    assert meant(live, "a", "mecha") == {"broca"}
    assert apply(live, entry(version=3, terms=("broca", "mecha", "barrena"))) == 1
    assert meant(live, "a", "mecha") == {"broca", "barrena"}
    assert apply(live, entry(version=2)) == 0
    assert meant(live, "a", "mecha") == {"broca", "barrena"}


def test_a_tenants_entry_is_its_own_and_adds_to_the_shared_ones():
    live = LiveAliases([entry()])
    apply(live, entry("own", tenant="a", terms=("broca", "taladrina")))
    assert meant(live, "a", "broca") == {"mecha", "taladrina"}
    assert meant(live, "b", "broca") == {"mecha"}


def test_tenants_without_entries_share_one_table_and_their_names_are_kept_nowhere():
    live = LiveAliases([entry()])
    apply(live, entry("own", tenant="a", terms=("broca", "taladrina")))
    assert live.of("made-up") is live.of("b") is not live.of("a")
    assert set(live._compiled) == {"*", "a"}
    apply(live, entry("own", tenant="b", terms=("broca", "barrena")))
    assert meant(live, "b", "broca") == {"mecha", "barrena"}
    live.apply({"b/own": None})
    assert live.of("b") is live.of("made-up")


def test_a_tenant_switches_a_shared_entry_off_by_its_id():
    live = LiveAliases([entry()])
    apply(live, entry(tenant="a", status=AliasStatus.REJECTED))
    assert meant(live, "a", "mecha") == set()
    assert meant(live, "b", "mecha") == {"broca"}


def test_a_proposal_changes_no_search():
    live = LiveAliases()
    apply(live, entry(tenant="a", status=AliasStatus.PROPOSED))
    assert meant(live, "a", "mecha") == set()
    apply(live, entry(tenant="a", version=2))
    assert meant(live, "a", "mecha") == {"broca"}


def test_a_forgotten_entry_gives_way_to_the_shipped_one():
    live = LiveAliases([entry()])
    apply(live, entry(version=2, terms=("broca", "barrena")))
    assert live.apply({"*/e": None}) == 1
    assert meant(live, "a", "broca") == {"mecha"}


def test_the_longer_expression_wins_whoever_knows_it():
    live = LiveAliases([entry(terms=("llave de tubo", "stillson"))])
    apply(live, entry("own", tenant="a", terms=("llave", "grifo")))
    assert meant(live, "a", "llave tubo") == {"stillson"}
    assert meant(live, "a", "llave") == {"grifo"}


def test_redirects_answer_the_whole_query_only_and_units_follow_numbers():
    live = LiveAliases()
    redirect = entry("r", "a", kind=AliasKind.REDIRECT, terms=("oferta del mes",), targets=("S1", "S2"))
    unit = entry("u", "a", kind=AliasKind.UNIT, terms=("cuñete",), targets=("gal",))
    apply(live, redirect, unit)
    table = live.of("a")
    assert table.redirected(compared_slots("ofertas mes")) == ("S1", "S2")
    assert table.redirected(compared_slots("oferta")) == ()
    assert table.spelled_units("pintura 5 Cuñete blanca") == "pintura 5 gal blanca"
    assert table.spelled_units("cuñete 5") == "cuñete 5"


def test_the_file_gives_back_what_was_written_and_passes_over_broken_lines(tmp_path):
    file = AliasFile(tmp_path)
    assert (file.stamp(), file.read()) == (None, ())
    records = (entry(), entry("x", "a", 7, AliasKind.ALIAS, ("maskin",), ("cinta de papel",)))
    file.write(records)
    before = file.stamp()
    assert file.read() == records
    file.path.write_bytes(file.path.read_bytes() + b"*/z\tnot json\n")
    assert file.stamp() != before
    assert file.read() == records


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "synonym", "terms": ["one"]},
        {"kind": "alias", "terms": ["one"]},
        {"kind": "unit", "terms": ["a"], "targets": ["b", "c"]},
        {"kind": "stop", "terms": ["a"], "targets": ["b"]},
    ],
)
def test_an_incomplete_entry_is_refused(fields):
    with pytest.raises(ValueError, match=r"needs|takes"):
        AliasRecord(id="e", **fields)


def test_a_record_under_another_key_is_refused():
    with pytest.raises(InvalidEventError):
        AliasRecord.from_record(b"*/other", entry().to_bytes())
    assert AliasRecord.from_record(b"*/e", entry().to_bytes()) == entry()
