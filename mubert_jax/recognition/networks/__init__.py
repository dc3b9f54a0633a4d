"""Recognizer networks. A new one is a file here, with one subclass of `Network`.

Its file's name is what `config.recognition.network` takes.
"""

import sys

from mubert_jax import discovery
from mubert_jax.config import Config
from mubert_jax.recognition.inputs import Backbone
from mubert_jax.recognition.network import Network


def make_network(config: Config, backbone: Backbone | None = None) -> Network:
    """The network that a config names; without a backbone only to see that it can be made.

    Raises:
      UserError: no such network, options that it does not have, inputs that there are not.
    """
    package, name = sys.modules[__name__], config.recognition.network
    kind = discovery.find(package, name, Network, "config.recognition.network")
    return kind(config, backbone)
