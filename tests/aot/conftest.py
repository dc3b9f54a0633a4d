import jax
import pytest


@pytest.fixture(autouse=True)
def as_users_compile():
    """The other tests ask XLA for few optimisations, and keep what they compile."""
    changed = {"jax_disable_most_optimizations": True, "jax_enable_compilation_cache": True}
    for name in changed:
        jax.config.update(name, False)
    yield
    for name, before in changed.items():
        jax.config.update(name, before)
