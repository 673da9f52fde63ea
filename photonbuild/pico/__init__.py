"""A container image as a virtual machine of its own."""
