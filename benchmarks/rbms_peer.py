"""What `log_z_zoo.py` asks of the package `rbms`, in an interpreter of its own that has it.

python rbms_peer.py train FOLDER IMAGES.npz COUNT    trains RBMs from seeds: FOLDER/000.npz, ...
python rbms_peer.py ais FILE...                      a line of JSON: its log Z, and seconds
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from rbms.bernoulli_bernoulli.classes import BBRBM
from rbms.partition_function.ais import compute_partition_function_ais
from rbms.training.pcd import fit_batch_pcd


class Images:
    """The part of `rbms`' data set that its initial parameters are made from."""

    def __init__(self, data: torch.Tensor):
        self.data = data


def train(folder: str, path: str, count: str) -> None:
    """RBMs by its persistent contrastive divergence, weak to over-trained."""
    data = torch.from_numpy(np.load(path)["images"].astype(np.float32))
    for number in range(int(count)):
        rng = np.random.default_rng(number)
        torch.manual_seed(number)
        hidden, updates = int(rng.integers(6, 17)), int(rng.choice([100, 1000, 5000]))
        rate = float(rng.choice([0.01, 0.05, 0.1]))
        model = BBRBM.init_parameters(hidden, Images(data), torch.device("cpu"), torch.float32)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, maximize=True)
        model.init_grad()
        chains = model.init_chains(200)
        for _ in range(updates):
            batch = data[torch.from_numpy(rng.integers(len(data), size=100))]
            optimizer.zero_grad(set_to_none=False)
            chains, _ = fit_batch_pcd((batch, torch.ones(100, 1)), chains, model, 10, 1.0)
            optimizer.step()
        arrays = {name: t.detach().numpy() for name, t in model.named_parameters().items()}
        np.savez(Path(folder) / f"{number:03}.npz", **arrays)


def ais(paths: list[str]) -> None:
    """Its AIS with 1000 chains and 1000 temperatures, as the zoo's other methods have."""
    for path in paths:
        with np.load(path) as file:
            b1, b2, w = (torch.from_numpy(file[k].astype(np.float32)) for k in ("b1", "b2", "w"))
        torch.manual_seed(0)
        started = time.perf_counter()
        log_z = compute_partition_function_ais(1000, 1000, BBRBM(w, b1, b2))
        print(json.dumps([log_z, time.perf_counter() - started]), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)  # products are small
    train(*sys.argv[2:]) if sys.argv[1] == "train" else ais(sys.argv[2:])
