"""What a trained network sees between two frames: maps, scores of maps, pictures."""
