"""Damaged inputs."""
