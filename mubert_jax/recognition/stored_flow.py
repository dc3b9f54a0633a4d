"""Clips whose flow is stored, for networks that read it in the place of frames."""

import dataclasses

from mubert_jax import discovery
from mubert_jax.config import Config
from mubert_jax.data.flow_set import INFO_FILE, FlowSet
from mubert_jax.errors import UserError
from mubert_jax.flow_maps import SIDE
from mubert_jax.recognition import networks
from mubert_jax.recognition.flow_inputs import FLOW_MAPS, IN_PIXELS
from mubert_jax.recognition.network import Network
from mubert_jax.recognition.networks import make_network
from mubert_jax.training.contamination import Seen


def open_flow(config: Config, network: Network) -> FlowSet:
    """The flow set that a config names.

    Raises:
      UserError: the network needs frames, or flow maps of another size or unit; as `FlowSet`.
    """
    path, asked = config.data.path, config.recognition
    if not _reads_flow_maps(network):
        readers = [name for name in discovery.names(networks) if _can_read_flow_maps(config, name)]
        if asked.network in readers:
            raise UserError(
                f"{path} holds flow that is found already, no frames to find other flow between; "
                f"config.recognition.options {asked.options} ask for that"
            )
        raise UserError(
            f"{path} holds flow, no frames; config.recognition.network {', '.join(readers)} read it"
        )
    found = FlowSet(path)
    side, stored = found.flow.shape[1], found.info.normalise
    if side != SIDE:
        raise UserError(
            f"{path} holds maps of {side}x{side} cells, networks read {SIDE}x{SIDE}; run mubert "
            f"prepare flow with --size={SIDE} into a new folder"
        )
    if stored != "pixels" and any(name.endswith(IN_PIXELS) for name in network.reads):
        raise UserError(
            f"{path} holds flow that is {stored}, not in pixels; run mubert prepare flow with "
            "--normalise=pixels into a new folder"
        )
    return found


def seen_by_method(clips: FlowSet) -> Seen:
    """Whose faces the weights have seen by which the flow was found; nobody's without weights.

    Raises:
      UserError: the flow set is damaged.
    """
    seen, folder = clips.info.seen, clips.directory
    if seen is None:
        return Seen()
    try:
        return Seen.from_json(seen, clips.info.method)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder / INFO_FILE} is damaged (seen); run mubert prepare flow again into a new "
            "folder"
        ) from error


def _reads_flow_maps(network: Network) -> bool:
    """Whether a network reads flow maps alone, whoever found the flow."""
    return all(name in (FLOW_MAPS, FLOW_MAPS + IN_PIXELS) for name in network.reads)


def _can_read_flow_maps(config: Config, name: str) -> bool:
    """Whether the network `name` reads flow maps alone by its default options."""
    recognition = dataclasses.replace(config.recognition, network=name, options={})
    try:
        return _reads_flow_maps(make_network(dataclasses.replace(config, recognition=recognition)))
    except UserError:
        return False
