"""Synthetic trees in the layouts of the four data sets, with what is odd about them.

The colour of a frame tells its number, so that a test knows which frame was stored.
"""

import re
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import openpyxl

SIZE = 48


def write_frames(folder: Path, numbers, name: str = "img{}.jpg") -> Path:
    """Frames of one colour each, the green of it 3 times the last two digits of the number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        image = np.full((SIZE, SIZE, 3), (60, number % 80 * 3, 90), np.uint8)
        encoded = cv2.imencode(Path(name).suffix, image)[1]
        (folder / name.format(number)).write_bytes(encoded.tobytes())
    return folder


def as_video(folder: Path, suffix: str = ".avi", codec: str = "FFV1", numbers=None) -> Path:
    """A lossless video of the frames of a folder, which it takes the place of.

    Args:
      folder: its images have one number each in their names.
      numbers: of the frames in the video; the frame of another number is shown where one is not
        there. None takes the numbers from 1 to the last one.
    """
    images = {int(re.findall(r"\d+", path.stem)[-1]): path for path in folder.iterdir()}
    video = folder.parent / f"{folder.name}{suffix}"
    fourcc = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(video), cv2.CAP_FFMPEG, fourcc, 25.0, (SIZE, SIZE))
    assert writer.isOpened()
    for number in range(1, max(images) + 1) if numbers is None else numbers:
        writer.write(cv2.imread(str(images.get(number, images[min(images)]))))
    writer.release()
    shutil.rmtree(folder)
    return video


def damage(video: Path, frame: int) -> Path:
    """Zeros in the place of one frame of an .avi, counted from 0."""
    content = bytearray(video.read_bytes())
    at = content.index(b"movi") + 4
    for _ in range(frame):
        at += 8 + int.from_bytes(content[at + 4 : at + 8], "little")
        at += at % 2
    size = int.from_bytes(content[at + 4 : at + 8], "little")
    content[at + 8 : at + 8 + size] = bytes(size)
    video.write_bytes(content)
    return video


def shown(image: np.ndarray) -> int:
    """The number, modulo 80, of the frame in an image."""
    return round(float(image[..., 1].mean()) / 3)


def write_sheet(path: Path, rows, header, preamble=(), name="Sheet1", others=()) -> Path:
    """A workbook with one sheet of rows below a header, and `others` (name, rows) before it."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for other, lines in others:
        sheet = book.create_sheet(other)
        for line in lines:
            sheet.append(line)
    sheet = book.create_sheet(name)
    for line in (*preamble, header, *rows):
        sheet.append(line)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def save_results(path: Path, results: dict[str, object]) -> Path:
    """Saves with a workbook what its formulas give, by cell, as a spreadsheet program does."""
    with zipfile.ZipFile(path) as parts:
        content = {name: parts.read(name) for name in parts.namelist()}
    page = content["xl/worksheets/sheet1.xml"].decode()
    for cell, value in results.items():
        page, found = re.subn(
            rf'(<c r="{cell}"[^>]*><f>[^<]*</f>)<v ?/>', rf"\g<1><v>{value}</v>", page
        )
        assert found == 1, (cell, page)
    content["xl/worksheets/sheet1.xml"] = page.encode()
    with zipfile.ZipFile(path, "w") as parts:
        for name, part in content.items():
            parts.writestr(name, part)
    return path


CASME2_HEADER = (
    "Subject",
    "Filename",
    None,
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    None,
    "Action Units",
    "Estimated Emotion",
)
CASME2_ROWS = [
    ("01", "EP02_01f", None, 46, 49, 52, None, "6+12", "happiness"),
    (1, "EP03_02", None, 10, 12, 15, None, 4, "others"),
    ("04", "EP12_01f", None, 5, "/", 9, None, "?", "disgust"),
    ("05", "EP09_05f", None, 7, 7, 12, None, "4+L10", "disgust"),
    ("05", "EP13_01", None, 20, 24, 26, None, 25, "surprise"),
    ("06", "EP02_01f", None, "98", "101", "140", None, None, "Repression "),
    ("06", "EP02_02", None, 1, 3, 5, None, "1", "sadness"),
    ("06", "EP03_03", None, 1, 3, 5, None, "1", "fear"),
]


def casme2(root: Path, rows=CASME2_ROWS, header=CASME2_HEADER) -> Path:
    """Cropped frames and the sheet beside them; sadness and fear have no frames."""
    frames = root / "Cropped"
    write_frames(frames / "sub01" / "EP02_01f", range(46, 53), "reg_img{}.jpg")
    write_frames(frames / "sub01" / "EP03_02", range(10, 16), "reg_img{}.jpg")
    write_frames(frames / "sub04" / "EP12_01f", range(5, 10), "reg_img{}.jpg")
    write_frames(frames / "sub05" / "EP09_05f", range(7, 13), "reg_img{}.jpg")
    write_frames(frames / "sub05" / "EP13_01", (20, 21, 22, 23, 25, 26), "reg_img{}.jpg")
    write_frames(frames / "sub06" / "EP02_01f", range(98, 111), "reg_img{}.jpg")
    write_sheet(root / "CASME2-coding-20140508.xlsx", rows, header)
    return frames


