"""Overfitting, underfitting, plateaus and the baseline, on runs made by hand."""

import pytest

from lightlab.inspect.doctor import diagnose
from lightlab.inspect.evaluation import Reference

RISING = ([1.0, 0.6, 0.4, 0.2, 0.1, 0.05, 0.02, 0.02], [0.9, 0.7, 0.61, 0.65, 0.8, 0.95, 1.1, 1.24])
FLAT = [0.9, 0.73, 0.7, 0.71, 0.7, 0.7, 0.71, 0.7, 0.7]


def trees(score, network, metric="r2"):
    """Return what another learner makes of the rows."""
    return Reference("extremely randomized trees", metric, score, network, 500)


def test_healthy(illnesses):
    """A run that learned what there is to learn, and was stopped some epochs past its best, has nothing."""
    assert illnesses() == []


def test_overfitting(make_history, make_evaluation, config):
    """The epoch since when, and what the losses were then and at the end, are those of the curves."""
    evaluation = make_evaluation(train=(0.3, 0.02), val=(0.61, 1.24))
    (finding,) = diagnose(make_history(*RISING), evaluation, config).findings
    assert finding.illness == "overfitting"
    assert finding.text.startswith("since epoch 4 val/loss rose from 0.61 to 1.24, while train/loss fell to 0.02 ")
    assert "2% of train, 124% of val" in finding.text
    assert finding.figures["since_epoch"] == 4


def test_overfitting_without_a_rise(make_history, make_evaluation, config):
    """What is learned by heart from the start counts, though the validation loss never rises."""
    history = make_history([0.5, 0.3, 0.1, 0.01], [0.9, 0.8, 0.75, 0.74])
    (finding,) = diagnose(history, make_evaluation(train=(0.01, 0.01), val=(0.74, 0.74)), config).findings
    assert finding.illness == "overfitting"
    assert finding.text.startswith("val/loss fell to 0.74 only, while train/loss fell to 0.01 ")
    assert "since_epoch" not in finding.figures


@pytest.mark.parametrize(
    ("train", "val", "error", "ill"),
    [
        ((0.02, 0.01), (0.2, 0.32), 0.02, True),  # risen by more than a tenth
        ((0.3, 0.29), (0.2, 0.32), 0.005, False),  # risen as far, to where the train rows are
        ((0.02, 0.01), (0.25, 0.28), 0.02, False),  # a gap as most data has it, and no rise
        ((0.4, 0.3), (0.55, 0.6), 0.05, False),  # noise that nobody can predict
        ((0.02, 0.01), (0.2, 0.6), 0.25, False),  # chance can make as much
        ((0.02, 0.01), (0.9, 1.9), 0.5, False),  # on so few rows nothing can be said
    ],
)
def test_gap_and_rise(illnesses, train, val, error, ill):
    """A gap counts if it is large, or if the loss has risen; and only if it is more than chance."""
    assert illnesses(*RISING, train=train, val=val, error=error) == ["overfitting"] * ill


def test_cut_short(make_history, make_evaluation, config):
    """A loss that still falls when max_epochs is reached is underfitting; when something else ended it, it is not."""
    losses = [1.2 - 0.06 * epoch for epoch in range(10)]
    history, evaluation = make_history(losses, losses), make_evaluation(train=(0.66, 0.66), val=(0.66, 0.66))
    (finding,) = diagnose(history, evaluation, config).findings
    assert finding.illness == "underfitting"
    assert "val/loss was still falling at the end, lately from 0.90 to 0.72; 66% of what there is" in finding.text
    assert finding.remedies[0] == "trainer.max_epochs: 20"
    assert diagnose(history, evaluation, {**config, "trainer": {"max_epochs": 50}}).healthy


def test_cut_short_by_steps(make_history, make_evaluation, config):
    """A limit of steps is one, too; the train loss stands in where there is no validation."""
    losses = [1.2 - 0.06 * epoch for epoch in range(10)]
    history, evaluation = make_history(losses), make_evaluation(train=(0.66, 0.66), val=None)
    (finding,) = diagnose(history, evaluation, {**config, "trainer": {"max_epochs": -1, "max_steps": 100}}).findings
    assert finding.text.startswith("train/loss was still falling at the end")
    assert finding.remedies[0] == "trainer.max_steps: 200"
    assert diagnose(history, evaluation, {**config, "trainer": {"max_steps": 101}}).healthy


def test_a_slow_fall_counts_where_there_is_more_to_learn(make_history, make_evaluation, config):
    """A loss that falls by a tenth is no illness, unless another learner shows that there is more to learn."""
    losses = [0.8, 0.77, 0.74, 0.72, 0.7, 0.68, 0.66, 0.64, 0.62, 0.6]
    history, shares = make_history(losses, losses), {"train": (0.6, 0.6), "val": (0.6, 0.6)}
    assert diagnose(history, make_evaluation(**shares), config).healthy
    (finding,) = diagnose(history, make_evaluation(**shares, reference=trees(0.9, 0.4)), config).findings
    assert finding.text.startswith("val/loss was still falling at the end")
    assert "extremely randomized trees reach" in finding.text


def test_weights_that_learned_more_than_the_best(illnesses):
    """What the last weights learned of the train rows can be learned, whatever the best ones left."""
    assert illnesses(FLAT, FLAT, train=(0.7, 0.05), val=(0.3, 0.3), reference=trees(0.9, 0.4)) == []


