"""What `photonbuild verify` demands of a running machine, as pytest-testinfra tests. Run by `photonbuild.verify`."""
