"""A table's runs: their configurations and the names of their folders."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dvae_tf.config import FIELDS, Config, ConfigError, resolve
from dvae_tf.data import check_name
from dvae_tf.paper.layout import UNDIRECTED, Cell, belongs, cells
from sampler.io.errors import expect

DATASETS = {"mnist": "binarized_mnist"}
"""What the program calls the tables' datasets, where the names differ."""

POSTERIORS = {
    "dvae#": {"posterior": "directed", "relaxation": "power"},
    "concrete": {"posterior": "directed", "relaxation": "concrete"},
    "pwl": {"posterior": "directed", "relaxation": "pwl"},
    UNDIRECTED: {"posterior": "undirected", "relaxation": "pwl"},
}
"""The settings that make a method."""

_BOOLEANS = {"true": True, "false": False}


class Run(NamedTuple):
    """A run of the grid: its model and seed, its folder's name, and its whole configuration."""

    cell: Cell
    seed: int
    name: str
    config: Config


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which part of a table to run; an empty field selects everything in the paper's.

    Attributes:
      table: 1, 2, 3 or 4.
      rows: names as `row_name` gives them, or methods, which select all of their L.
      data, sizes, samples: as in `Cell`; samples are K, for Tables 2 and 3.
      seeds: of the runs of each cell.
      settings: other fields of the configuration; None means not given.
    """

    table: int
    rows: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    samples: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (0,)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """The whole table, extended by the datasets, sizes and K that the paper's lacks."""
        return cells(self.table, self.data, self.sizes, self.samples)

    def runs(self) -> list[Run]:
        """The selected runs, seed by seed.

        Raises:
          ConfigError: an unknown name or setting, or nothing is selected.
        """
        own = [cell for cell in self.cells() if belongs(self.table, cell)]
        self._check(own)
        chosen = [cell for cell in own if self._selects(cell)]
        if not chosen or not self.seeds:
            raise ConfigError(f"--table={self.table}: the flags given leave no run of it")
        runs = [make_run(cell, seed, self.settings) for seed in self.seeds for cell in chosen]
        return list({run.name: run for run in runs}.values())

    def _selects(self, cell: Cell) -> bool:
        return (
            (not self.rows or not {row_name(cell), cell.method}.isdisjoint(self.rows))
            and (not self.data or cell.data in self.data)
            and (not self.sizes or cell.size in self.sizes)
            and (not self.samples or cell.num_samples in self.samples)
        )

    def _check(self, own: list[Cell]) -> None:
        accepted = {row_name(cell) for cell in own} | {cell.method for cell in own}
        for row in self.rows:
            expect(row in accepted, "--rows", row, ", ".join(sorted(accepted)), ConfigError)
        for name in self.data:
            check_name(DATASETS.get(name, name))
        for k in self.samples:
            found = f"{k} with --table={self.table}"
            one = "none: its bound has one sample"
            expect(self.table in (2, 3), "--k", found, one, ConfigError)


def make_run(cell: Cell, seed: int, settings: Mapping[str, Any]) -> Run:
    """The run of a cell with a seed; ConfigError names a setting that is not accepted."""
    cell = canonical(cell)
    config = resolve(**_of_cell(cell), seed=seed, **settings)
    return Run(cell, seed, f"{stem(cell)}_seed{seed}", config)


def _of_cell(cell: Cell) -> dict[str, Any]:
    """The fields of the configuration that a cell determines."""
    return {
        "dataset": DATASETS.get(cell.data, cell.data),
        "task": cell.task,
        **POSTERIORS[cell.method],
        "num_latents": 2 * cell.size,
        "num_layers": cell.num_layers,
        "shared_context": cell.shared_context,
        "num_samples": cell.num_samples,
    }


def canonical(cell: Cell) -> Cell:
    """The same cell for models that are the same.

    A single group has nothing to share a context with: "in the L = 1 case, both structures are
    identical" (the paper's Appendix B).
    """
    return cell._replace(shared_context=True) if cell.num_layers == 1 else cell


def row_name(cell: Cell) -> str:
    """A model's name on the command line: dvae## or, for example, pwl_l2."""
    return cell.method if cell.method == UNDIRECTED else f"{cell.method}_l{cell.num_layers}"


def stem(cell: Cell) -> str:
    """The name of a cell's folders up to the seed, such as mnist_100_pwl_l2_k1."""
    named = {"dvae##": "undirected", "dvae#": "power"}
    method, *layers = row_name(cell).split("_")
    parts = [Path(cell.data).stem, cell.size, named.get(method, method), *layers]
    parts.append(f"k{cell.num_samples}")
    if not canonical(cell).shared_context:
        parts.append("separate")
    if cell.task != "vae":
        parts.append("structured")
    return "_".join(map(str, parts))


def integers(flag: str, texts: list[str]) -> tuple[int, ...]:
    """A flag's texts as numbers; ConfigError unless each is a non-negative integer."""
    for text in texts:
        expect(text.isdecimal(), f"--{flag}", text, "whole numbers, as in 1,2,3", ConfigError)
    return tuple(map(int, texts))


def parse_settings(texts: list[str]) -> dict[str, Any]:
    """Parses "name=value" texts into fields of the configuration.

    Raises:
      ConfigError: an unknown field, one that the grid sets, or a value of the wrong type.
    """
    own = {"seed", *_of_cell(Cell("mnist", 100, UNDIRECTED))}
    accepted = [name for name in FIELDS if name not in own]
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        named = f"name=value with a name of {', '.join(accepted)}"
        expect(equals and name in accepted, "--set", text, named, ConfigError)
        kind = type(getattr(Config, name))
        try:
            settings[name] = _BOOLEANS[value.lower()] if kind is bool else kind(value)
        except (ValueError, KeyError):
            expect(False, "--set", text, f"a value of type {kind.__name__}", ConfigError)
    return settings
