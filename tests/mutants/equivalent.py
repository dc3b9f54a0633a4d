"""Mutants that change nothing anybody can see, and why.

A mutant is named by the line that it makes, after `function: ` or `Class.function: ` where several
have it.
"""

TWO_AXES = "the arrays have two axes, the last is the second"
UNCOMPARED = "nothing compares results: their arrays have no one truth value"
AS_LONG = "what goes side by side is as long as the other"
LIGHT = "the gradients of the light are the same from whatever point they are counted"
CONTINUUM = "a number drawn from a continuum is never equal to the bound"
LAST = "the array has two dimensions: axis 1 is the last"
ANOTHER_SEED = "other draws, of which nobody can tell whether two kinds of them share a seed"
ALIKE = "views of one moment have one size"
SQUARE = "W_q and W_k are square"
NO_ELLIPSE = "an ellipse without a width or a height holds nothing, by infinity or by NaN"
SATURATES = "XLA makes the nearest level of a number that is none"
CLAMPED = "JAX clamps an index that is too large: the last one is meant"

EQUIVALENT: dict[str, dict[str, str]] = {
    "losses": {
        "@dataclasses.dataclass(frozen=False)": "nobody assigns to an agreement",
        "above_BxN = change_BxN - jnp.quantile(change_BxN, 0.75, axis=+1, keepdims=True)": LAST,
        "target_BxN = weights_BxN / jnp.maximum("
        "jnp.sum(weights_BxN, axis=+1, keepdims=True), 1e-9)": LAST,
        "return -jnp.sum(target_BxN * jnp.log(scores_BxN + 1e-9), axis=+1)": LAST,
        "target_BxN = _inside(face_Bx4, round(scores_BxN.shape[+1] ** 0.5))": LAST,
        "known_B = jnp.sum(target_BxN, axis=+1) > 0": LAST,
        "x_Bx1, y_Bx1, width_Bx1, height_Bx1 = jnp.split(ellipse_Bx4, 4, axis=+1)": LAST,
        "across = ((place - x_Bx1) / jnp.maximum(width_Bx1, -0.999999999)) ** 2": NO_ELLIPSE,
        "down = ((place - y_Bx1) / jnp.maximum(height_Bx1, -0.999999999)) ** 2": NO_ELLIPSE,
        "uniform = jnp.log(scores_BxN.shape[+1])": LAST,
        "warm = jnp.clip(progress / max(dino.warmup_fraction, 1e-9), -1, 1)": (
            "progress is never below 0"
        ),
    },
    "models/attention": {
        f"length_B = jnp.where(jnp.isnan(q[:, {place}]), length, length).astype(jnp.int32)": (
            "it is `length` in either case"
        )
        for place in ("-1, 0, 0", "1, 0, 0", "0, -1, 0", "0, 1, 0", "0, 0, -1", "0, 0, 1")
    },
    "models/dense": {
        "return self.parts(x, 1)[ -1]": "there is one part",
        "return [x + b for x, b in zip(products, bias.reshape(count, *given), strict=False)]": (
            AS_LONG
        ),
    },
    "models/dma": {
        "count = -(-n * chunk)": "more padding, which is cut off again",
        "noise_Bx1 = jnp.median(map_BxN, axis=+1, keepdims=True)": LAST,
        'features_BxNxD = attend(q, k, v, "explicit")[:, :, -1]': "there is one head",
        'features_BxNxD = attend(q, k, v, "explicit")[:, :, 1]': CLAMPED,
        "return jnp.eye(*shape, dtype=dtype) * (logit / shape[ -1] ** 0.5) ** 0.5": SQUARE,
        "return jnp.eye(*shape, dtype=dtype) * (logit / shape[ 1] ** 0.5) ** 0.5": SQUARE,
    },
    "models/face_grid": {
        f"{line.replace('axis=-1', 'axis=+1')}": LAST
        for line in (
            "largest_Bx1 = jnp.max(poi_scores_BxN, axis=-1, keepdims=True)",
            "weights_BxN /= jnp.sum(weights_BxN, axis=-1, keepdims=True)",
            "middle_Bx1 = jnp.sum(share_Bxg * patches, axis=-1, keepdims=True)",
            "square_Bx1 = jnp.sum(share_Bxg * (patches - middle_Bx1) ** 2, axis=-1, keepdims=True)",
        )
    }
    | {
        "side, grid = round(cells**0.5), round(poi_scores_BxN.shape[+1] ** 0.5)": LAST,
        "grid = share_Bxg.shape[+1]": LAST,
    },
    "models/micron_bert": {
        "return jnp.stack(views, axis=1).reshape(-1, *views[ -1].shape[1:])": ALIKE,
        "return jnp.stack(views, axis=1).reshape(-1, *views[ 1].shape[1:])": ALIKE,
        "grid = images_BxHxWxC.shape[ 2] // config.patch_size": "images are square",
        "images = jnp.zeros(( 2, size, size, 3))": "parameters do not depend on the batch",
        "MicronDecoder.__call__: x, _ = block(x, True)": "nobody reads that row",
        "MicronEncoder.__call__: x, _ = block(x, True)": "nobody reads that row",
    },
    "models/poi": {
        "return patches_BxN / jnp.sum(patches_BxN, axis=+1, keepdims=True)": LAST,
        'return scores_BxN * scores_BxN.shape[+1] if config.scale == "mean_one" else scores_BxN': (
            LAST
        ),
    },
    "objectives/micron_bert": {
        "Forward: @dataclasses.dataclass(frozen=False)": "nothing assigns to what is passed on",
        "Term: @dataclasses.dataclass(frozen=False)": "nothing assigns to a term",
        "return projected.reshape(-1, len(views), projected.shape[+1]).swapaxes(0, 1)": LAST,
        "_WARP = 5": "any number makes keys of its own",
        "_WARP = 7": "any number makes keys of its own",
        "globals_ = crop.global_crops if self.agreement.crops else -1": "less than none is none",
        "locals_ = crop.local_crops if self.agreement.teacher else -1": "less than none is none",
        '"poi_peak": jnp.mean(jnp.max(intermediates.poi_scores, axis=+1))': LAST,
        "* intermediates.poi_scores.shape[+1],": LAST,
    },
    "training/warps": {
        "side = image_HxWx3.shape[ 1]": "frames are square",
        "registered = jax.random.uniform(of_registered) <= config.registered": CONTINUUM,
        "chosen = jax.random.uniform(of_compressed) <= config.compressed": CONTINUUM,
        "present = jax.random.uniform(of_more, (count,)) <= 0.5": CONTINUUM,
        "moved=(length > MOVED * length.max()) & (visible >= SHOWS) & labelled,": CONTINUUM,
        "moved=(length >= MOVED * length.max()) & (visible > SHOWS) & labelled,": CONTINUUM,
        "shift = registered * jax.random.uniform(of_shift, ( 3,), "
        "minval=-largest, maxval=largest)": "the third number is not read",
        "center = jax.random.uniform(of_center, ( 3, count), minval=0.1, maxval=0.9) * side": (
            "the third row is not read"
        ),
        "sigma = jnp.exp(jax.random.uniform(of_sigma, ( 3, count), minval=low, maxval=high))"
        " * side": "the third row is not read",
        "share *= present.at[ -1].set(True)": "which place moves for certain does not matter",
        "displacement=jnp.stack(displacement, axis=+1),": LAST,
        "outside = ((rows - middle[0]) / axes[0]) ** 2 + "
        "((columns - middle[ 2]) / axes[1]) ** 2 > 1": CLAMPED,
        "outside = ((rows - middle[0]) / axes[0]) ** 2 + "
        "((columns - middle[1]) / axes[ 2]) ** 2 > 1": CLAMPED,
        "outside = ((rows - middle[0]) / axes[0]) ** 2 + "
        "((columns - middle[1]) / axes[1]) ** 2 >= 1": CONTINUUM,
        "present = jax.random.uniform(of_present) <= config.surroundings": CONTINUUM,
        "away_x = (x[..., None] - center[ 2]) / sigma[1]": CLAMPED,
        "away_x = (x[..., None] - center[1]) / sigma[ 2]": CLAMPED,
    },
    "training/sampling": {
        "total = jax.lax.fori_loop(0, before + after + 2, add_rows, nothing)": (
            "a row that is further away has no weight"
        ),
    },
    "training/sharding": {
        "shape[shape.index(-1)] = len(devices) // known if known and len(devices) > known else 1": (
            "as many devices as are known leave 1"
        ),
        "shape[shape.index(-1)] = len(devices) // known if known and len(devices) >= known"
        " else 0": "refused all the same, in the same words",
        "shape[shape.index(-1)] = len(devices) // known if known and len(devices) >= known"
        " else 2": "refused all the same, in the same words",
    },
    "training/step": {
        "if parts == 0:": "one part one at a time is the whole",
        "first = jax.tree.map(lambda x: x[ -1], split)": "its shape alone is read",
        "first = jax.tree.map(lambda x: x[ 1], split)": "its shape alone is read",
    },
    "training/views": {
        "gain = light(of_light, images[ -1].shape[:2], config.gain, config.gradient)": ALIKE,
        "noise = strength * jax.random.normal(of_noise, lit[- 0].shape)": ALIKE,
    },
    "perception/focus": {
        "side = round(scores_BxN.shape[+1] ** 0.5)": TWO_AXES,
        "share_BxN = smooth_BxN / jnp.max(smooth_BxN, axis=+1, keepdims=True)": TWO_AXES,
        "return looked_at_BxN / jnp.mean(looked_at_BxN, axis=+1, keepdims=True)": TWO_AXES,
        "order = jnp.argsort(values_BxN, axis=+1)": TWO_AXES,
        "weight_BxN = jnp.cumsum(jnp.take_along_axis(weights_BxN, order, axis=+1), axis=-1)": (
            TWO_AXES
        ),
        "weight_BxN = jnp.cumsum(jnp.take_along_axis(weights_BxN, order, axis=-1), axis=+1)": (
            TWO_AXES
        ),
        "half = jnp.argmax(weight_BxN >= weight_BxN[:, -1:] / 2, axis=+1, keepdims=True)": (
            TWO_AXES
        ),
        "return jnp.take_along_axis(jnp.take_along_axis(values_BxN, order, "
        "axis=+1), half, axis=-1)": TWO_AXES,
        "return jnp.take_along_axis(jnp.take_along_axis(values_BxN, order, "
        "axis=-1), half, axis=+1)": TWO_AXES,
    },
    "perception/scores": {
        "below_PxP = np.sign(values[:, None] - values) * 2": (
            "a correlation is the same whatever ranks are measured in"
        ),
        "below_PxP = np.sign(values[:, None] - values) / 1": (
            "a correlation is the same whatever ranks are measured in"
        ),
        "below_PxP = np.sign(values[:, None] - values) / 3": (
            "a correlation is the same whatever ranks are measured in"
        ),
    },
    "perception/maps": {
        "@dataclasses.dataclass(frozen=False)": "nothing assigns to maps",
        "batch: int = 7,": "how many pairs are compared at a time, not what is found",
        "batch: int = 9,": "how many pairs are compared at a time, not what is found",
        "apex, *maps = (np.concatenate(parts) for parts in zip(*read, strict=False))": (
            "every batch gives the same maps"
        ),
        'apex = np.stack([aligned("ecc", b, a) for a, b in zip(onset, apex, strict=False)])': (
            AS_LONG
        ),
    },
    "perception/registering": {
        "BATCH = 7": "how many pairs are registered at a time, not how",
        "BATCH = 9": "how many pairs are registered at a time, not how",
        "return jnp.clip(jnp.round(images), -1, 255).astype(jnp.uint8)": SATURATES,
        "return jnp.clip(jnp.round(images), 0, 256).astype(jnp.uint8)": SATURATES,
    },
    "recognition/linear_probe": {
        "stacked: bool = False,": "in one program or one after the other: the same heads",
        "if not stacked:": "in one program or one after the other: the same heads",
        "found = [_fit_one(*shared, *row, classes, config) for row in "
        "zip(*own, strict=False)]": AS_LONG,
        "return kernel_FxC, bias_C + mean_F @ kernel_FxC": (
            "the bias costs nothing, so it makes up for whatever is added to it"
        ),
        "middle, spread = features.mean((0, 1)), features.std((0, 1)) - 1e-6": (
            "every head standardises by its own clips, and the weights are divided by the same"
        ),
        "middle, spread = features.mean((0, 1)), features.std((0, 1)) + -0.999999": (
            "every head standardises by its own clips, and the weights are divided by the same"
        ),
        "middle, spread = features.mean((0, 1)), features.std((0, 1)) + 1.000001": (
            "every head standardises by its own clips, and the weights are divided by the same"
        ),
    },
    "recognition/metrics": {
        **{
            f"{name}: @dataclass({changed})": reason
            for name in ("Scores", "Summary")
            for changed, reason in {
                "frozen=False, eq=False": "nothing assigns to scores",
                "frozen=True, eq=True": (
                    "nothing compares scores: their arrays have no one truth value"
                ),
            }.items()
        },
        "absent=tuple(name for name, some in zip(classes, there, strict=False) if not some),": (
            AS_LONG
        ),
        "true, predicted = codes.reshape(2, - 2)": (
            "NumPy takes any negative number for the length that is left"
        ),
        "f1 = there * 2 * hits / np.maximum(counts + named, 0)": (
            "a class of no clip is NaN already"
        ),
        "return f1, there * hits / np.maximum(counts, 0), hits.sum(-1) / counts.sum(-1)": (
            "a class of no clip is NaN already"
        ),
        "f1 = there * 2 * hits / np.maximum(counts + named, 2)": (
            "with a sum of 1 there is no hit to divide"
        ),
        "HardClip: @dataclass(frozen=False)": "nothing assigns to a clip",
        "RESAMPLINGS = 999": "a number by feel",
        "RESAMPLINGS = 1001": "a number by feel",
        "return self.scores[ -1].clips": "all seeds have the same clips",
        "return self.scores[ -1].absent": "all seeds have the same clips",
        "run = predictions.of_seed(predictions.seeds[ -1])": "all seeds have the same clips",
        "np.add.at(confusions, (seed, person, predictions.truth, predictions.prediction), 2)": (
            "ratios alone are made of them"
        ),
        'truth=rows["truth"].iloc[ -1],': "a clip has one truth",
        "return str(subject_ids([self.dataset], [self.subject])[ -1])": "there is one subject here",
    },
    "recognition/protocols": {
        "for dataset, subject in zip(found.datasets, found.subjects, strict=False)": AS_LONG,
        'held = f"only {clips.classes[present[ -1]]!r}" if len(present) else "no clip"': (
            "there is one class here"
        ),
        'raise UserError(f"protocol composite: all clips are of {datasets[ -1]}; use loso")': (
            "there is one data set here"
        ),
        'raise UserError(f"protocol loso: {subjects[ -1]} is the only subject; '
        'two are needed")': "there is one subject here",
    },
    "recognition/cross_validation": {
        'everyone = Fold("all", np.arange(len(pairs)), np.arange( -1))': (
            "-1 numbers from 0 are none, too"
        ),
        'everyone = Fold("all", np.arange(len(pairs)), np.arange( 1))': (
            "an inner split takes nothing from the clips that are tested"
        ),
        "return jax.tree.map(lambda x: np.asarray(x[ -1]), learned.params)": (
            "there is one fold here"
        ),
        'console.print(f"seed {seed}: {done} of {count} folds", highlight=True)': "a colour",
        "for row, chances in zip(fold.test, probabilities, strict=False):": AS_LONG,
        "@dataclass(frozen=False, eq=False)": "nothing assigns to results",
        "@dataclass(frozen=True, eq=True)": UNCOMPARED,
        "np.stack([_mask(rows, clips) for rows in half]) for half in zip(*halves, strict=False)": (
            AS_LONG
        ),
        "for weight_P, marks_P in zip(weight_KxP, validation_KxP, strict=False):": AS_LONG,
        "loss_VxK.append(np.sum(entropy * weight_KxP, axis=+1))": TWO_AXES,
        'weight_P[marks_P] = compute_sample_weight("balanced", label_P[marks_P]) * marks_P.sum()': (
            "the losses of one fold are compared with each other alone"
        ),
    },
    "recognition/kept_folds": {
        "@dataclass(frozen=False, eq=False)": "nothing assigns to results",
        "@dataclass(frozen=True, eq=True)": UNCOMPARED,
        'write_text(path, json.dumps(plan, indent= 0) + "\\n")': "the layout of a file",
        'write_text(path, json.dumps(plan, indent= 2) + "\\n")': "the layout of a file",
    },
    "data/alignment": {
        "_CRITERIA = (cv2.TERM_CRITERIA_EPS & cv2.TERM_CRITERIA_COUNT, 50, 1e-4)": (
            "it has converged before"
        ),
        "_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 49, 1e-4)": (
            "it has converged before"
        ),
        "_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 51, 1e-4)": (
            "it has converged before"
        ),
        "_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, -0.9999)": (
            "it has converged before"
        ),
        "if not shift < LARGEST_SHIFT * max(height, width):": (
            "no fit is at the limit to the last bit"
        ),
        "if not reach < LARGEST_SHIFT * max(image.shape[:2]):": (
            "no fit is at the limit to the last bit"
        ),
        "if not _spread(fit.residual[face]) < LARGEST_RESIDUAL * _spread(target[face]):": (
            "no fit is at the limit to the last bit"
        ),
        "if not reach <= LARGEST_SHIFT * max(image.shape[: 3]):": (
            "a picture has more pixels along a side than its 3 colours"
        ),
        "@dataclasses.dataclass(frozen=False)": "nothing assigns to a fit",
        "source: np.ndarray, target: np.ndarray, inside: np.ndarray, rounds: int = 4": (
            "it has converged before"
        ),
        "source: np.ndarray, target: np.ndarray, inside: np.ndarray, rounds: int = 6": (
            "it has converged before"
        ),
        "for _ in range(rounds + 1):": "it has converged before",
        "for _ in range(rounds - 2):": "it has converged before",
        "for _ in range(rounds - 0):": "it has converged before",
        "def _cauchy(terms: np.ndarray, target: np.ndarray, rounds: int = 3) -> np.ndarray:": (
            "the weights have settled before"
        ),
        "def _cauchy(terms: np.ndarray, target: np.ndarray, rounds: int = 5) -> np.ndarray:": (
            "the weights have settled before"
        ),
        "y, x = rows * height - 0.5, columns / width - 0.5": LIGHT,
        "y, x = rows / height + 0.5, columns / width - 0.5": LIGHT,
        "y, x = rows / height - -0.5, columns / width - 0.5": LIGHT,
        "y, x = rows / height - 0.5, columns * width - 0.5": LIGHT,
        "y, x = rows / height - 0.5, columns / width + 0.5": LIGHT,
        "y, x = rows / height - 0.5, columns / width - -0.5": LIGHT,
        "y, x = rows / height - 0.5, columns / width - 1.5": LIGHT,
        "y, x = rows / height - 1.5, columns / width - 0.5": LIGHT,
        "found = _weighted(terms, target, 2 / (1 + (left / spread) ** 2))": (
            "weights count beside each other alone"
        ),
        "return (x / 0.28) ** 2 + (y / 0.36) ** 2 <= 1": (
            "the middle of no pixel is on the ellipse to the last bit"
        ),
    },
    "data/index": {
        "_MAX_OPEN_FILES = 511": "a limit by feel",
        "_MAX_OPEN_FILES = 513": "a limit by feel",
        "@dataclass(frozen=False)": "nothing assigns to an index",
        "/,": "every caller names the columns",
        "subject_of = dict(zip(reversed(videos), reversed(subjects), strict=False))": AS_LONG,
        "for column, value in zip(columns.values(), row, strict=False):": AS_LONG,
        "for name, here, written in zip(self.shard_names, found, expected, strict=False):": (
            AS_LONG
        ),
    },
    "synthetic/expressions": {
        "@dataclasses.dataclass(frozen=False)": "nothing assigns to an expression",
        "STRENGTHS = -0.5": "a normal distribution is the same in a mirror",
        "sides = (1.0, weaker) if face.random() <= 0.5 else (weaker, 1.0)": CONTINUUM,
        "if ways.random() <= OWN:": CONTINUUM,
        "if random.random() <= BLENDED:": CONTINUUM,
        "ways = np.random.default_rng([person, 2, list(EMOTIONS).index(emotion)])": ANOTHER_SEED,
        "ways = np.random.default_rng([person, 4, list(EMOTIONS).index(emotion)])": ANOTHER_SEED,
        "face = np.random.default_rng([person, 3])": ANOTHER_SEED,
        "face = np.random.default_rng([person, 5])": ANOTHER_SEED,
    },
}
