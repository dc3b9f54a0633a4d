"""Recognizer networks. A new one is a file here, with one subclass of `Network`.

The file's name is the value for `config.recognition.network`.
"""

import sys

from mubert_jax import discovery
from mubert_jax.config import Config
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.network import Network


def make_network(config: Config, backbone: Backbone | None = None) -> Network:
    """The network that a config names; without a backbone, only to check that it can be made.

    Raises:
      UserError: there is no such network, it lacks an option, or it reads an unknown input.
    """
    package, name = sys.modules[__name__], config.recognition.network
    kind = discovery.find(package, name, Network, "config.recognition.network")
    return kind(config, backbone)
