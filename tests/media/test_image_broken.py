"""Files that are no pictures, broken pictures and bombs: one `MediaError`, one line, nothing else."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import warnings
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageFile, PngImagePlugin

from evalkit.errors import MediaError
from evalkit.media.image import MOST_PIXELS, prepare
from tests.media.making import arrow, chunk, encoded, exif, pixels, png, shown, tiff


def refused(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        prepare(data)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 220
    return said


def stock() -> dict[str, bytes]:
    image = arrow().resize((24, 32))
    made = {
        f"PNG {mode}": encoded(image.convert(mode), "PNG") for mode in ("RGB", "L", "RGBA", "LA", "P", "1")
    }
    made |= {f"GIF {mode}": encoded(image.convert(mode), "GIF") for mode in ("RGB", "L")}
    made |= {f"JPEG {mode}": encoded(image.convert(mode), "JPEG") for mode in ("RGB", "L", "CMYK")}
    made |= {f"TIFF {mode}": encoded(image.convert(mode), "TIFF") for mode in ("RGB", "P", "CMYK", "1")}
    made |= {
        f"TIFF {how}": encoded(image, "TIFF", compression=how) for how in ("tiff_lzw", "packbits", "jpeg")
    }
    return made | {
        "PNG turned": encoded(image, "PNG", exif=exif(6)),
        "APNG": encoded(image, "PNG", save_all=True, append_images=[image.rotate(180)]),
        "GIF frames": encoded(image, "GIF", save_all=True, append_images=[image.rotate(180)]),
        "JPEG progressive": encoded(image, "JPEG", progressive=True),
        "JPEG turned": encoded(image, "JPEG", exif=exif(6)),
        "MPO": encoded(image, "MPO", save_all=True, append_images=[image.rotate(180)]),
        "WebP": encoded(image, "WEBP"),
        "WebP lossless": encoded(image.convert("RGBA"), "WEBP", lossless=True, exif=exif(3)),
        "WebP frames": encoded(image, "WEBP", save_all=True, append_images=[image.rotate(180)]),
    }


STOCK = stock()


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"", "zero bytes"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<SVG>", "SVG"),
        (b" <!DOCTYPE html><html>404", "HTML"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b'{"error": "not found"}', "JSON"),
        (b"no such file", "text"),
        ("ä".encode() * 600 + b"x", "text"),
        (b"BM" + bytes(60), "BMP"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypmp42", "MP4"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"PK\3\4", "ZIP"),
        (b"RIFF\0\0\0\0WAVE", "nothing known"),
        (bytes(range(256)), "nothing known"),
        (b"\xff\xd8", "nothing known"),
    ],
)
def test_what_it_looks_like_is_said(data: bytes, looks: str) -> None:
    assert looks in refused(data)


@pytest.mark.parametrize(
    "start", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"MM\0*", b"RIFF    WEBP"]
)
def test_only_the_first_bytes_of_a_picture(start: bytes) -> None:
    for rest in (b"", b"\0" * 100, b"\xff" * 100, bytes(range(256)) * 4, b"VP8 " + b"\0" * 40):
        refused(start + rest)


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize("careless", [False, True])
def test_cut_anywhere_it_is_refused_or_right(
    name: str, careless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another library has told Pillow to fill what is missing with grey."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", careless)
    data = STOCK[name]
    right = pixels(shown(prepare(data)))
    step = max(1, len(data) // 150)
    for length in sorted({*range(0, len(data), step), *range(len(data) - 24, len(data))}):
        try:
            picture = prepare(data[:length])
        except MediaError as error:
            assert str(error).isprintable()  # noqa: PT017
        else:
            assert pixels(shown(picture)) == right, length
    assert ImageFile.LOAD_TRUNCATED_IMAGES is careless, "put back"


def test_a_careless_library_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells Pillow to take half pictures while one is being read."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    load_end = PngImagePlugin.PngImageFile.load_end

    def careless(image: PngImagePlugin.PngImageFile) -> None:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        load_end(image)

    with monkeypatch.context() as patched:
        patched.setattr(PngImagePlugin.PngImageFile, "load_end", careless)
        assert "another library" in refused(STOCK["PNG RGB"])
    assert ImageFile.LOAD_TRUNCATED_IMAGES, "its setting is left to it"
    assert prepare(STOCK["PNG RGB"]).data == STOCK["PNG RGB"]


def test_half_a_picture_is_refused() -> None:
    for name in ("PNG RGB", "JPEG RGB", "WebP", "GIF RGB", "TIFF RGB"):
        refused(STOCK[name][: len(STOCK[name]) // 2])


def test_a_png_whose_checksum_is_wrong_is_refused() -> None:
    data = bytearray(STOCK["PNG RGB"])
    data[data.index(b"IEND") - 5] ^= 1  # the last byte of the checksum of the pixels
    assert "damaged PNG" in refused(bytes(data))


@pytest.mark.parametrize("name", ["PNG RGB", "JPEG RGB", "PNG P", "JPEG progressive"])
def test_what_lacks_only_its_last_byte_is_refused(name: str) -> None:
    assert "its end is missing" in refused(STOCK[name][:-1])


@pytest.mark.parametrize("seed", range(400))
def test_mutated_bytes(seed: int) -> None:
    random_ = random.Random(seed)
    data = bytearray(STOCK[random_.choice(sorted(STOCK))])
    for _ in range(random_.choice((1, 1, 2, 8, 40))):
        at = random_.randrange(min(len(data), random_.choice((100, 10**9))))
        match random_.randrange(4):
            case 0:
                data[at] = random_.choice((0, 1, 127, 128, 255))
            case 1:
                data[at] ^= 1 << random_.randrange(8)
            case 2:
                data[at : at + 4] = random_.choice(
                    (b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\x27\x10")
                )
            case _:
                del data[at : at + random_.choice((1, 2, 30))]
    try:
        picture = prepare(bytes(data), random_.choice((0, 100)))
    except MediaError as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        shown(picture)


def huge(width: int, height: int) -> dict[str, bytes]:
    """Small files that announce a large picture."""
    gif = bytearray(STOCK["GIF RGB"])
    gif[6:10] = struct.pack("<HH", width, height)
    jpeg = bytearray(STOCK["JPEG RGB"])
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", height, width)
    webp = (
        b"VP8X"
        + struct.pack("<II", 10, 0)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    return {
        "PNG": png((width, height), 8, 2, bytes(100)),
        "GIF": bytes(gif),
        "JPEG": bytes(jpeg),
        "TIFF": tiff((width, height), [bytes(100)], bits=8, photometric=1),
        "WebP": b"RIFF" + struct.pack("<I", len(webp) + 4) + b"WEBP" + webp,
    }


@pytest.mark.parametrize("kind", ["PNG", "GIF", "JPEG", "TIFF", "WebP"])
def test_bombs_are_refused_by_their_size(kind: str) -> None:
    for size in ((10_001, 10_000), (12_000, 8_400), (20_000, 20_000), (65_000, 65_000)):
        said = refused(huge(*size)[kind])
        assert kind == "WebP" or "pixels" in said


@pytest.mark.slow
def test_the_largest_pictures_are_read_and_no_larger() -> None:
    assert MOST_PIXELS == 100_000_000
    row = bytes(1 + 12_500)
    assert prepare(png((100_000, 950), 1, 0, row * 950), 1000).width == 324
    assert "at most 100,000,000" in refused(png((100_000, 1001), 1, 0, row))


@pytest.mark.slow
@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_chunks_of_a_png_that_unpack_to_much(name: bytes) -> None:
    packed = zlib.compress(bytes(200_000_000), 9)
    body = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[name] + packed
    assert "damaged PNG" in refused(png((1, 1), 8, 0, b"\0\0", chunk(name, body)))


def test_a_jpeg_of_endless_scans() -> None:
    data = encoded(arrow(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    assert "scans" in refused(data[:last] + data[last:-2] * 200 + data[-2:])


@pytest.mark.slow
def test_nothing_is_said_on_standard_error() -> None:
    """Odd files: damaged EXIF, an APNG that is none, more pixels than Pillow likes."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.warns(UserWarning, match="APNG"):
            Image.open(BytesIO(_odd()))
        with warnings.catch_warnings(record=True) as heard:
            prepare(_odd())
            prepare(encoded(arrow(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\0" + b"\x1a\1\5\0\xff" * 9))
            prepare(png((100_000, 950), 1, 0, bytes(12_501 * 950)), 1000)
    assert not heard


def _odd() -> bytes:
    return png((1, 1), 8, 0, b"\0\0", chunk(b"acTL", bytes(8)))


def test_no_warning_of_this_process_is_lost() -> None:
    prepare(STOCK["PNG RGB"])
    with pytest.warns(RuntimeWarning, match="mine"):
        warnings.warn("mine", RuntimeWarning, stacklevel=1)


@pytest.mark.slow
def test_running_out_of_memory_is_said() -> None:
    code = (
        "import resource, sys; from evalkit.media.image import prepare, MediaError\n"
        "from tests.media.making import png, encoded, arrow\n"
        "prepare(encoded(arrow(), 'TIFF')); big = png((9000, 9000), 8, 2, bytes(9))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
        "try: prepare(big)\n"
        "except MediaError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("damaged PNG: MemoryError\n", "")