def test_what_overfits_is_not_told_to_learn_more(illnesses):
    """Where what was learned holds for train rows only, a larger network is no remedy."""
    options = {"train": (0.7, 0.5), "val": (0.8, 1.1), "reference": trees(0.9, 0.2)}
    assert illnesses(FLAT, FLAT, **options) == ["overfitting"]


def test_cut_short_after_two_epochs(illnesses):
    """Two epochs are enough to see it."""
    assert illnesses([1.4, 0.9], [1.3, 0.8], train=(0.7, 0.7), val=(0.8, 0.8), limit=2) == ["underfitting"]


def test_another_learner_does_better(make_history, make_evaluation, config):
    """Another learner's score shows that there is more to learn; that the loss stands still is said, too."""
    evaluation = make_evaluation(train=(0.7, 0.7), val=(0.7, 0.7), reference=trees(0.92, 0.3))
    underfitting, plateau = diagnose(make_history(FLAT, FLAT), evaluation, config).findings
    assert underfitting.illness == "underfitting"
    assert "extremely randomized trees reach r2 0.92, the network 0.30" in underfitting.text
    assert plateau.illness == "plateaued"
    assert plateau.text.startswith("train/loss has stood at 0.70 since epoch 3 of 9; extremely")
    assert plateau.figures["since_epoch"] == 3


def test_a_plateau_is_long(illnesses):
    """A loss that stood still in the last epochs only has no plateau."""
    options = {"train": (0.7, 0.7), "val": (0.7, 0.7), "reference": trees(0.92, 0.3)}
    losses = [1.5, 1.4, 1.3, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7]
    assert illnesses(losses, losses, **options) == ["underfitting"]


def test_a_rate_that_is_too_low_is_raised(make_history, make_evaluation, config):
    """A loss that has never moved takes larger steps, one that stopped takes smaller ones."""
    evaluation = make_evaluation(train=(0.7, 0.7), val=(0.7, 0.7), reference=trees(0.92, 0.3))
    advice = [
        diagnose(make_history(losses), evaluation, config).findings[1].remedies[0] for losses in ([0.7] * 9, FLAT)
    ]
    assert [text.split("(")[1] for text in advice] == ["ten times what it is)", "a tenth of what it is)"]


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        (trees(0.35, 0.3), 0.01),  # no better
        (trees(0.05, -0.3), 0.01),  # better, and no good itself
        (trees(0.5, 0.3), 0.15),  # better by chance
        (None, 0.01),  # not asked, and something was learned
    ],
)
def test_nobody_does_better(illnesses, reference, error):
    """Where no other learner is clearly better, what is left is noise: no illness."""
    assert illnesses(FLAT, FLAT, train=(0.7, 0.7), val=(0.7, 0.7), reference=reference, error=error) == []


def test_accuracy_on_few_rows(illnesses):
    """Of ten rows two more right is chance; of a thousand it is not."""
    options = {"train": (0.7, 0.7), "val": (0.7, 0.7), "reference": trees(0.8, 0.6, "accuracy")}
    assert illnesses(FLAT, FLAT, rows=10, **options) == []
    assert illnesses(FLAT, FLAT, rows=1000, **options) == ["underfitting", "plateaued"]


@pytest.mark.parametrize(
    "section", [{"model": {"head": {"class_weight": "balanced"}}}, {"data": {"init_args": {"balanced": True}}}]
)
def test_accuracy_is_not_what_was_asked_for(make_history, make_evaluation, config, section):
    """A network that is to find rare classes has less accuracy than one that is not: no illness."""
    evaluation = make_evaluation(train=(0.7, 0.7), val=(0.7, 0.7), reference=trees(0.95, 0.8, "accuracy"))
    assert diagnose(make_history(FLAT, FLAT), evaluation, {**config, **section}).healthy
    assert not diagnose(make_history(FLAT, FLAT), evaluation, config).healthy


def test_nothing_learned(illnesses):
    """Where no other learner could be asked, only a loss of the constant answer's is ill."""
    assert illnesses([1.0] * 9, train=(1.0, 1.0), val=None) == [
        "underfitting",
        "no better than the baseline",
        "plateaued",
    ]


def test_no_better_than_the_baseline(make_history, make_evaluation, config):
    """Noise that is told by nothing: the validation loss is that of the constant answer."""
    evaluation = make_evaluation(train=(0.93, 0.88), val=(1.04, 1.1), reference=trees(-0.1, -0.04))
    (finding,) = diagnose(make_history(*RISING), evaluation, config).findings
    assert finding.illness == "no better than the baseline"
    assert finding.text.startswith("val/loss is 1.04 at best, and 1.00 for")


def test_too_few_rows_for_the_baseline(make_history, make_evaluation, config):
    """Four rows, whose loss chance moves by more than there is to learn, tell nothing; that is said."""
    evaluation = make_evaluation(train=(0.9, 0.9), val=(1.3, 1.5), error=1.0, rows=4)
    diagnosis = diagnose(make_history(*RISING), evaluation, config)
    assert diagnosis.summary().endswith("4 validation rows are too few to tell much")
    assert "overfitting" not in diagnosis.checked
