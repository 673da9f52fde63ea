"""Container images as files: https://github.com/opencontainers/image-spec"""
