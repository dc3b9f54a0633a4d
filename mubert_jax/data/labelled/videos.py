"""What to do about a data set that is there as videos instead of frames."""

from pathlib import Path

from mubert_jax.data.searching import PassedOver, folders
from mubert_jax.data.video import VIDEO_SUFFIXES


def extraction(input: Path) -> str | None:
    """How to extract the frames of the videos below a folder, None where there are no videos."""
    for _, files in folders(input, PassedOver(input)):
        for video in files:
            if video.suffix.lower() in VIDEO_SUFFIXES:
                clip = video.with_suffix("")
                return (
                    f"videos such as {video}: extract the frames of each into a folder of its "
                    f"name, numbered as in the sheet: mkdir {str(clip)!r} && ffmpeg -i "
                    f"{str(video)!r} -start_number 1 {str(clip / 'img%d.png')!r}"
                )
    return None
