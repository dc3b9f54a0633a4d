"""The network, pure: patches, attention, DMA, POI, and the recognizer's head."""
