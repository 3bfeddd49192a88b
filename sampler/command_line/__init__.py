"""What `sampler.commands` consists of: flags, files, and the methods of each command."""
