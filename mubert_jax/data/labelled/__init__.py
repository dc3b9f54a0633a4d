"""Labelled data sets: sheets of annotations, matched with the frames on the disk, into pairs."""
