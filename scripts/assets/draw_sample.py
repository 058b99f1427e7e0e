#!/usr/bin/python3
"""Draws scripts/assets/sample.jpg: what a camera over a conveyor sees of a machined flange.

Usage: /usr/bin/python3 scripts/assets/draw_sample.py [FILE]      (needs python3-pil)

The picture is in the tree, so nobody has to run this; it says where the picture comes from.
The same picture comes out each time. Change its size and scripts/quickstart must know it.
"""

import math
import random
import sys
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 640, 480
SCALE = 3  # drawn larger and scaled down: smooth edges


def box(center, radius):
    (x, y), r = center, radius
    return [(x - r) * SCALE, (y - r) * SCALE, (x + r) * SCALE, (y + r) * SCALE]


def around(center, radius, degrees):
    angle = math.radians(degrees)
    return center[0] + radius * math.cos(angle), center[1] + radius * math.sin(angle)


def belt(draw):
    """Frame rails at the top and bottom, between them the belt with its cross ribs."""
    draw.rectangle([0, 0, WIDTH * SCALE, HEIGHT * SCALE], fill=(44, 47, 50))
    for x in range(-40, WIDTH + 80, 64):
        slant = 26
        draw.line([(x * SCALE, 0), ((x + slant) * SCALE, HEIGHT * SCALE)],
                  fill=(36, 38, 41), width=5 * SCALE)
        draw.line([((x + 4) * SCALE, 0), ((x + 4 + slant) * SCALE, HEIGHT * SCALE)],
                  fill=(56, 59, 62), width=SCALE)
    for top, bottom in ((0, 46), (434, HEIGHT)):
        draw.rectangle([0, top * SCALE, WIDTH * SCALE, bottom * SCALE], fill=(150, 153, 155))
    for y, shade in ((46, 90), (434, 200)):
        draw.line([(0, y * SCALE), (WIDTH * SCALE, y * SCALE)], fill=(shade,) * 3, width=3 * SCALE)
    for x in range(36, WIDTH, 142):
        for y in (23, 457):
            draw.ellipse(box((x, y), 7), fill=(96, 98, 101), outline=(60, 61, 63), width=SCALE)


def shadow(center, radius):
    """Where the flange keeps the lamp from the belt, soft at the edge."""
    mask = Image.new("L", (WIDTH * SCALE, HEIGHT * SCALE), 255)
    ImageDraw.Draw(mask).ellipse(box((center[0] + 14, center[1] + 16), radius), fill=80)
    return mask.filter(ImageFilter.GaussianBlur(10 * SCALE)).convert("RGB")


def flange(draw, center):
    """A turned disc: bright rim, tool marks, a hub with a bore and six bolt holes."""
    for radius, shade in ((150, 120), (147, 196), (141, 172)):
        draw.ellipse(box(center, radius), fill=(shade, shade, shade + 4))
    for radius in range(138, 66, -3):
        shade = 166 + (radius * 7) % 13
        draw.ellipse(box(center, radius), outline=(shade, shade + 1, shade + 4), width=SCALE)
    # Two opposite streaks of light, as on every turned face.
    for start in (-60, 120):
        for width, shade in ((38, 184), (24, 200), (10, 216)):
            draw.pieslice(box(center, 136), start - width / 2, start + width / 2,
                          fill=(shade, shade, shade + 4))
    for radius, shade in ((66, 105), (63, 205), (58, 182), (38, 90), (35, 30)):
        draw.ellipse(box(center, radius), fill=(shade, shade, shade + 3))
    draw.ellipse(box((center[0] + 4, center[1] + 5), 29), fill=(42, 45, 48))
    for i in range(6):
        hole = around(center, 104, 12 + 60 * i)
        draw.ellipse(box(hole, 15), fill=(126, 127, 130))
        draw.ellipse(box(hole, 12), fill=(34, 36, 38))
        draw.arc(box(hole, 12), 20, 160, fill=(150, 151, 154), width=SCALE)
    # The mark that the station looks for.
    mark = around(center, 122, -78)
    draw.ellipse(box(mark, 5), fill=(196, 60, 40))


def lamp():
    """Brighter in the middle left, darker in the corners."""
    small = Image.new("L", (64, 48))
    for y in range(48):
        for x in range(64):
            distance = math.hypot((x - 27) / 46, (y - 20) / 38)
            small.putpixel((x, y), int(max(96, 255 - 120 * distance**1.6)))
    return small.resize((WIDTH, HEIGHT), Image.BICUBIC).convert("RGB")


def sensor_noise():
    random.seed(1)
    small = Image.new("L", (WIDTH // 2, HEIGHT // 2))
    small.putdata([128 + int(random.gauss(0, 3)) for _ in range(small.width * small.height)])
    return small.resize((WIDTH, HEIGHT), Image.BILINEAR).convert("RGB")


def label(picture, position, text):
    """The camera's own lettering: PIL's built-in bitmap font, twice its size."""
    font = ImageFont.load_default()
    left, top, right, bottom = font.getbbox(text)
    plate = Image.new("L", (right - left + 8, bottom - top + 6), 0)
    ImageDraw.Draw(plate).text((4 - left, 3 - top), text, fill=255, font=font)
    plate = plate.resize((plate.width * 2, plate.height * 2), Image.NEAREST)
    picture.paste((12, 14, 16), [*position, position[0] + plate.width, position[1] + plate.height])
    picture.paste((236, 240, 232), position, plate)


def draw_picture():
    center = (330, 240)
    canvas = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE))
    belt(ImageDraw.Draw(canvas))
    canvas = ImageChops.multiply(canvas, shadow(center, 150))
    flange(ImageDraw.Draw(canvas), center)
    picture = canvas.resize((WIDTH, HEIGHT), Image.LANCZOS)
    picture = ImageChops.multiply(picture, lamp())
    picture = ImageChops.add(picture, sensor_noise(), offset=-128)
    label(picture, (12, 12), "CAM 1  LINE 1  STATION 1")
    label(picture, (12, 440), "2024-05-17 08:42:13.507  EXP 4.0ms")
    return picture


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("sample.jpg")
    draw_picture().save(target, "JPEG", quality=56, optimize=True, progressive=False)
