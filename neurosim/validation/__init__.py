"""What neurosim computes, held against exact laws and published measurements."""
