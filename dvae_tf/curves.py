"""A run's curves as a picture, from its TensorBoard events.

python -m dvae_tf.curves --log_dir=runs/mnist
"""

from __future__ import annotations

from pathlib import Path

from absl import flags
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from dvae_tf import cli, report
from dvae_tf.config import ConfigError
from dvae_tf.files import for_tensorflow

PANELS = {
    "eval/valid_nll": "validation NLL (nats)",
    "train/log_likelihood": "log p(x | relaxed z) in training (nats)",
    "posterior/rms_coupling": "root mean square of the posteriors' W",
    "prior/rms_coupling": "root mean square of the prior's W",
}

RENAMED = {"valid/nll": "eval/valid_nll"}
"""Tags of older runs."""


def read(log_dir: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of each scalar, by name; a resumed run's files form one curve."""
    if not log_dir.is_dir():
        raise ConfigError(f"--log_dir={log_dir}: no such folder; accepted is a run's")
    events = EventAccumulator(for_tensorflow(log_dir), size_guidance={"tensors": 0})
    events.Reload()
    found: dict[str, dict[int, float]] = {}
    for name in events.Tags()["tensors"]:
        # later files of a resumed run repeat the steps since its checkpoint
        if events.SummaryMetadata(name).plugin_data.plugin_name != "scalars":
            continue
        values = {e.step: float(make_ndarray(e.tensor_proto)) for e in events.Tensors(name)}
        found.setdefault(RENAMED.get(name, name), {}).update(values)
    return {name: (sorted(v), [v[step] for step in sorted(v)]) for name, v in found.items()}


def save(log_dir: Path) -> Path:
    """Writes curves.png into the run's folder; returns its path.

    Raises:
      ConfigError: there is no such folder, or no events of a run in it.
    """
    scalars = read(log_dir)
    panels = [name for name in PANELS if name in scalars]
    if not panels:
        raise ConfigError(f"--log_dir={log_dir}: found no TensorBoard events, accepted is a run's")
    labels = ((PANELS[name], "step", "") for name in panels)
    figure, axes = report.panels((5 * len(panels), 3.6), *labels)
    for axis, name in zip(axes, panels, strict=True):
        axis.plot(*scalars[name], marker="." if len(scalars[name][0]) < 50 else "")
    path = log_dir / "curves.png"
    report.write_png(path, figure)
    return path


def main(argv: list[str]) -> None:
    """Draws the curves of the run that the flag names."""
    del argv
    print(save(flags.FLAGS.log_dir))


if __name__ == "__main__":
    cli.define_path("log_dir", "runs/digits", "folder of the run", allow_override=True)
    cli.run(main)
