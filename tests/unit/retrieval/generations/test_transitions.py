"""What may become of generations, and what is refused with which remedy."""

import pytest

from retrieval.encoders.settings import EncoderSettings
from retrieval.generations import transitions
from retrieval.generations.fitting import (
    built_with,
    choice_of,
    configured,
    encoder_settings,
    planned,
    require_revision,
    require_text_fit,
    store_choice,
    text_folder,
    vector_settings,
)
from retrieval.generations.view import (
    GenerationRefusedError,
    GenerationUnfitError,
    GenerationView,
    PointerMovedError,
    view_of,
)
from retrieval.testing import HashingEncoder, HashingSparseEncoder
from retrieval.vectors.settings import HnswSettings, Quantisation, VectorSettings
from schemas.errors import ConfigurationError
from schemas.product.building import DEFAULT_POLICY, DocumentPolicy
from schemas.records.generations import MAIN, EncoderChoice, GenerationStage, Origin, Pointer, StoreChoice
from tests.contracts.generation_store_suite import manifest


def after(view_records: dict[str, bytes], transition: transitions.Transition) -> dict[str, bytes]:
    changed = view_records | dict(transition(view_of(view_records)))
    return {key: value for key, value in changed.items() if value is not None}


def with_prepared(*names: str) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    for number, name in enumerate(names):
        records = after(records, transitions.create(manifest(name, created_us=number + 1), now_us=1))
        records = after(records, transitions.mark_prepared(name, now_us=2))
    return records


def test_a_build_that_is_resumed_changes_nothing_and_another_of_the_name_is_refused():
    records = with_prepared("a")
    assert transitions.create(manifest("a", created_us=1), now_us=9)(view_of(records)) == {}
    with pytest.raises(GenerationRefusedError, match="choose another name, or drop it first"):
        after(records, transitions.create(manifest("a", created_us=1, analyser="9"), now_us=9))
    with pytest.raises(GenerationRefusedError, match="belongs to generation a"):
        after(records, transitions.create(manifest("b", collection="catalogue.a"), now_us=9))
    with pytest.raises(GenerationRefusedError, match="generation of the settings"):
        after({}, transitions.create(manifest(MAIN), now_us=9))


def test_what_is_not_prepared_is_not_promoted():
    building = after({}, transitions.create(manifest("a"), now_us=1))
    assert view_of(building).stage("a") is GenerationStage.BUILDING
    assert view_of(building).prepared() == (MAIN,)
    assert view_of(building).replicated() == (MAIN, "a")
    with pytest.raises(GenerationRefusedError, match="not prepared yet"):
        after(building, transitions.promote("a", expected_epoch=0, now_us=2))
    with pytest.raises(GenerationRefusedError, match="no generation b"):
        after(building, transitions.promote("b", expected_epoch=0, now_us=2))


def test_a_pointer_that_moved_is_told_to_whoever_decided_before():
    records = after(with_prepared("a", "b"), transitions.promote("a", expected_epoch=0, now_us=3))
    for transition in (
        transitions.promote("b", expected_epoch=0, now_us=4),
        transitions.roll_back(expected_epoch=0, now_us=4),
    ):
        with pytest.raises(PointerMovedError, match="moved to a"):
            after(records, transition)
    with pytest.raises(GenerationRefusedError, match="live already"):
        after(records, transitions.promote("a", expected_epoch=1, now_us=4))


def test_the_live_generation_is_never_dropped_and_a_dropped_one_never_gone_back_to():
    records = after(with_prepared("a"), transitions.promote("a", expected_epoch=0, now_us=3))
    with pytest.raises(GenerationRefusedError, match="answers queries"):
        after(records, transitions.begin_drop("a", now_us=4))
    dropping = after(records, transitions.begin_drop(MAIN, now_us=4))
    assert view_of(dropping).stage(MAIN) is GenerationStage.DROPPING
    assert view_of(dropping).prepared() == ("a",)
    with pytest.raises(GenerationRefusedError, match="none to go back to"):
        after(dropping, transitions.roll_back(expected_epoch=1, now_us=5))
    with pytest.raises(GenerationRefusedError, match="being dropped"):
        after(dropping, transitions.promote(MAIN, expected_epoch=1, now_us=5))
    gone = after(dropping, transitions.finish_drop(MAIN, now_us=6))
    with pytest.raises(GenerationRefusedError, match="no generation main"):
        after(gone, transitions.begin_drop(MAIN, now_us=7))
    with pytest.raises(GenerationRefusedError, match="not being dropped"):
        after(records, transitions.finish_drop("a", now_us=7))


def test_a_generation_that_was_dropped_while_it_was_built_does_not_come_back():
    building = after({}, transitions.create(manifest("a"), now_us=1))
    dropping = after(building, transitions.begin_drop("a", now_us=2))
    with pytest.raises(GenerationRefusedError, match="dropped meanwhile"):
        after(dropping, transitions.mark_prepared("a", now_us=3))
    with pytest.raises(GenerationRefusedError, match="to its end first"):
        after(dropping, transitions.create(manifest("a"), now_us=3))


def test_a_record_that_cannot_be_read_hides_no_other():
    records = with_prepared("a") | {"pointer": b"{", "generation/b": b"[]", "unheard-of": b"1"}
    view = view_of(records)
    assert (view.prepared(), view.pointer) == ((MAIN, "a"), Pointer())


