"""Fig. 1's experiment with a Gaussian harmonium of 10 + 10 units, its KL in closed form.

python -m dvae_tf.toys.harmonium --output_dir=runs/toys
"""

from dvae_tf.toys import settings

if __name__ == "__main__":
    settings.run("dvae_tf.toys.harmonium_report", settings.HarmoniumSettings)
