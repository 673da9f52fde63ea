"""Specs to packages: rpm's parser, the build graph, build roots, the repository, the solver."""
