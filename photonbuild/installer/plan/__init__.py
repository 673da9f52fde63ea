"""From a kickstart and the facts of a machine to the steps of its installation. Pure: nothing is read or written."""
