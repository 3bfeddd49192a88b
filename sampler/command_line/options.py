"""The command line's flags: which there are, which methods use them, and their help.

Everything that a method needs beyond the machine stands in the tables below, with its default. A
flag that the chosen method does not use is refused.
"""

import math
import textwrap
from typing import Any, NamedTuple

from absl import flags

_ANNEALING = {"base": "auto", "schedule": "linear"}
_POPULATION = {
    "num_chains": 1000,
    "num_runs": 20,
    "num_temperatures": 101,
    "num_sweeps": 2,
    "resampling": "systematic",
    **_ANNEALING,
}

LOG_Z: dict[str, dict[str, Any]] = {
    "auto": {"tolerance": 0.1, "max_seconds": 40.0},
    "exact": {},
    "ais": {"num_chains": 1000, "num_temperatures": 1001, **_ANNEALING},
    "pa": _POPULATION,
    "bracket": {
        "num_chains": 1000,
        "num_temperatures": 251,
        "max_temperatures": 64_001,
        "tolerance": 0.1,
        "max_seconds": 60.0,
        **_ANNEALING,
    },
}
"""Methods of `log_z`, and the flags of each with their defaults."""

SAMPLE: dict[str, dict[str, Any]] = {
    "exact": {},
    "gibbs": {"num_sweeps": 1000},
    "pt": {
        "num_chains": 100,
        "num_sweeps": 1000,
        "num_temperatures": 20,
        "base": "auto",
        "schedule": "adaptive",
    },
    "pa": _POPULATION,
}
"""Methods of `sample`, likewise."""

TITLES = {
    "ais": "annealed importance sampling",
    "pa": "population annealing",
    "pt": "parallel tempering",
}
"""What pictures call a method; the others have none."""

_COUNTS = {
    "num_chains": (2, "chains of each run; of a population, its replicas"),
    "num_runs": (2, "independent populations, of which the spread is the error"),
    "num_temperatures": (2, "inverse temperatures from 0 to 1, both included"),
    "max_temperatures": (2, "to which the bracket may double its temperatures"),
    "num_sweeps": (1, "Gibbs sweeps of a chain; with pa, at each temperature"),
    "num_samples": (1, "samples of each machine"),
    "seed": (0, "of all random numbers"),
}
_CHOICES = {
    "base": (
        ["auto", "uniform", "fields", "biases", "mean_field"],
        "at beta = 0: no fields, the machine's own (two names), mean field's, or what suits best",
    ),
    "schedule": (["linear", "sigmoid", "adaptive"], "of temperatures; adaptive finds their number"),
    "resampling": (["systematic", "residual", "multinomial"], "how a population is redrawn"),
}
_FLOATS = {
    "tolerance": (0.0, "nats between the interval's ends, under which no more is done"),
    "max_seconds": (0.0, "for a file (auto: for a machine); then the best answer so far is given"),
    "beta": (None, "inverse temperature of the file's energy: p ~ exp(-beta E)"),
}
_TEXTS = {"output": "file to write, an .npz", "plot": "folder for pictures of diagnostics"}
_COLUMN = 22


class UsageError(ValueError):
    """A command line that cannot be carried out; the message says what is accepted."""


class Command(NamedTuple):
    """What one of the commands accepts.

    Attributes:
      name: the command.
      arguments: the files that it takes.
      summary: what it does, in a sentence.
      methods: its methods, and the flags of each with their defaults.
      method: the default method.
      always: flags of all methods, with their defaults.
    """

    name: str
    arguments: str
    summary: str
    methods: dict[str, dict[str, Any]]
    method: str
    always: dict[str, Any]


_ALWAYS = {"beta": 1.0, "seed": 0, "plot": None}
COMMANDS = {
    "log_z": Command(
        "log_z",
        "FILE...",
        "Partition functions: one line of JSON for each file of machines.",
        LOG_Z,
        "auto",
        _ALWAYS,
    ),
    "sample": Command(
        "sample",
        "FILE --output=SAMPLES.npz",
        "Samples of a file's machines, with a line of JSON about them.",
        SAMPLE,
        "pt",
        {"num_samples": 1000, "output": None, **_ALWAYS},
    ),
}


