"""Learning the weights of the finder of names."""
