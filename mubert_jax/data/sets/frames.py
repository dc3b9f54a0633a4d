"""Folders of image files; one clip per folder that holds images, at every depth."""

from pathlib import Path, PurePath

from mubert_jax.data.clips import Clip, ImageFrames, Unreadable, subject_of
from mubert_jax.data.names import printable
from mubert_jax.data.numbering import numbered_images
from mubert_jax.data.searching import PassedOver, files_with
from mubert_jax.data.video import IMAGE_SUFFIXES
from mubert_jax.errors import UserError


def clips(input: Path, passed: PassedOver | None = None) -> list[Clip]:
    """One clip per folder with images, `input` itself included, frames ordered by number.

    A clip is named by its path below `input`; who is seen in it is left to
    `layouts.with_subjects`. A folder whose frame numbers cannot be told is a clip that raises when
    it is read. Raises UserError when there is no image; other files are told to `passed`.
    """
    passed = PassedOver(input) if passed is None else passed
    if not input.is_dir():
        raise UserError(f"{input}: not a folder; for a video file use `mubert prepare video`")
    found = list(files_with(IMAGE_SUFFIXES, input, passed))
    if not found:
        raise UserError(
            f"{input}: no image at any depth (looked for {' '.join(sorted(IMAGE_SUFFIXES))}); "
            f"for video files use `mubert prepare video`{passed.clause()}"
        )
    names = {folder.relative_to(input) for folder, _ in found}
    return [_clip(input, folder, images, names, passed) for folder, images in found]


def _clip(
    input: Path, folder: Path, images: list[Path], names: set[Path], passed: PassedOver
) -> Clip:
    name = folder.relative_to(input)
    if folder == input:
        own = Path(input.resolve().name)
        name = own.with_name(f"{own.name}.") if own in names else own
    name = PurePath(printable(name))
    try:
        numbered = numbered_images(images, passed)
    except UserError as error:
        reason = str(error).removeprefix(f"{printable(folder)}: ")
        unreadable = Unreadable(reason, len(images), (folder,))
        return Clip(name.as_posix(), subject_of(name), unreadable)
    return Clip(name.as_posix(), subject_of(name), ImageFrames(numbered, (folder,)))
