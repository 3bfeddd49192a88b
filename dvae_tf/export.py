"""The SavedModel: what leaves the project, and how it is read back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from dvae_tf import generation
from dvae_tf.answers import Answers
from dvae_tf.conditions import Parts, TopHalf, split
from dvae_tf.evaluation.likelihood import likelihood
from dvae_tf.files import for_tensorflow
from dvae_tf.likelihoods import Bernoulli
from dvae_tf.model import Wiring
from dvae_tf.posteriors.posterior import Draws
from dvae_tf.priors.prior import Prior
from dvae_tf.priors.rbm import RBMPrior
from dvae_tf.registry import ALL_PRIORS, TASKS, load_entry
from dvae_tf.tasks import Task
from sampler import seeds
from sampler.annealing import schedules
from sampler.io.errors import printable, reason
from sampler.machines.machine import AnyMachine

FORMAT = 3
"""Version of the export's layout; `ExportedModel` reads this one."""

SERVED_SAMPLES = 100
"""Importance samples of an image where nobody says how many."""


_SIGNATURES: dict[str, tuple[set[str], set[str]]] = {
    "draw": ({"x", "num_samples", "betas", "seed"}, set(Draws._fields)),
    "decode": ({"z"}, {"logits"}),
    "log_likelihood": ({"x", "num_samples", "seed"}, {"log_likelihood"}),
}
"""Names of the inputs and outputs that an evaluation relies on."""


KERAS_FILE = "model.keras"
"""In the SavedModel's folder: the model as Keras saves it, from which `dvae_tf.load` has it."""


class ExportError(ValueError):
    """One clear line: the folder, what was found, what is accepted."""


