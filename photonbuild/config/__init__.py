"""The files of ``build/``, the user's file and ``sources.yaml`` as frozen models; errors name file, line and key."""