def define(command: Command) -> flags.FlagValues:
    """The command's flags, not parsed yet; a set of its own, apart from absl's global one."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may follow files
    used: dict[str, Any] = dict.fromkeys(flag for own in command.methods.values() for flag in own)
    methods = list(command.methods)
    flags.DEFINE_enum("method", command.method, methods, "how; see the README", values)
    for flag, default in {**used, **command.always}.items():
        if flag in _COUNTS:
            least, text = _COUNTS[flag]
            flags.DEFINE_integer(flag, default, text, least, flag_values=values)
        elif flag in _CHOICES:
            flags.DEFINE_enum(flag, default, *_CHOICES[flag], flag_values=values)
        elif flag in _FLOATS:
            lowest, text = _FLOATS[flag]
            flags.DEFINE_float(flag, default, text, lowest, flag_values=values)
        else:
            flags.DEFINE_string(flag, default, _TEXTS[flag], values)
    flags.DEFINE_boolean("help", False, "this text", values, short_name="h")
    return values


def settings(command: Command, values: flags.FlagValues) -> dict[str, Any]:
    """The chosen method's flags, as given or by default.

    Raises:
      UsageError: a flag was given that the method does not use.
    """
    for flag in (flag for flag in values if values[flag].present):
        methods = [name for name, used in command.methods.items() if flag in used]
        if flag == "plot":
            methods = [name for name in command.methods if name in TITLES]
        if methods and values.method not in methods:
            raise UsageError(
                f"--{flag}: found with --method={values.method}; "
                f"accepted with --method={' or '.join(methods)}"
            )
    for flag in ("tolerance", "max_seconds"):
        if flag in values and math.isnan(
            values[flag].value or 0.0
        ):  # no comparison would end the work
            raise UsageError(f"--{flag}: found nan; accepted: a number")
    if values["schedule"].value == "adaptive" and values["num_temperatures"].present:
        raise UsageError(
            "--num_temperatures: found with --schedule=adaptive, which finds its own number; "
            "accepted with linear and sigmoid"
        )
    defaults = command.methods[values.method]
    return {**defaults, **{f: values[f].value for f in defaults if values[f].present}}


def overview() -> str:
    """What there is, for a command line without a command."""
    lines = ["Sampling and partition functions of Boltzmann machines.", ""]
    for command in COMMANDS.values():
        lines += [f"  python -m sampler {command.name} {command.arguments}"]
        lines += [f"      {command.summary}"]
    return "\n".join(
        [
            *lines,
            "",
            "A file is an .npz with the arrays b1 [..., n1], b2 [..., n2] and w [..., n1, n2] of",
            "E(z1, z2) = -(b1'z1 + b2'z2 + z1'W z2), units 0 or 1; leading dimensions are a batch.",
            "Other programs' RBMs, dimod's BQMs and any graph are read as well: sampler/README.md",
            "tells how, and which method suits. `python -m sampler COMMAND --help` lists flags.",
        ]
    )


def help_text(command: Command, values: flags.FlagValues) -> str:
    """Usage, and each flag with its defaults by method."""
    lines = [f"python -m sampler {command.name} {command.arguments} [--method=...]", ""]
    lines += [command.summary, ""]
    own = [flag for flag in values if flag not in ("flagfile", "undefok", "h", "help", "method")]
    for flag in ["method", *own]:
        lines += _flag_help(command, values[flag])
    return "\n".join(lines)


def _flag_help(command: Command, flag: flags.Flag) -> list[str]:
    defaults = {m: used[flag.name] for m, used in command.methods.items() if flag.name in used}
    if len(set(defaults.values())) > 1:
        default = ", ".join(f"{method} {value}" for method, value in defaults.items())
    elif defaults:
        default = f"{', '.join(defaults)}: {next(iter(defaults.values()))}"
    else:
        default = "" if flag.default is None else str(flag.default)
    text = f"{flag.help} ({default})" if default else f"{flag.help}"
    head = f"  --{flag.name}".ljust(_COLUMN)
    return textwrap.wrap(text, 96, initial_indent=head, subsequent_indent=" " * _COLUMN)
