"""Weights from elsewhere and for elsewhere: PyTorch, safetensors, ONNX, StableHLO."""
