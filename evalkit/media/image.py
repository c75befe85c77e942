"""Prepares a stored picture for sending: decoded completely, upright, in 8 bits, within a budget of pixels.

It recognises formats by the first bytes, and reads PNG, JPEG, WebP, AVIF and GIF (their first frame), TIFF
(its first page), BMP, JPEG 2000 and, with pi-heif (libheif, `evalkit[heic]`), HEIC (its primary picture).
evalkit decodes the last two in another process, with limits of time and memory (`evalkit.media.kinds`). A PNG
or JPEG that needs no change is sent as stored. All others are changed, in this order:

- Depth: of 16 bits the high byte is kept, of 12 bits the upper 8. Any other samples of more than 8 bits
  (32-bit integers, floats, signed samples) have no known range and are an error.
- Colour: CMYK, YCbCr and LAB become RGB by fixed formulas. A colour profile is never applied: the numbers are
  used as stored, as by `Image.open(...).convert("RGB")`, the loader of published pipelines. A picture sent as
  stored keeps its profile; a newly encoded one has none.
- Transparency: the background is white, because diagrams are often black lines on a transparent background,
  which would be invisible on black.
- EXIF orientation (also in PNG, WebP and TIFF, and from XMP if EXIF has none): applied once. Damaged EXIF is
  ignored.
- Size: a picture of more than `max_pixels` is scaled down, with its shape kept to the pixel; never up.
- Encoding: JPEG of quality 95 without chroma subsampling if the source was JPEG, otherwise PNG. No metadata
  is written, and the same bytes give the same bytes.

Files may be broken or malicious: every failure is a `MediaError` of one line. All checksums of a PNG are
checked. The other formats have none, so damage inside their coded data may not be detected if the end is
there. For a damaged TIFF, libtiff may write a line to standard error.

Peak memory, besides `data`: 4 bytes per pixel for a picture sent as stored, 8 for most others, at most 21
(WebP with transparency); with `MOST_PIXELS`, 2.1 GB. Safe in threads: Pillow decodes, scales and encodes
without the interpreter's lock. A million pixels take 10 ms as a stored JPEG, 30 as a PNG, else 30 to 250.
"""

from __future__ import annotations

import threading
import warnings
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from evalkit.errors import MediaError, UsageError, unknown
from evalkit.media.image_files import JPEG_2000, check_directory, kind_of
from evalkit.media.pixels import as_jpeg, encoded, preview, resized
from evalkit.media.video_files import check_whole
from evalkit.needs import load
from evalkit.samples import RESAMPLES

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile
    from PIL.TiffImagePlugin import TiffImageFile

    from evalkit.samples import JSON

MOST_PIXELS = 100_000_000
"""The most pixels, width x height; a larger picture is refused before it is decoded."""

_MOST_SCANS = 100
"""The most scans of a progressive JPEG, which usually has about ten. A scan takes few bytes, but a pass over
all pixels."""

