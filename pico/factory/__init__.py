"""Where machines come from: a cold boot, a clone of the template, a copy of the zygote, a spare of the pool."""
