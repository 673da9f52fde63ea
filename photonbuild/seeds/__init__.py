"""The locked roots of tools: resolve, fetch, install, freeze, check."""
