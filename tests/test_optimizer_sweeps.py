"""helpers.optimizer_sweeps and batch_norm_sweeps: the trainings do what their descriptions say."""

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
