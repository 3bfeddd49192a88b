"""The paper's Fig. 4: an RBM learned by backpropagation through 1, 2, 4 and 8 relaxed sweeps.

python -m dvae_tf.toys.rbm --output_dir=runs/toys
"""

from dvae_tf.toys import settings

if __name__ == "__main__":
    settings.run("dvae_tf.toys.rbm_report", settings.RBMSettings)
