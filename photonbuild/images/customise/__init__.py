"""What an image has besides its packages: from the keys of its settings to what is put into the root file system."""
