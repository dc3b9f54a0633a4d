"""Reading, preparing and sampling of frames, with NumPy, OpenCV and Grain; no JAX of its own."""