SAMM_HEADER = (
    "Subject",
    "Filename",
    "Inducement Code",
    "Onset Frame",
    "Apex Frame",
    "Offset Frame",
    "Duration",
    "Micro",
    "Action Units",
    "Estimated Emotion",
    "Objective Classes",
    "Notes",
)
SAMM_PREAMBLE = [("SAMM: Micro-Movement Codes",), *[()] * 11, ("Subject 0 is nobody",)]
SAMM_ROWS = [
    ("006", "006_1_2", 1, 5562, 5565, 5569, "=F15-D15+1", "Micro - 1/2", "L12 or L14", "Anger"),
    (6, "006_1_3", 1, 203, 206, 210, "=F16-D16+1", "Micro", 12, "Happiness"),
    ("007", "007_3_1", 3, 30, 33, 37, "=F17-D17+1", "Micro", "10A/B", "Other"),
    ("011", "011_1_1", 1, 40, 42, 45, 6, "Micro", "9", "Disgust"),
    ("013", "013_1_9", 1, 8340, 8343, 834, 7, "Micro", "1+2", "Surprise"),
    ("020", "020_1_1", 1, 5, 6, 7, 3, "Macro", "1+2", "Surprise"),
]
SAMM_OUT_OF_RANGE = ("028", "028_4_1", 4, 300, 310, 305, 6, "Micro", "14", "Contempt")


def samm(root: Path, rows=SAMM_ROWS, preamble=SAMM_PREAMBLE) -> Path:
    """Frames with padding that varies, and a workbook with a second sheet of the same columns."""
    write_frames(root / "006" / "006_1_2", range(5562, 5570), "006_{:05d}.jpg")
    write_frames(root / "006" / "006_1_3", range(203, 211), "006_{:04d}.jpg")
    write_frames(root / "007" / "007_3_1", range(30, 38), "007_{:04d}.jpg")
    write_frames(root / "011" / "011_1_1", range(40, 46), "011_{:04d}.jpg")
    write_frames(root / "013" / "013_1_9", range(8340, 8347), "013_{:04d}.jpg")
    write_frames(root / "028" / "028_4_1", range(300, 312), "028_{:04d}.jpg")
    write_sheet(
        root / "SAMM_Micro_FACS_Codes_v2.xlsx",
        rows,
        SAMM_HEADER,
        preamble,
        "MICRO_ONLY",
        [("FULL", [SAMM_HEADER, ("006", "006_9_9", 1, 1, 2, 3, 3, "Macro", "1", "Rage")])],
    )
    return root


def smic(root: Path) -> Path:
    """The cropped release: three clips of two subjects, and folders that are to be skipped."""
    frames = root / "SMIC_all_cropped"
    name = "reg_image{:06d}.bmp"
    write_frames(frames / "HS/s1/micro/negative/s1_ne_01", range(28400, 28409), name)
    write_frames(frames / "HS/s1/micro/surprise/s1_sur_02", range(10, 14), name)
    write_frames(frames / "HS/s14/micro/positive/s14_po_03", range(51, 56), name)
    write_frames(frames / "HS/s1/non_micro/negative/s1_ne_01", range(5), name)
    write_frames(frames / "VIS/s1/micro/negative/s1_ne_01", range(5), name)
    return frames


SMIC_HEADER = ("Subject", "Filename", "OnsetF", "OffsetF", "TotalMF1", "Onset2F", "Emotion")
SMIC_ROWS = [
    (14, "s14_ne_01", 34203, "=C2+E2-1", 5, None, "negative"),
    (14, "s14_po_02", 102, "=C3+SUM(E3,-1)", 7, 112, "positive"),
]
SMIC_RESULTS = {"D2": 34207, "D3": 108}


def smic_long(root: Path, rows=SMIC_ROWS, results=SMIC_RESULTS) -> Path:
    """The long release, with offsets that are formulas."""
    frames = root / "SMIC_HS_E"
    write_frames(frames / "s14" / "s14_ne_01", range(34200, 34212), "image{:06d}.jpg")
    write_frames(frames / "s14" / "s14_po_02", range(100, 120), "image{:06d}.jpg")
    save_results(write_sheet(root / "SMIC-HS-E_annotation.xlsx", rows, SMIC_HEADER), results)
    return frames


CASME3_HEADER = (
    "Subject",
    "Filename",
    "Onset",
    "Apex",
    "Offset",
    "AU",
    "Objective class",
    "emotion",
)
CASME3_ROWS = [
    ("spNO.1", "a", 175, 178, 182, "4", "IV", "disgust"),
    ("spNO.1", "a", 190, 193, 197, "12", "I", "happy"),
    ("spNO.1", "J", 20, 23, 0, "1+2", "II", "Surprise"),
    ("spNO.2", "b", 2647, 2650, 3647, 4, "III", "sad"),
    ("spNO.2", "b", 2660, 2660, 2664, "?", "VII", "Others"),
    ("spNO.2", "c", 5, 9, 70, "4+7", "III", "anger"),
]
CASME3_BAD = [
    ("spNO.2", "c", 50, 44, 60, "4", "III", "fear"),
    ("spNO.2", "c", 0, 9, 12, "4", "III", "fear"),
    ("spNO.2", "c", 21, 3024, 0, "4", "III", "fear"),
]


def casme3(root: Path, rows=CASME3_ROWS) -> Path:
    """Whole videos, depth beside the colour; the first frames of one video are missing."""
    write_frames(root / "spNO.1" / "a" / "color", range(170, 200), "{}.jpg")
    write_frames(root / "spNO.1" / "a" / "depth", range(170, 200), "{}.png")
    write_frames(root / "spNO.1" / "j" / "color", range(21, 30), "{}.jpg")
    write_frames(root / "spNO.2" / "b" / "color", range(2640, 2670), "{}.jpg")
    write_frames(root / "spNO.2" / "c" / "color", range(1, 75), "{}.jpg")
    write_sheet(
        root / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", rows, CASME3_HEADER, name="label"
    )
    return root
