"""Videos among the outputs of jobs: facts, labels, posters, ranges."""
