"""Where to fetch from, what lies in the checkout, and how each provider yields a file of a known digest."""
