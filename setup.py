"""Installation: `pip install .`, or `pip install -e .[test]` to work on it."""

import re
from pathlib import Path

from setuptools import find_packages, setup

_SAMPLER = Path(__file__).parent / "sampler" / "__init__.py"

setup(
    name="dvae-tf",
    version=re.search(r'__version__ = "(.+)"', _SAMPLER.read_text())[1],
    description="Discrete VAEs with Boltzmann-machine priors and undirected posteriors (DVAE##)",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    keywords=["variational autoencoder", "Boltzmann machine", "annealed importance sampling"],
    entry_points={
        "console_scripts": [
            "run-dvae = run_dvae:command",
            "eval-nll = eval_nll:command",
            "dvae-sampler = sampler.__main__:main",
        ]
    },
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    package_data={"sampler": ["py.typed"], "dvae_tf": ["py.typed"]},
    packages=find_packages(include=["sampler*", "dvae_tf*"]),
    py_modules=["run_dvae", "eval_nll"],
    python_requires=">=3.10,<3.14",
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.12,<4",
        "tensorflow-probability>=0.25,<0.26",
        "tf-keras>=2.21,<2.22",
        "numpy>=1.26",
        "absl-py>=2.1",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "tensorboard>=2.20",
        "matplotlib>=3.8",
        "tqdm>=4.66",
    ],
    extras_require={
        "dimod": ["dimod>=0.12", "dwave-graphs>=1.2"],
        "hdf5": ["h5py>=3.10"],
        "docs": [
            "sphinx>=8.1",
            "myst-nb>=1.2",
            "furo>=2024.8",
            "dimod>=0.12",
            "dwave-graphs>=1.2",
        ],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.7",
            "hypothesis>=6.100",
            "ruff>=0.15",
            "mypy>=1.15",
            "dimod>=0.12",
            "dwave-samplers>=1.8",
            "dwave-graphs>=1.2",
            "h5py>=3.10",
        ],
    },
)
