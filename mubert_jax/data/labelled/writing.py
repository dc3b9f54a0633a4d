"""One record a labelled clip: both images cropped by one box, that of the onset's face."""

from pathlib import Path

import numpy as np

from mubert_jax.data.alignment import aligned
from mubert_jax.data.faces import Box, center_box, clip_box, crop_and_resize
from mubert_jax.data.images import ClipImages
from mubert_jax.data.labelled.annotation import NO_MOVEMENT
from mubert_jax.data.labelled.apex import SIDE, automatic_apex
from mubert_jax.data.labelled.clips import LabelledClip
from mubert_jax.data.records import PairRecord, encode_image, encode_pair
from mubert_jax.data.report import ClipReport
from mubert_jax.data.shards import NO_FACE, ShardWriter, StoppedError, crop_frame
from mubert_jax.data.tfrecord import TFRecordWriter
from mubert_jax.errors import UserError


class PairWriter(ShardWriter):
    """Writes shards of `PairRecord`s; `write` is given `LabelledClip`s."""

    def _write_clip(self, writer: TFRecordWriter, clip: LabelledClip) -> ClipReport:
        if self.stop.is_set():
            raise StoppedError
        images = ClipImages(clip.files)
        image = images.read(clip.onset[1])
        shape, box = image.shape[:2], self._onset_box(image)
        onset = crop_and_resize(image, box, self.options.size)
        number, path = clip.apex or self._find_apex(clip, images, image, box)
        apex = crop_frame(images.read(path), shape, box, self.options.size)
        still = NO_MOVEMENT if np.array_equal(onset, apex) else ""
        apex = aligned(self.options.align, apex, onset)
        data = encode_pair(
            PairRecord(
                onset=encode_image(onset, self.options.encoding),
                apex=encode_image(apex, self.options.encoding),
                label=clip.label,
                emotion=clip.annotation.emotion,
                subject=clip.subject,
                clip=clip.annotation.clip,
                dataset=clip.annotation.dataset,
                onset_frame=clip.onset[0],
                apex_frame=number,
                offset_frame=clip.offset,
                fps=clip.fps,
                action_units=clip.annotation.action_units,
                face_box=(box.x, box.y, box.side, box.side) if box else (0, 0, *shape[::-1]),
                apex_source=clip.apex_source,
            )
        )
        writer.write(data)
        self.progress.frame()
        return ClipReport(
            clip.name,
            clip.subject,
            "kept",
            "; ".join(filter(None, (images.note, still))),
            box,
            [clip.onset[0]],
            [len(data)],
            number,
        )

    def _onset_box(self, onset: np.ndarray) -> Box | None:
        if self.detector is None:
            return center_box(onset) if self.options.crop == "center" else None
        box = clip_box([onset], self.detector, self.options.margin)
        if box is None:
            raise UserError(f"{NO_FACE} in the onset frame; if it is cropped already: --crop none")
        return box

    def _find_apex(
        self, clip: LabelledClip, images: ClipImages, onset: np.ndarray, box: Box | None
    ) -> tuple[int, Path]:
        shape = onset.shape[:2]
        frames = [crop_frame(images.read(path), shape, box, SIDE) for _, path in clip.candidates]
        return clip.candidates[automatic_apex(crop_and_resize(onset, box, SIDE), frames)]