_PILLOW = r"PIL\."
_T = TypeVar("_T")
_BITS, _PHOTOMETRIC, _ORIENTATION, _PLANES, _SAMPLE_FORMAT = 258, 262, 274, 284, 339
_PNG_END = b"IEND\xaeB\x60\x82"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture as it is sent."""

    data: bytes = field(repr=False)
    """PNG or JPEG; RGB or grey, 8 bits per sample, upright, within the budget."""
    mime: Literal["image/png", "image/jpeg"]
    width: int
    height: int
    preview: bytes = field(repr=False)
    """The same picture as a JPEG of at most 320 pixels a side, for the sample browser of a report."""


def prepare(data: bytes, max_pixels: int = 0, resample: str = "lanczos") -> Prepared:
    """The stored picture `data`, prepared for sending, of at most `max_pixels` pixels (0: no limit).

    Raises `MediaError` if `data` is not a whole picture that can be read, and `UsageError` if `resample` is
    unknown.
    """
    if resample not in RESAMPLES:
        raise unknown("resample", resample, RESAMPLES)
    return _read(data, lambda kind: _prepared(data, kind, max_pixels, resample))


def rgb(data: bytes) -> Image.Image:
    """The stored picture `data` as it is sent, decoded: 8-bit RGB, upright, on white; not scaled.

    It is for models in this process. Raises `MediaError` if it is not a whole picture that can be read.
    """
    return _read(data, lambda kind: _loaded(data, kind)[0].convert("RGB"))


def _read(data: bytes, how: Callable[[str], _T]) -> _T:
    """What `how` makes of the picture `data`, given its format. Raises `MediaError`."""
    kind = kind_of(data)
    with _careful:
        try:
            return how(kind)
        except MediaError:
            raise
        except Exception as error:  # noqa: BLE001 — decoders raise whatever broken bytes run them into
            raise MediaError(f"damaged {kind}: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    message = "".join(c if c.isprintable() else " " for c in str(error)[:160]).strip()
    if message and isinstance(error, OSError | SyntaxError | ValueError):
        return message
    return f"{type(error).__name__} {message}".strip()


def prepare_apart(source: str, place: str, **how: Any) -> dict[str, JSON]:
    """`prepare` for another process: what is sent is written to `place`, the rest is JSON.

    `error` is the message of a `MediaError`.
    """
    try:
        made = prepare(Path(source).read_bytes(), **how)
    except (MediaError, OSError) as error:
        return {"error": str(error)}
    Path(place).write_bytes(made.data)
    preview = b64encode(made.preview).decode()
    size = {"width": made.width, "height": made.height, "bytes": len(made.data)}
    return {"mime": made.mime, **size, "preview": preview}


class _Careful:
    """While any thread is inside, Pillow reads only complete pictures, and gives no warnings.

    Both are settings of the whole process. Another library may have told Pillow to fill the missing part of a
    picture with grey; this is off while a picture is read here, and restored afterwards. Pillow's warnings
    about odd files stay off, because they would go to the terminal of a run; relevant ones are errors here.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.before = False

    def __enter__(self) -> None:
        from PIL import ImageFile

        with self.lock:
            self.before = ImageFile.LOAD_TRUNCATED_IMAGES or (self.inside > 0 and self.before)
            ImageFile.LOAD_TRUNCATED_IMAGES = False
            self.inside += 1
            if not any(getattr(entry[3], "pattern", "") == _PILLOW for entry in warnings.filters):
                warnings.filterwarnings("ignore", module=_PILLOW)

    def __exit__(self, *_: object) -> None:
        from PIL import ImageFile

        with self.lock:
            self.inside -= 1
            if not self.inside:
                ImageFile.LOAD_TRUNCATED_IMAGES = self.before or ImageFile.LOAD_TRUNCATED_IMAGES


_careful = _Careful()


def _prepared(data: bytes, kind: str, max_pixels: int, resample: str) -> Prepared:
    whole, plain = _loaded(data, kind)
    image = resized(whole, max_pixels, resample)
    plain = plain and image is whole
    if kind == "JPEG":
        sent = data if plain else as_jpeg(image)
        return Prepared(sent, "image/jpeg", *image.size, preview(image))
    sent = data if plain else encoded(image, "PNG", compress_level=4)
    return Prepared(sent, "image/png", *image.size, preview(image))


def _loaded(data: bytes, kind: str) -> tuple[Image.Image, bool]:
    """The complete picture, upright, 8-bit grey or RGB; and whether `data` can be sent as stored."""
    from PIL import ImageFile

    image = _opened(data, kind)
    if image.width * image.height > MOST_PIXELS:
        raise MediaError(
            f"{kind} of {image.width} x {image.height} pixels: evalkit reads at most {MOST_PIXELS:,}"
        )
    tile = image.tile[0] if kind in ("GIF", "PNG", "JPEG") else None
    image.load()
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise MediaError("another library made Pillow accept broken pictures while this one was read")
    turn = _turn(image)  # None for a TIFF, which Pillow has already turned
    if tile and turn is None and _is_plain(image, kind, tile.args):
        return image, True
    flat = _flat(image, tile.args if tile else None)
    if tile and tile.extents and tile.extents != (0, 0, *flat.size):
        flat = _framed(flat, tile.extents)
    return flat if turn is None else flat.transpose(turn), False


def _opened(data: bytes, kind: str) -> ImageFile:
    """The picture with its header read, but not its pixels, after checks that Pillow does not make.

    The readers are called directly, because `Image.open` hides the reason of a failure.
    """
    from PIL import JpegImagePlugin, PngImagePlugin, TiffImagePlugin

    if kind == "PNG":
        if _PNG_END not in data:
            raise MediaError("truncated PNG: its end is missing")
        PngImagePlugin.PngImageFile(BytesIO(data)).verify()
        return PngImagePlugin.PngImageFile(BytesIO(data))
    if kind == "JPEG":
        if data.count(b"\xff\xda") > _MOST_SCANS:
            raise MediaError(f"JPEG of more than {_MOST_SCANS} scans")
        if data.find(b"\xff\xd9", data.find(b"\xff\xda")) < 0:
            raise MediaError("truncated JPEG: its end is missing")
        return JpegImagePlugin.JpegImageFile(BytesIO(data))
    if kind == "TIFF":
        check_directory(data)
        image = TiffImagePlugin.TiffImageFile(BytesIO(data))
        _check_samples(image)
        return image
    return _reader(data, kind)(BytesIO(data))


