"""T16's evaluation of one network: what `tilewatt paper` measures, kept from run to run as long as it stays valid."""