def test_an_encoder_choice_gives_the_settings_back_and_leaves_the_machine_its_own():
    chosen = EncoderSettings(model="m", layers="float32", query_prompt="q: ", truncate_dimension=32, threads=7)
    made = manifest("a", encoder=choice_of(chosen))
    here = encoder_settings(EncoderSettings(threads=1), made)
    assert choice_of(here) == made.encoder == EncoderChoice(model="m", query_prompt="q: ", truncate_dimension=32)
    assert here.threads == 1
    assert encoder_settings(chosen, configured(encoder=chosen)) == chosen
    own = EncoderSettings()
    assert encoder_settings(own, configured(encoder=own)) == own


def test_a_manifest_records_layers_that_were_chosen_and_not_an_open_setting():
    with pytest.raises(ValueError, match="settle_layers comes first"):
        choice_of(EncoderSettings())


def test_a_process_refuses_what_it_cannot_serve(tmp_path):
    encoder = HashingEncoder(8)
    plan = planned(
        "a",
        configured(documents="d", vectors=VectorSettings(collection="c")),
        StoreChoice(),
        now_us=5,
        origin=Origin.CHANGES,
        starts=None,
    )
    chosen = EncoderSettings(model="hashing", layers="float32")
    made = built_with(plan, chosen, encoder, DEFAULT_POLICY)
    require_text_fit(made)
    require_revision(made, encoder.revision)
    assert (made.collection, made.documents) == ("c.a", "d.a")
    assert text_folder(tmp_path, made) == tmp_path / "generations" / "a.5"
    assert text_folder(tmp_path, configured()) == tmp_path
    with pytest.raises(GenerationUnfitError, match="analyser"):
        require_text_fit(made.model_copy(update={"analyser": "another"}))
    with pytest.raises(GenerationUnfitError, match="same model files"):
        require_revision(made, HashingEncoder(9).revision)


def test_a_view_without_records_is_the_system_of_the_settings():
    view = GenerationView()
    assert (view.names(), view.live, view.stage(MAIN), view.stage("x")) == (
        (MAIN,),
        MAIN,
        GenerationStage.PREPARED,
        None,
    )


def test_main_is_what_the_settings_say_and_its_manifest_what_it_was_built_with():
    chosen = EncoderSettings(model="hashing", layers="float32")
    policy = DocumentPolicy(price_list="retail", stock_from=frozenset({"", "annex"}))
    own = configured(documents="d", vectors=VectorSettings(collection="c", hnsw={"m": 24}), encoder=chosen)
    encoder = HashingEncoder(8, sparse=HashingSparseEncoder())
    made = built_with(own, chosen, encoder, policy)
    records = after(with_prepared("a"), transitions.record(made))
    view = view_of(records, own)
    assert (view.names(), view.manifest(MAIN), view.manifests[MAIN]) == ((MAIN, "a"), own, made)
    assert transitions.record(made)(view) == {}
    assert (made.encoder.model, made.revision, made.policy) == ("hashing", encoder.revision.id, policy)
    assert made.store == StoreChoice(m=24)
    assert made.revision != HashingEncoder(8).revision.id, "the sparse part counts"
    assert "" not in (made.text_schema, made.analyser, made.aliases)
    assert built_with(made, EncoderSettings(), HashingEncoder(9), DEFAULT_POLICY) is made
    # Another version writes the text index anew, and the collection's own record refuses another encoder.
    require_text_fit(own)
    require_revision(own, HashingEncoder(9).revision)
    with pytest.raises(GenerationRefusedError, match="collection c belongs to generation main"):
        after(records, transitions.create(manifest("b", collection="c"), now_us=3))


def test_the_manifest_of_a_main_that_was_dropped_goes_with_it_and_does_not_come_back():
    made = built_with(configured(), EncoderSettings(layers="float32"), HashingEncoder(8), DEFAULT_POLICY)
    records = after(after({}, transitions.record(made)), transitions.create(manifest("a"), now_us=1))
    records = after(records, transitions.mark_prepared("a", now_us=2))
    records = after(records, transitions.promote("a", expected_epoch=0, now_us=3))
    dropping = after(records, transitions.begin_drop(MAIN, now_us=4))
    gone = after(dropping, transitions.finish_drop(MAIN, now_us=5))
    assert [view_of(one).manifests.keys() - {"a"} for one in (dropping, gone)] == [{MAIN}, set()]
    for one in (dropping, gone):
        assert transitions.record(made)(view_of(one)) == {}


def test_a_collections_settings_belong_to_its_generation():
    own = VectorSettings(quantisation="scalar", hnsw=HnswSettings(m=24, ef_search=9), directory="here")
    chosen = store_choice(own, {"quantisation": "none", "ef_construct": "64"})
    assert chosen == StoreChoice(quantisation="none", m=24, ef_construct=64)
    found = vector_settings(own, manifest("a", store=chosen))
    assert (found.collection, found.quantisation, found.directory) == ("catalogue.a", Quantisation.NONE, own.directory)
    assert found.hnsw == HnswSettings(m=24, ef_construct=64, ef_search=9)
    of_a_release_before = vector_settings(own, manifest("a"))
    assert of_a_release_before == own.model_copy(update={"collection": "catalogue.a"})
    assert vector_settings(own, configured(vectors=own)) == own
    for wrong in ({"quantisation": "half"}, {"m": "-1"}, {"shards": "2"}):
        with pytest.raises(ConfigurationError, match="--set vectors"):
            store_choice(own, wrong)
