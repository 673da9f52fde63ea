"""How fast machines start and what they cost."""
