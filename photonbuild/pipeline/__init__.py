"""The whole order, from specs to published images: the only place that knows it."""
