"""The SavedModel: what leaves the project, and how it is read back."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from dvae_tf import generation
from dvae_tf.evaluation.likelihood import likelihood
from dvae_tf.model import DVAE
from dvae_tf.posteriors.posterior import Draws
from dvae_tf.priors.prior import Prior
from dvae_tf.registry import PRIORS, TASKS
from dvae_tf.tasks import Task
from sampler import seeds
from sampler.annealing import schedules
from sampler.io.errors import printable, reason
from sampler.machines.machine import AnyMachine

FORMAT = 3
"""Version of the export's layout; `ExportedModel` reads this one."""


_SIGNATURES: dict[str, tuple[set[str], set[str]]] = {
    "draw": ({"x", "num_samples", "betas", "seed"}, set(Draws._fields)),
    "decode": ({"z"}, {"logits"}),
    "log_likelihood": ({"x", "num_samples", "seed"}, {"log_likelihood"}),
}
"""Names of the inputs and outputs that an evaluation relies on."""


class ExportError(ValueError):
    """One clear line: the folder, what was found, what is accepted."""


class _Export(tf.Module):
    """The signatures over a model's variables; log Z_theta is stored as measured."""

    def __init__(self, model: DVAE, log_z_prior: float | None, num_temperatures: int):
        super().__init__()
        self.model = model
        self.format = tf.Variable(FORMAT, trainable=False)
        self.task = tf.Variable(model.config.task, trainable=False)
        self.prior_kind = tf.Variable(model.config.prior, trainable=False)
        self.log_z_prior = tf.constant(log_z_prior or 0.0, tf.float64)
        self.betas = tf.constant(schedules.linear(num_temperatures))

    def encode(self, x: tf.Tensor) -> dict[str, tf.Tensor] | None:
        return self.model.posterior.encode(self.model.phi(x))

    def draw(
        self, x: tf.Tensor, num_samples: tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        return self.model.draw(x, num_samples, betas, seed)._asdict()

    def decode(self, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": self.model.decode(z)}

    def prior(self) -> dict[str, tf.Tensor]:
        return self.model.prior.encode(self.model.prior.machine())

    def reconstruct(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"images": generation.reconstruct(self.model, x, seeds.make_seed(0))}

    def sample(self, num_samples: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        images = generation.sample_images(self.model, num_samples, _seed(seed))
        return {"images": images}

    def log_likelihood(
        self, x: tf.Tensor, num_samples: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        result = likelihood(self.model, x, num_samples, self.betas, _seed(seed))
        return {"log_likelihood": result.log_marginal - self.log_z_prior}


def _seed(seed: tf.Tensor) -> tf.Tensor:
    return seeds.fold_in(seeds.make_seed(0), seed)


def export(
    model: DVAE,
    directory: Path,
    log_z_prior: float | None,
    num_temperatures: int,
) -> None:
    """Writes a SavedModel with these signatures (all tensors by name, pixels flat, D of them):

      draw: x [B, D], num_samples (int32 scalar), betas [T], seed (int32 [2]) -> z [B, K, n],
        log_weights [B, K], log_prob [B, K]: weighted samples of the posterior (see
        `posteriors.posterior.Draws`; `betas` = [0, ..., 1] anneals where the posterior is an RBM)
      decode: z [B, n] -> logits [B, D]
      reconstruct: x [B, D] -> images [B, D], pixels' probabilities from one posterior sample
      log_likelihood: x [B, D], num_samples, seed (int32 scalars) -> log_likelihood [B], float64

    where the posterior shows its parameters

      encode: x [B, D] -> of an undirected one, its RBM's: b1 [B, n1], b2 [B, n2], w [B, n1, n2],
        or, for low-rank couplings, u [B, n1, r] and v [B, n2, r] in place of w

    and where there is a prior

      sample: num_samples, seed (int32 scalars) -> images [num_samples, D], pixels' probabilities
      prior: -> its parameters; of an RBM b1 [n1], b2 [n2], w [n1, n2]

    In structured prediction `draw` and `encode` take the given half of the pixels, `decode` and
    `reconstruct` return the predicted one, and the log-likelihood is log p(x2 | x1).

    Args:
      log_z_prior: the estimate of log Z_theta that `log_likelihood` subtracts; None without prior.
      num_temperatures: of the annealing of posteriors in `log_likelihood`.

    Raises:
      ExportError: the disk is full, or can't be written.
    """
    module = _Export(model, log_z_prior, num_temperatures)
    x = tf.TensorSpec([None, model.num_pixels], tf.float32, "x")
    given = tf.TensorSpec([None, model.pixel_mean.shape[0]], tf.float32, "x")
    z = tf.TensorSpec([None, model.config.num_latents], tf.float32, "z")
    num_samples = tf.TensorSpec([], tf.int32, "num_samples")
    betas = tf.TensorSpec([None], tf.float32, "betas")
    seed = tf.TensorSpec([], tf.int32, "seed")
    inputs = {
        "draw": [given, num_samples, betas, tf.TensorSpec([2], tf.int32, "seed")],
        "decode": [z],
        "reconstruct": [x],
        "log_likelihood": [x, num_samples, seed],
        "encode": [given],
    }
    if model.task.has_prior:
        inputs |= {"prior": [], "sample": [num_samples, seed]}
    signatures = {
        name: tf.function(getattr(module, name), autograph=False).get_concrete_function(*specs)
        for name, specs in inputs.items()
    }
    if signatures["encode"].structured_outputs is None:
        del signatures["encode"]
    try:
        tf.saved_model.save(module, str(directory), signatures=signatures)
    except (tf.errors.OpError, OSError) as error:
        raise ExportError(f"{directory}: could not be written ({reason(error)})") from None


class ExportedModel:
    """A loaded export, with the methods that an evaluation asks of a model.

    A SavedModel is a program, which TensorFlow runs with all that the user may do. Damage is told
    from a whole export here, malice is not: load only what comes from somebody you trust.

    Raises:
      ExportError: the folder is no SavedModel, or not one of this project's.
    """

    def __init__(self, directory: Path):
        try:
            self._load(directory)
        except ExportError:
            raise
        except Exception as error:  # On damaged files, TensorFlow raises a dozen unrelated types.
            raise ExportError(f"{directory}: not a readable SavedModel ({reason(error)})") from None

    def _load(self, directory: Path) -> None:
        if not (directory / "saved_model.pb").is_file():
            raise ValueError("it has no file saved_model.pb")
        self._loaded = tf.saved_model.load(str(directory))
        self._signatures = self._loaded.signatures
        found = getattr(self._loaded, "format", None)
        if not isinstance(found, tf.Variable) or int(found) != FORMAT:
            raise ExportError(
                f"{directory}: accepted is an export of this program in format {FORMAT}; found "
                f"{'no format' if found is None else 'another one'}"
            )
        self.task: Task = TASKS.load(self._loaded.task.numpy().decode())
        self._prior: type[Prior] = PRIORS.load(self._loaded.prior_kind.numpy().decode())
        self._check_signatures(directory)
        self.num_pixels = self._width("log_likelihood")

    def _check_signatures(self, directory: Path) -> None:
        """Raises ExportError unless there is all that the methods below call, by name."""
        for name in [*_SIGNATURES, *["prior"] * self.task.has_prior]:
            if name not in self._signatures:
                raise ExportError(
                    f"{directory}: found signatures {printable(str(sorted(self._signatures)))}, "
                    f"accepted is an export of this program (no {name})"
                )
        for name, (inputs, outputs) in _SIGNATURES.items():
            signature = self._signatures[name]
            takes, gives = signature.structured_input_signature[1], signature.structured_outputs
            if set(takes) != inputs or set(gives) != outputs:
                raise ExportError(
                    f"{directory}: found signature {name} from {printable(str(sorted(takes)))} to "
                    f"{printable(str(sorted(gives)))}, accepted is an export of this program"
                )

    def check_pixels(self, num_pixels: int, dataset: str) -> None:
        """Raises ExportError if images of `num_pixels` are not what the model takes."""
        if num_pixels != self.num_pixels:
            raise ExportError(
                f"--dataset={dataset}: found images of {num_pixels} pixels, accepted by this "
                f"export are {self.num_pixels}"
            )

    def encode(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the posterior shows of its parameters for inputs [B, D].

        Raises:
          ExportError: it shows nothing.
        """
        if "encode" not in self._signatures:
            raise ExportError("this export's posterior is no RBM; accepted is one that is")
        return self._signatures["encode"](x=x)

    def draw(
        self, inputs: tf.Tensor, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """Weighted hard samples of the posteriors of inputs [B, D]."""
        count = tf.constant(num_samples, tf.int32)
        draws = self._signatures["draw"](x=inputs, num_samples=count, betas=betas, seed=seed)
        return Draws(**draws)

    def decode(self, z: tf.Tensor) -> tf.Tensor:
        """Pixels' logits [..., D] of latents [..., n]."""
        logits = self._signatures["decode"](z=tf.reshape(z, [-1, z.shape[-1]]))["logits"]
        return tf.reshape(logits, tf.concat([tf.shape(z)[:-1], tf.shape(logits)[-1:]], 0))

    def prior_machine(self) -> AnyMachine:
        """The prior."""
        return self._prior.decode(self._signatures["prior"]())

    def _width(self, name: str) -> int:
        """Pixels that a signature takes; ValueError if their number is open."""
        width = self._signatures[name].structured_input_signature[1]["x"].shape[1]
        if width is None:
            raise ValueError(f"signature {name} does not say its number of pixels")
        return width
