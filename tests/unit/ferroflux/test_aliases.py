"""Alias files and decisions as records of the topic."""

from ferroflux.operations.aliases import imported
from retrieval.aliases.live import LiveAliases
from retrieval.aliases.shipped import shipped_aliases
from retrieval.aliases.table import compared_slots


def test_an_imported_group_adds_to_the_shared_one_of_the_same_first_term():
    live = LiveAliases(shipped_aliases())
    records = imported({"synonyms": [["taladro", "chirimbolo"]]}, "norte")
    live.apply({record.key: record for record in records})
    assert [record.id for record in records] == ["own:synonyms:taladro"]
    meant = {
        phrase.text
        for match in live.of("norte").matches(compared_slots("taladro"))
        for one in match.rewritings
        for phrase in one.targets
    }
    assert {"chirimbolo", "agujereadora"} <= meant
