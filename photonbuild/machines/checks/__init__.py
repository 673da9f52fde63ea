"""What `photonbuild verify` demands of a machine: pytest-testinfra tests, run by `photonbuild.machines.checker`."""
