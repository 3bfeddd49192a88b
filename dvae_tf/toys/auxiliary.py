"""What auxiliary units bring: the exact KL to a Boltzmann machine of 10 bits that all interact.

python -m dvae_tf.toys.auxiliary --output_dir=runs/toys
"""

from dvae_tf.toys import settings

if __name__ == "__main__":
    settings.run("dvae_tf.toys.auxiliary_report", settings.AuxiliarySettings)
