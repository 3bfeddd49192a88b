"""The paper's Fig. 1: a Gaussian learned by REINFORCE, reparameterisation, and Gibbs sweeps.

python -m dvae_tf.toys.gaussian --output_dir=runs/toys
"""

from dvae_tf.toys import settings

if __name__ == "__main__":
    settings.run("dvae_tf.toys.gaussian_report", settings.GaussianSettings)
