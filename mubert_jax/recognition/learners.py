"""The two ways to learn from a fold's clips, behind one call: frozen backbone, or everything."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from mubert_jax.config import RecognitionConfig
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.recognition import linear_probe
from mubert_jax.recognition.inputs import describe, in_batches
from mubert_jax.recognition.network import finetune
from mubert_jax.training.views import normalise

# (numbers of K folds, train_KxP, weight_decay_K) -> logits of all pairs (K, P, C), losses (K, E),
# and the parameters that gave them, with a leading axis K.
Learner = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, dict]]


# How the heads are fitted that full fine-tuning starts from, but for its own augmentation.
HEADS = RecognitionConfig(weight_decay=(0.001,))


def frozen(model: MicronBert, params: dict, pairs, config: RecognitionConfig, seed: int) -> Learner:
    """Linear heads on features that are computed here, once for all folds."""
    features_AxPxF = describe(model, params, pairs.onset, pairs.apex, config, seed)

    def learn(fold_K, train_KxP, weight_decay_K):
        found, losses = linear_probe.fit(
            features_AxPxF, pairs.label, train_KxP, weight_decay_K, len(pairs.classes), config
        )
        logits = np.asarray(found.logits(features_AxPxF[0]))
        recognizer = params["recognizer"] | {"head": {"kernel": found.kernel, "bias": found.bias}}
        return logits, losses, {"recognizer": recognizer}

    return learn


def full(model: MicronBert, params: dict, pairs, config: RecognitionConfig, seed: int) -> Learner:
    """Encoder, DMA and recognizer learn; one copy a fold.

    The head is fitted first, alone: gradients through a random one would spoil the backbone before
    it fits (Kumar et al., 2022).
    """
    fit_heads = None
    if config.head_epochs:
        first = dataclasses.replace(
            config,
            epochs=config.head_epochs,
            features=HEADS.features,
            learning_rate=HEADS.learning_rate,
        )
        fit_heads = frozen(model, params, pairs, first, seed)
    recognise = jax.jit(
        jax.vmap(
            lambda params, onset, apex: model.apply(
                {"params": params}, normalise(onset), normalise(apex), method="logits"
            ),
            (0, None, None),
        )
    )

    def learn(fold_K, train_KxP, weight_decay_K):
        head = None
        if fit_heads:
            decays = np.full(len(fold_K), HEADS.weight_decay[0])
            head = fit_heads(fold_K, train_KxP, decays)[2]["recognizer"]["head"]
        trained, losses = finetune(
            model,
            params,
            pairs.onset,
            pairs.apex,
            pairs.label,
            fold_K,
            train_KxP,
            weight_decay_K,
            config,
            seed,
            head,
        )
        logits = in_batches(
            lambda rows: recognise(trained, pairs.onset[rows], pairs.apex[rows]),
            len(pairs.label),
            axis=1,
        )
        return logits, losses, trained

    return learn


LEARNERS = {"frozen": frozen, "full": full}


def choose_decay(
    learn: Learner,
    fold_K,
    inner_KxP,
    validation_KxP,
    label_P,
    values: tuple[float, ...],
) -> np.ndarray:
    """The weight decay of each fold, (K,): the one with the least loss on its validation clips.

    All classes of the validation count alike; a value that diverged is not taken.

    Args:
      inner_KxP, validation_KxP: a fold's training clips in two, by subject; boolean.
    """
    classes = int(np.max(label_P)) + 1
    weight_KxP = np.stack(
        [linear_probe.clip_weights(label_P, marks, classes, "loss") for marks in validation_KxP]
    )
    loss_VxK = []
    for value in values:
        logits, _, _ = learn(fold_K, inner_KxP, np.full(len(fold_K), value))
        entropy = -np.asarray(jax.nn.log_softmax(logits))[:, np.arange(len(label_P)), label_P]
        loss_VxK.append(np.sum(entropy * weight_KxP, axis=-1))
    return np.asarray(values)[np.argmin(np.nan_to_num(loss_VxK, nan=np.inf), axis=0)]
