"""The grid of the paper's Tables 1 to 4: its runs, and what comes of them beside the paper's."""