def _reader(data: bytes, kind: str) -> Callable[[BytesIO], ImageFile]:
    """The class that reads a format which needs no further checks."""
    if kind == "HEIC":
        try:
            heif = load("pi_heif", "HEIC", "pip install 'evalkit[heic]'")
        except UsageError as error:
            raise MediaError(f"{error} (or convert the picture to JPEG)") from None
        check_whole(BytesIO(data), "video/mp4", kind)  # its boxes are those of MP4
        return cast("Callable[[BytesIO], ImageFile]", heif.HeifImageFile)
    from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, Jpeg2KImagePlugin, WebPImagePlugin

    readers: dict[str, Callable[[BytesIO], ImageFile]] = {
        "AVIF": AvifImagePlugin.AvifImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        JPEG_2000: Jpeg2KImagePlugin.Jpeg2KImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
    }
    return readers[kind]


def _is_plain(image: ImageFile, kind: str, raw: object) -> bool:
    """Whether a loaded picture can be sent as stored. `raw`: Pillow's name for the samples in the file."""
    if image.mode not in ("L", "RGB") or "transparency" in image.info:
        return False
    if kind == "PNG":
        return raw == image.mode and getattr(image, "n_frames", 1) == 1
    return kind == "JPEG" and "mp" not in image.info  # a file of several pictures


def _flat(image: ImageFile, raw: object) -> Image.Image:
    """The picture in 8 bits, grey or RGB, on a white background."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        return _eight_bits(image)
    if image.mode in ("I", "F"):
        raise MediaError("samples of 32 bits: their range is not known")
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = (ImageCms.ImageCmsProfile(ImageCms.createProfile(space)) for space in ("LAB", "sRGB"))
        return ImageCms.ImageCmsTransform(lab, srgb, "LAB", "RGB").apply(image)
    ycbcr = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 6 and image.info.get("compression") == "raw"
    if ycbcr and image.mode == "RGB":  # Pillow before 13
        return Image.frombytes("YCbCr", image.size, image.tobytes()).convert("RGB")
    mode: str = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if not image.has_transparency_data:
        return image if image.mode == mode else image.convert(mode)
    key: Any = image.info.get("transparency")
    if raw in ("L;2", "L;4"):  # PNG names the transparent grey in 2 or 4 bits, ...
        image.info["transparency"] = key * 255 // (2 ** int(str(raw)[2]) - 1)
    elif raw == "RGB;16B":  # ... or the colour in 16
        image.info["transparency"] = tuple(sample >> 8 for sample in key)
    clear = image if image.mode == mode + "A" else image.convert(mode + "A")
    white = Image.new(mode, image.size, "white")
    white.paste(clear.convert(mode), mask=clear.getchannel("A"))
    return white


def _eight_bits(image: ImageFile) -> Image.Image:
    """The high byte of 16 bits of grey, as Pillow does with colours; Pillow itself would clip grey."""
    import numpy as np
    from PIL import Image

    tags: Any = getattr(image, "tag_v2", {})
    samples = np.asarray(image)
    grey = (samples >> (4 if tags.get(_BITS) == (12,) else 8)).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == 0:  # 0 is white
        grey = 255 - grey
    if "transparency" in image.info:
        grey[samples == image.info["transparency"]] = 255
    return Image.fromarray(grey)


def _framed(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """The part of the picture in `box`, on white: a GIF's first frame may leave some of the canvas empty."""
    from PIL import Image

    canvas = Image.new(image.mode, image.size, "white")
    canvas.paste(image.crop(box), box[:2])
    return canvas


def _turn(image: ImageFile) -> Image.Transpose | None:
    """The transposition that makes the picture upright; None if it needs none."""
    from PIL.Image import Transpose

    try:
        return {
            2: Transpose.FLIP_LEFT_RIGHT,
            3: Transpose.ROTATE_180,
            4: Transpose.FLIP_TOP_BOTTOM,
            5: Transpose.TRANSPOSE,
            6: Transpose.ROTATE_270,
            7: Transpose.TRANSVERSE,
            8: Transpose.ROTATE_90,
        }.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 — damaged EXIF is ignored
        return None


def _check_samples(image: TiffImageFile) -> None:
    """Raises `MediaError` for samples that Pillow would misread."""
    tags: Any = image.tag_v2
    if any(sort != 1 for sort in tags.get(_SAMPLE_FORMAT, ())):
        raise MediaError("TIFF of signed or floating-point samples: their range is not known")
    planes = tags.get(_PLANES, 1) == 2 and image.info.get("compression") == "raw"
    if planes and (image.mode, tags.get(_BITS)) != ("RGB", (8, 8, 8)):
        raise MediaError("TIFF of separate uncompressed planes that are not 8-bit RGB")
