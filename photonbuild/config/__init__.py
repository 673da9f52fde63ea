"""``build/``, the user's file and ``sources.yaml`` as frozen pydantic models; errors name file, line and key.

For the host only: a kickstart is checked on the medium, without pydantic, by photonbuild.installer.kickstart.kinds.
"""
