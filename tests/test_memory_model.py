"""ContentMemory against a plain dictionary, and what remains after a failure."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_scenarios import FRUIT, NAMES, fruit, held

from spikecore import InvalidInput, SpikecoreError, UnknownName
from spikecore.memory import CA3Memory, ContentMemory, Flags

# -- against a dictionary ------------------------------------------------------------------

cues = st.sampled_from(["a", "b", "c", "d"])
contents = st.frozensets(st.sampled_from(NAMES), min_size=1)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("store"), cues, contents, st.booleans()),
        st.tuples(st.just("recall"), cues),
        st.tuples(st.just("search"), contents, st.sampled_from([0.1, 0.5, 0.6, 1.0])),
        st.tuples(st.just("forget"), cues),
    ),
    min_size=1,
    max_size=14,
)


def step(memory, model, capacity, kind, *given):
    """Do one operation in spikes and in a dictionary."""
    if kind == "store":
        cue, content, overwrite = given
        if (cue in model and not overwrite) or (cue not in model and len(model) == capacity):
            with pytest.raises(InvalidInput):
                memory.store(cue, content, overwrite=overwrite)
            return
        report = memory.store(cue, content, overwrite=overwrite)
        assert report.outcome == ("replaced" if cue in model else "stored")
        model.pop(cue, None)
        model[cue] = content
    elif kind == "recall":
        best = memory.recall(*given).best
        assert (set(best.content) if best else None) == model.get(*given)
    elif kind == "forget":
        if given[0] in model:
            memory.forget(*given)
            del model[given[0]]
        else:
            with pytest.raises(UnknownName):
                memory.forget(*given)
    else:
        fragment, threshold = given
        share = {cue: len(content & fragment) / len(fragment) for cue, content in model.items()}
        expected = [
            (cue, share[cue], model[cue])
            for cue in sorted(model, key=lambda cue: (-share[cue], len(model[cue]), cue))
            if share[cue] >= threshold
        ]
        answers = memory.search(fragment, threshold).answers
        assert [(a.cue, a.overlap, set(a.content)) for a in answers] == expected
    assert memory.cues() == tuple(model)


def follows_a_dictionary(script, backend):
    memory, model = ContentMemory(Flags(NAMES), 3, backend=backend), {}
    for operation in script:
        step(memory, model, 3, *operation)
    assert {cue: set(content) for cue, content in held(memory).items()} == model


@given(operations)
@settings(max_examples=100, deadline=None)
def test_any_sequence_equals_a_dictionary(script):
    follows_a_dictionary(script, "event")


@given(operations)
@settings(max_examples=8, deadline=None)
def test_any_sequence_equals_a_dictionary_on_the_clocked_backend(script):
    follows_a_dictionary(script, "clocked")


# -- failures and the published preset -------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, SpikecoreError("run", "diverged")])
@pytest.mark.parametrize("operation", ["learn", "erase", "recall", "query"])
def test_failed_operation_leaves_everything_as_before(monkeypatch, operation, error):
    memory, work = fruit(), getattr(CA3Memory, operation)

    def fail(self, *arguments):
        work(self, *arguments)
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(CA3Memory, operation, fail)
        with pytest.raises(type(error) if isinstance(error, SpikecoreError) else error):
            {
                "learn": lambda: memory.store("apple", "green"),
                "erase": lambda: memory.forget("apple"),
                "recall": lambda: memory.recall("apple"),
                "query": lambda: memory.search("red"),
            }[operation]()
    assert held(memory) == FRUIT


def test_published_reports_what_it_disturbs():
    """A query's bits that a recalled content lacks grow on it; twice makes them answer."""
    fragment, disturbed = "red,round,sweet,long", {}
    for preset in ("published", "robust"):
        memory = fruit(preset=preset)
        reports = [memory.search(fragment) for _ in range(3)]
        disturbed[preset] = [report.disturbed for report in reports]
        assert held(memory) == FRUIT  # the contents themselves are still right
        assert bool(memory.search("long,sweet", threshold=1.0).answers) == (preset == "published")
    assert disturbed["robust"] == [()] * 3
    assert ("apple",) in disturbed["published"]


def test_published_keeps_contents_apart_that_answer_together():
    memory = fruit(preset="published")
    for _ in range(4):
        assert len(memory.search("round", threshold=1.0).answers) == 2
    assert held(memory) == FRUIT
