"""helpers.optimizer_sweeps and batch_norm_sweeps: the trainings do what their descriptions say."""

import numpy as np
import pytest

from helpers import batch_norm_sweeps, optimizer_sweeps

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("keras_begun")]


def test_the_optimizers_are_those_of_their_names():
    for name in optimizer_sweeps.COMPARED:
        optimizer = optimizer_sweeps.keras_optimizer(name, 0.25)
        assert float(optimizer.learning_rate) == 0.25
        expected = {"momentum": "SGD", "Nesterov": "SGD", "RMSProp": "RMSprop"}.get(name, name)
        assert type(optimizer).__name__ == expected
    assert optimizer_sweeps.keras_optimizer("SGD", 0.1).momentum == 0
    assert optimizer_sweeps.keras_optimizer("momentum", 0.1).momentum == 0.9
    assert not optimizer_sweeps.keras_optimizer("momentum", 0.1).nesterov
    assert optimizer_sweeps.keras_optimizer("Nesterov", 0.1).nesterov
    with pytest.raises(ValueError, match="name is one of"):
        optimizer_sweeps.keras_optimizer("adam", 0.1)
    with pytest.raises(ValueError, match="greater than 0"):
        optimizer_sweeps.keras_optimizer("Adam", 0)


def test_each_is_trained_alike_and_to_the_bit(few):
    results = {
        name: optimizer_sweeps.train_with_each(few, 3, optimizer=name, learning_rate=0.01)
        for name in optimizer_sweeps.COMPARED
    }
    again = optimizer_sweeps.train_with_each(few, 3, optimizer="Adam", learning_rate=0.01)
    assert results["Adam"] == again
    assert len({result["loss"] for result in results.values()}) == len(results)
    diverged = optimizer_sweeps.train_with_each(few, 3, optimizer="SGD", learning_rate=1e30)
    assert set(diverged) == set(again)
    assert set(diverged.values()) == {None}


def test_all_sensitivity_tables_share_seeds_and_number_of_rates():
    for name, experiment in optimizer_sweeps.SENSITIVITY.items():
        assert experiment.grid["optimizer"] == [name]
        assert len(experiment.grid["learning_rate"]) >= 10
        assert list(experiment.seeds) == [0, 1, 2, 3, 4]
    assert set(optimizer_sweeps.SENSITIVITY) == set(optimizer_sweeps.COMPARED)


def test_the_factorial_trains_with_and_without_batch_norm(few):
    found = {}
    for batch_norm in (False, True):
        settings = {"hidden": "ten layers", "batch_norm": batch_norm, "learning_rate": 0.05}
        found[batch_norm] = batch_norm_sweeps.train_normalised(few, 2, **settings)
        assert found[batch_norm] == batch_norm_sweeps.train_normalised(few, 2, **settings)
    assert found[False]["loss"] != found[True]["loss"]
    with pytest.raises(ValueError, match="hidden is one of"):
        batch_norm_sweeps.train_normalised(
            few, 2, hidden="one layer", batch_norm=True, learning_rate=0.1
        )


def test_without_batch_norm_the_size_of_the_groups_changes_nothing(monkeypatch):
    from helpers import data, models

    few = data.few(data.load_fashion_mnist(), 512)
    plain = models.normalised_mlp
    monkeypatch.setattr(batch_norm_sweeps, "normalised_mlp", lambda: plain(batch_norm=False))
    monkeypatch.setattr(batch_norm_sweeps, "gather_averages", lambda model, x: None)
    one, many = (
        batch_norm_sweeps.train_in_groups(few, 2, group=group, learning_rate=0.02)
        for group in (512, 32)
    )  # at so small a rate, lest rounding errors grow
    for name, values in one.items():
        assert values == pytest.approx(many[name], rel=1e-3)
    assert one["train_loss"][-1] < 0.8 * one["train_loss"][0]


def test_with_batch_norm_it_does(few):
    loss = {
        group: batch_norm_sweeps.train_in_groups(few, 2, group=group, learning_rate=0.1)
        for group in (512, 32)
    }
    assert loss[512]["train_loss"] != pytest.approx(loss[32]["train_loss"], rel=1e-3)
    assert loss[32] == batch_norm_sweeps.train_in_groups(few, 2, group=32, learning_rate=0.1)
    for group in (0, 24, 1024):
        with pytest.raises(ValueError, match="must divide 512"):
            batch_norm_sweeps.train_in_groups(few, 2, group=group, learning_rate=0.1)


def test_adamw_decays_kernels_alone_and_by_rate_times_strength(few):
    import keras

    steps = {}
    for strength in (1e-9, 0.5):
        keras.utils.set_random_seed(1)
        model = optimizer_sweeps.mlp_with_decay("AdamW", 0.01, strength)
        before = model.get_weights()
        model.fit(few.x_train, few.y_train, batch_size=64, verbose=0)
        steps[strength] = [b - a for a, b in zip(before, model.get_weights(), strict=True)]
    for start, without, with_decay in zip(before, *steps.values(), strict=True):
        decay = 0.01 * 0.5 * start if start.ndim == 2 else 0 * start
        np.testing.assert_allclose(with_decay - without, -decay, atol=2e-6)


def test_the_l2_penalty_has_the_gradient_strength_times_w():
    model = optimizer_sweeps.mlp_with_decay("L2", 0.01, 0.5)
    kernels = [w for w in model.get_weights() if w.ndim == 2]
    penalty = sum(0.5 / 2 * (w**2).sum() for w in kernels)
    assert float(sum(model.losses)) == pytest.approx(penalty, rel=1e-5)
    assert type(model.optimizer).__name__ == "Adam"
    for bad in (("Adam", 0.1, 0.1), ("L2", 0, 0.1), ("AdamW", 0.1, 0)):
        with pytest.raises(ValueError, match="found"):
            optimizer_sweeps.mlp_with_decay(*bad)


def test_losses_are_reported_without_the_penalty(few):
    weak, strong = (
        optimizer_sweeps.train_with_decay(few, 1, kind="L2", learning_rate=1e-8, strength=strength)
        for strength in (1e-6, 10.0)
    )  # at so small a rate nothing is learned, and the penalty is all that differs
    assert weak["train_loss"] == pytest.approx(strong["train_loss"], rel=0.01)
