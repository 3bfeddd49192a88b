"""Number of mean-field modes of posteriors and of the prior, and KL(mean field || RBM).

python -m dvae_tf.analysis.modes --export_dir=runs/mnist/saved_model --dataset=binarized_mnist
"""

from dvae_tf.analysis import options

if __name__ == "__main__":
    options.run("dvae_tf.analysis.modes_report", options.ModesSettings, num_images=500)
