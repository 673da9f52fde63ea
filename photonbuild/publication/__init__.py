"""A repository for the world: OpenPGP keys, signed copies of packages, where they are published, what checks them."""