class _Export(tf.Module):
    """The signatures over a model's variables; log Z_theta is stored as measured."""

    def __init__(self, model: Wiring, log_z_prior: float | None, num_temperatures: int):
        super().__init__()
        self.model = model
        self.format = tf.Variable(FORMAT, trainable=False)
        tasks = [name for name in TASKS if TASKS.load(name) == model.task]
        self.task = tf.Variable(tasks[0], trainable=False)
        kind = type(model.prior) if model.has_prior else RBMPrior
        names = [name for name in ALL_PRIORS if load_entry(ALL_PRIORS[name]) is kind]
        registered = keras.saving.get_registered_name(kind)
        self.prior_kind = tf.Variable([*names, registered][0], trainable=False)
        self.likelihood = tf.Variable(_text(model.likelihood), trainable=False)
        self.condition = tf.Variable(_text(model.condition), trainable=False)
        self.log_z_prior = tf.constant(log_z_prior or 0.0, tf.float64)
        self.betas = tf.constant(schedules.linear(num_temperatures))

    def _checked(self, data: dict[str, tf.Tensor], exactly: bool = False) -> dict[str, tf.Tensor]:
        """The data; an InvalidArgumentError where the likelihood can't take the pixels."""
        if "x" not in data:
            return data
        holds, accepted = self.model.likelihood.accepts(data["x"], exactly)
        message = f"x: found other pixels; accepted are {accepted}"
        with tf.control_dependencies([tf.debugging.assert_equal(holds, True, message)]):
            return {**data, "x": tf.identity(data["x"])}

    def encode(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor] | None:
        return self.model.encoded(_packed(self._checked(inputs)))

    def draw(
        self, num_samples: tf.Tensor, betas: tf.Tensor, seed: tf.Tensor, **inputs: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        return self.model.draw(_packed(self._checked(inputs)), num_samples, betas, seed)._asdict()

    def decode(self, z: tf.Tensor, condition: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        return {"logits": self.model.decode(z, condition)}

    def prior(self) -> dict[str, tf.Tensor]:
        parameters = self.model.prior.encode(self.model.prior_machine())
        return {**parameters, "log_z": tf.identity(self.log_z_prior)}

    def reconstruct(self, seed: tf.Tensor, **data: tf.Tensor) -> dict[str, tf.Tensor]:
        images = generation.reconstruct(self.model, _packed(self._checked(data)), _seed(seed))
        return {"images": images}

    def serving_default(self, **data: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.log_likelihood(tf.constant(SERVED_SAMPLES), tf.constant(0), **data)

    def sample(
        self, num_samples: tf.Tensor, seed: tf.Tensor, condition: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        images = generation.sample_images(self.model, num_samples, _seed(seed), condition)
        return {"images": images}

    def log_likelihood(
        self, num_samples: tf.Tensor, seed: tf.Tensor, **data: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        data = self._checked(data, exactly=True)
        result = likelihood(self.model, _packed(data), num_samples, self.betas, _seed(seed))
        return {"log_likelihood": result.log_marginal - self.log_z_prior}


def _seed(seed: tf.Tensor) -> tf.Tensor:
    return seeds.fold_in(seeds.make_seed(0), seed)


def _packed(named: dict[str, tf.Tensor]) -> Any:
    """x alone, the condition alone, or the list of both."""
    values = [named[name] for name in ("x", "condition") if name in named]
    return values[0] if len(values) == 1 else values


def _text(part: Any) -> str:
    """A likelihood or condition as JSON."""
    return json.dumps(keras.saving.serialize_keras_object(part))


def export(
    model: Wiring,
    directory: Path,
    log_z_prior: float | None,
    num_temperatures: int,
) -> None:
    """Writes a SavedModel with these signatures (all tensors by name, pixels flat, D of them):

      draw: x [B, D], num_samples (int32 scalar), betas [T], seed (int32 [2]) -> z [B, K, n],
        log_weights [B, K], log_prob [B, K]: weighted samples of the posterior (see
        `posteriors.posterior.Draws`; `betas` = [0, ..., 1] anneals where the posterior is an RBM)
      decode: z [B, n] -> logits [B, D]
      reconstruct: x [B, D], seed (int32 scalar) -> images [B, D], pixels' probabilities from one
        posterior sample
      log_likelihood: x [B, D], num_samples, seed (int32 scalars) -> log_likelihood [B], float64
      serving_default: x [B, D] -> log_likelihood [B], of 100 samples and seed 0

    where the posterior shows its parameters

      encode: x [B, D] -> of an undirected one, its RBM's: b1 [B, n1], b2 [B, n2], w [B, n1, n2],
        or, for low-rank couplings, u [B, n1, r] and v [B, n2, r] in place of w

    and where there is a prior

      sample: num_samples, seed (int32 scalars) -> images [num_samples, D], pixels' probabilities
      prior: -> its parameters, of an RBM b1 [n1], b2 [n2], w [n1, n2]; and log_z, the estimate of
        log Z_theta, float64

    In structured prediction `draw` and `encode` take the given half of the pixels, `decode` and
    `reconstruct` return the predicted one, and the log-likelihood is log p(x2 | x1).

    Args:
      log_z_prior: the estimate of log Z_theta that `log_likelihood` subtracts; None without prior.
      num_temperatures: of the annealing of posteriors in `log_likelihood`.

    Raises:
      ExportError: the disk is full, or can't be written.
    """
    module = _Export(model, log_z_prior, num_temperatures)
    data, inputs = _specs(model)
    given = {name: spec for name, spec in data.items() if name == "condition"}
    num_samples = {"num_samples": tf.TensorSpec([], tf.int32, "num_samples")}
    betas = {"betas": tf.TensorSpec([None], tf.float32, "betas")}
    seed = {"seed": tf.TensorSpec([], tf.int32, "seed")}
    key = {"seed": tf.TensorSpec([2], tf.int32, "seed")}
    z = {"z": tf.TensorSpec([None, sum(model.prior_blocks)], tf.float32, "z")}
    specs = {
        "draw": inputs | num_samples | betas | key,
        "decode": z | given,
        "reconstruct": data | seed,
        "log_likelihood": data | num_samples | seed,
        "serving_default": data,
        "encode": inputs,
    }
    if model.has_prior:
        specs |= {"prior": {}, "sample": num_samples | seed | given}
    signatures = {
        name: tf.function(getattr(module, name), autograph=False).get_concrete_function(**named)
        for name, named in specs.items()
    }
    if signatures["encode"].structured_outputs is None:
        del signatures["encode"]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tf.saved_model.save(module, for_tensorflow(directory), signatures=signatures)
    except (tf.errors.OpError, OSError) as error:
        raise ExportError(f"{directory}: could not be written ({reason(error)})") from None


def _prior(kind: str) -> type[Prior]:
    """The class of a prior, by its name in the registry or in Keras' own."""
    if kind in ALL_PRIORS:
        return load_entry(ALL_PRIORS[kind])
    found = keras.saving.get_registered_object(kind)
    if found is None:
        raise ValueError(f"its prior, {kind}, is not known here; import the module that has it")
    return found


def _specs(model: Wiring) -> tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec]]:
    """What whole images with their conditions are in the signatures, and what the encoder sees."""
    if model.image_shape is None:
        raise ExportError("export: found a model that has seen no images; accepted: after fit")
    data = {"x": tf.TensorSpec([None, *model.image_shape], tf.float32, "x")}
    if model.condition is None:
        return data, data
    if isinstance(model.condition, TopHalf):
        half = model.image_shape[-1] // 2
        return data, {"x": tf.TensorSpec([None, half], tf.float32, "x")}
    shape = [None, *model.condition.shape]
    condition = {"condition": tf.TensorSpec(shape, tf.float32, "condition")}
    return data | condition, data | condition if model.has_prior else condition


class ExportedModel(Answers):
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
        self._loaded = tf.saved_model.load(for_tensorflow(directory))
        self._signatures = self._loaded.signatures
        found = getattr(self._loaded, "format", None)
        if not isinstance(found, tf.Variable) or int(found) != FORMAT:
            raise ExportError(
                f"{directory}: accepted is an export of this program in format {FORMAT}; found "
                f"{'no format' if found is None else 'another one'}"
            )
        self.task: Task = TASKS.load(self._loaded.task.numpy().decode())
        self.has_prior = self.task.has_prior
        self._prior = _prior(self._loaded.prior_kind.numpy().decode())
        self.likelihood = self._part("likelihood") or Bernoulli()
        self.condition = self._part("condition") or (None if self.has_prior else TopHalf())
        self._check_signatures(directory)
        self.image_shape = self._shape("log_likelihood")
        self.num_pixels = self.floats_per_state = math.prod(self.image_shape)

    def _part(self, name: str) -> Any:
        """What `_text` wrote; None where an older version wrote nothing."""
        found = getattr(self._loaded, name, None)
        return found and keras.saving.deserialize_keras_object(json.loads(found.numpy().decode()))

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
            images = {"x", "condition"}
            if set(takes) - images != inputs - images or set(gives) != outputs:
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

    def create(self, image_shape: tuple[int, ...], name: str = "x") -> None:
        """Raises ValueError, naming the argument, for images of another shape."""
        if image_shape != self.image_shape:
            raise ValueError(
                f"{name}: found images of shape {image_shape}; accepted by this export: "
                f"{self.image_shape}"
            )

    def split(self, data: Any) -> Parts:
        """What encoder, likelihood and decoder see of data."""
        return split(self.condition, self.has_prior, data)

    def log_px(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """log p(x | z), [B, K]."""
        return self.likelihood.total(targets, outputs)

    def encoded(self, inputs: Any) -> dict[str, tf.Tensor] | None:
        """What the posterior shows of its parameters for the encoder's inputs; None if nothing."""
        if "encode" not in self._signatures:
            return None
        return self._signatures["encode"](**self._named("encode", inputs))

    def encode_parameters(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `encoded`.

        Raises:
          ExportError: it shows nothing.
        """
        parameters = self.encoded(x)
        if parameters is None:
            raise ExportError("this export's posterior is no RBM; accepted is one that is")
        return parameters

    def draw(
        self, inputs: Any, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """Weighted hard samples of the posteriors of inputs [B, ...]."""
        count = tf.constant(num_samples, tf.int32)
        named = self._named("draw", inputs)
        draws = self._signatures["draw"](**named, num_samples=count, betas=betas, seed=seed)
        return Draws(**draws)

    def decode(self, z: tf.Tensor, given: tf.Tensor | None = None) -> tf.Tensor:
        """The likelihood's parameters [..., *shape] of latents [..., n]."""
        named = {"z": tf.reshape(z, [-1, z.shape[-1]])}
        if given is not None and "condition" in self._inputs("decode"):
            copies = tf.shape(named["z"])[0] // tf.shape(given)[0]
            named["condition"] = tf.repeat(given, copies, 0)
        outputs = self._signatures["decode"](**named)["logits"]
        return tf.reshape(outputs, tf.concat([tf.shape(z)[:-1], tf.shape(outputs)[1:]], 0))

    def prior_machine(self) -> AnyMachine:
        """The prior."""
        with tf.init_scope():  # values, also where a graph is being traced
            tensors = self._signatures["prior"]()
        return self._prior.decode({k: v for k, v in tensors.items() if k != "log_z"})

    def _inputs(self, name: str) -> dict[str, tf.TensorSpec]:
        """A signature's inputs."""
        return self._signatures[name].structured_input_signature[1]

    def _named(self, name: str, inputs: Any) -> dict[str, tf.Tensor]:
        """The encoder's inputs by their names in a signature."""
        names = [n for n in ("x", "condition") if n in self._inputs(name)]
        return dict(zip(names, inputs if len(names) > 1 else [inputs], strict=True))

    def _shape(self, name: str) -> tuple[int, ...]:
        """Of the images that a signature takes; ValueError if it is open."""
        shape = tuple(self._inputs(name)["x"].shape[1:])
        if None in shape:
            raise ValueError(f"signature {name} does not say its number of pixels")
        return shape
