"""The peer torch-lr-finder, in an environment of its own: prints seconds and versions as JSON.

Usage: python torch_peer.py data.npz steps repeats
"""

import contextlib
import io
import itertools
import json
import sys
import time
from importlib.metadata import version

import numpy as np
import torch
import torch_lr_finder

LOWEST, HIGHEST = 1e-3, 0.1


def measure(x: torch.Tensor, y: torch.Tensor, steps: int) -> float:
    """Seconds of one range test on a new 784-300-100-10 network, batches of 32."""
    sizes = (784, 300, 100, 10)
    layers: list[torch.nn.Module] = [torch.nn.Flatten()]
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=LOWEST)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y), batch_size=32, shuffle=True
    )
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        finder = torch_lr_finder.LRFinder(model, optimizer, torch.nn.CrossEntropyLoss())
        finder.range_test(loader, end_lr=HIGHEST, num_iter=steps, diverge_th=1e9)
        finder.reset()
    seconds = time.perf_counter() - began
    if len(finder.history["loss"]) != steps:
        raise RuntimeError(f"expected {steps} steps, found {len(finder.history['loss'])}")
    return seconds


if __name__ == "__main__":
    data = np.load(sys.argv[1])
    images, labels = torch.tensor(data["x"]), torch.tensor(data["y"], dtype=torch.long)
    seconds = [measure(images, labels, int(sys.argv[2])) for _ in range(int(sys.argv[3]))]
    packages = {name: version(name) for name in ("torch", "torch-lr-finder")}
    print(json.dumps({"seconds": seconds, "versions": packages}))
