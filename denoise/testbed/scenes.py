# SPDX-License-Identifier: Apache-2.0
"""The built-in scenes, a page each: functions of the frame number that say where things are, and of what."""

from __future__ import annotations

from math import cos, degrees, radians, sin

from .scene import (
    Camera,
    Lamp,
    Material,
    Rgb,
    Scene,
    Shape,
    Sky,
    Sun,
    View,
    box,
    cylinder,
    ellipsoid,
    moved,
    panel,
    rotation,
    sphere,
    translation,
    wave,
)

WHITE = Material("white", (0.78, 0.76, 0.72), roughness=0.6)
GOLD = Material("gold", (1.0, 0.74, 0.32), roughness=0.22, metal=True)
CHROME = Material("chrome", (0.78, 0.79, 0.8), roughness=0.08, metal=True)
BRASS = Material("brass", (0.86, 0.66, 0.36), roughness=0.3, metal=True)
BLACK = Material("black", (0.03, 0.03, 0.035), roughness=0.35)


def room(frame: int) -> View:
    """Daylight from a window, a warm globe lamp, walls that colour what is near them."""
    plaster = Material("plaster", (0.8, 0.77, 0.71), (0.74, 0.71, 0.65), roughness=1, f0=0, texture="clouds", scale=1.5)
    teal = Material("teal", (0.06, 0.21, 0.22), (0.075, 0.24, 0.25), roughness=0.55, texture="clouds", scale=3)
    terracotta = Material(
        "terracotta", (0.66, 0.2, 0.09), (0.6, 0.17, 0.08), roughness=1, f0=0, texture="clouds", scale=2
    )
    oak = Material("oak", (0.52, 0.32, 0.16), (0.2, 0.1, 0.045), 0.3, 0.45, texture="planks", scale=6)
    walnut = Material("walnut", (0.24, 0.12, 0.06), (0.14, 0.065, 0.03), 0.35, texture="planks", scale=9)
    rug = Material("rug", (0.78, 0.72, 0.6), (0.12, 0.17, 0.33), roughness=1, f0=0, texture="rings", scale=2.75)
    marble = Material("marble", (0.85, 0.84, 0.82), (0.3, 0.32, 0.35), roughness=0.15, texture="marble", scale=1.5)
    mustard = Material("mustard", (0.72, 0.43, 0.06), (0.6, 0.34, 0.05), roughness=1, f0=0, texture="clouds", scale=8)
    linen = Material("linen", (0.74, 0.7, 0.62), (0.16, 0.3, 0.36), roughness=1, f0=0, texture="stripes", scale=2)
    ceramic = Material("ceramic", (0.85, 0.86, 0.88), (0.05, 0.13, 0.42), roughness=0.12, texture="stripes", scale=2.5)
    paint_a = Material("painting a", (0.85, 0.78, 0.62), (0.75, 0.2, 0.1), roughness=0.6, texture="rings", scale=5)
    paint_b = Material("painting b", (0.9, 0.84, 0.7), (0.1, 0.22, 0.36), roughness=0.6, texture="checker", scale=7)
    ball = Material("ball", (0.8, 0.1, 0.05), (0.85, 0.8, 0.7), roughness=0.25, texture="stripes", scale=0.5)
    leaves = Material("leaves", (0.06, 0.16, 0.04), (0.16, 0.3, 0.07), roughness=0.7, texture="clouds", scale=8)
    daylight = Material("daylight", emission=(7.0, 8.3, 10.0))
    globe = Material("globe", emission=(17.0, 10.5, 5.0))

    shapes = [
        box((0, -0.05, 0), (6.2, 0.1, 7.2), oak),
        box((0, 2.85, 0), (6.2, 0.1, 7.2), plaster),
        box((0, 1.4, -3.05), (6.2, 2.9, 0.1), teal),
        box((0, 1.4, 3.55), (6.2, 2.9, 0.1), plaster),
        box((-3.05, 1.4, 0), (0.1, 2.9, 7.2), plaster),
        box((3.05, 1.4, 0), (0.1, 2.9, 7.2), terracotta),
        box((0, 0.06, -2.985), (6.1, 0.12, 0.03), WHITE),
        # window with its frame and sill
        panel((-2.99, 1.5, -0.4), (1, 0, 0), (2.6, 1.7), daylight),
        *[box((-2.95, 1.5, z), (0.08, 1.76, 0.06), BLACK) for z in (-1.73, -0.4, 0.93)],
        *[box((-2.95, y, -0.4), (0.08, 0.06, 2.7), BLACK) for y in (2.36, 1.5, 0.66)],
        box((-2.9, 0.6, -0.4), (0.26, 0.05, 2.9), walnut),
        # sideboard and what stands on it
        box((0.75, 0.5, -2.68), (2.5, 0.55, 0.55), walnut),
        box((0.75, 0.5, -2.4), (0.015, 0.5, 0.012), BRASS),
        *[cylinder((x, 0, z), 0.03, 0.23, BRASS) for x in (-0.35, 1.85) for z in (-2.85, -2.5)],
        ellipsoid((-0.1, 1.03, -2.68), (0.19, 0.27, 0.19), ceramic),
        sphere((0.55, 0.9, -2.6), 0.14, GOLD),
        box((1.1, 0.81, -2.65), (0.4, 0.07, 0.27), terracotta, 12),
        box((1.1, 0.87, -2.66), (0.36, 0.05, 0.25), WHITE, -4),
        box((1.12, 0.92, -2.65), (0.33, 0.05, 0.22), teal, 20),
        cylinder((1.7, 0.77, -2.68), 0.1, 0.03, BRASS),
        cylinder((1.7, 0.8, -2.68), 0.012, 0.25, BRASS),
        sphere((1.7, 1.2, -2.68), 0.19, globe),
        # paintings
        box((0.15, 1.95, -2.97), (0.84, 0.84, 0.04), BRASS),
        box((0.15, 1.95, -2.955), (0.76, 0.76, 0.04), paint_a),
        box((-1.0, 1.85, -2.97), (0.64, 0.94, 0.04), BLACK),
        box((-1.0, 1.85, -2.955), (0.57, 0.87, 0.04), paint_b),
        # armchair
        *moved(
            [
                box((0, 0.3, 0), (0.8, 0.24, 0.8), mustard),
                box((0, 0.65, -0.36), (0.9, 0.75, 0.16), mustard),
                box((-0.45, 0.45, 0), (0.14, 0.45, 0.84), mustard),
                box((0.45, 0.45, 0), (0.14, 0.45, 0.84), mustard),
                ellipsoid((0.03, 0.6, -0.18), (0.27, 0.22, 0.1), linen),
                *[cylinder((x, 0, z), 0.025, 0.18, BLACK) for x in (-0.4, 0.4) for z in (-0.3, 0.32)],
            ],
            translation((-1.75, 0, -1.85)),
            rotation("y", 38),
        ),
        # round table on a round rug
        cylinder((0.25, 0, -0.85), 1.45, 0.02, rug),
        cylinder((0.3, 0.4, -0.95), 0.55, 0.04, marble),
        cylinder((0.3, 0.02, -0.95), 0.05, 0.38, BLACK),
        cylinder((0.3, 0.02, -0.95), 0.3, 0.02, BLACK),
        sphere((0.12, 0.56, -1.0), 0.12, CHROME),
        box((0.5, 0.5, -0.85), (0.12, 0.12, 0.12), paint_b, 30),
        sphere((-0.95, 0.2, 0.0), 0.18, ball),
        # plant pot with a topiary
        cylinder((2.35, 0, -2.3), 0.24, 0.42, WHITE),
        cylinder((2.35, 0.42, -2.3), 0.03, 0.5, walnut),
        sphere((2.35, 1.15, -2.3), 0.38, leaves),
    ]
    angle = radians(0.35 * frame - 12)
    camera = Camera((0.3 + 4 * sin(angle), 1.4, -1.2 + 4 * cos(angle)), (0.15, 0.98, -1.5), 46)
    return View(camera, shapes)


def gloss(frame: int) -> View:
    """A dark studio: coloured tubes of light in a polished floor, and everything from mirror to satin."""
    floor = Material(
        "floor", (0.025, 0.03, 0.04), (0.42, 0.42, 0.44), 0.1, 0.28, f0=0.06, texture="checker", scale=1.25
    )
    wall = Material("wall", (0.34, 0.34, 0.37), (0.2, 0.2, 0.22), 0.5, 0.7, texture="bricks", scale=1.1)
    mirror = Material("mirror", (0.9, 0.91, 0.92), roughness=0.04, metal=True)
    copper = Material("copper", (0.95, 0.6, 0.44), roughness=0.16, metal=True)
    brushed = Material(
        "brushed", (0.72, 0.74, 0.8), (0.55, 0.57, 0.62), 0.2, 0.45, metal=True, texture="stripes", scale=1
    )
    lacquer = Material("lacquer", (0.62, 0.02, 0.03), roughness=0.07, f0=0.05)
    jade = Material("jade", (0.05, 0.32, 0.2), (0.2, 0.5, 0.34), 0.2, texture="marble", scale=0.5)
    ivory = Material("ivory", (0.75, 0.7, 0.6), (0.02, 0.02, 0.025), 0.14, texture="dots", scale=1.5)
    cyan = Material("cyan light", emission=(0.15, 2.6, 4.4))
    magenta = Material("magenta light", emission=(4.6, 0.25, 2.2))
    amber = Material("amber light", emission=(6.0, 2.6, 0.35))
    cyan_wash = Material("cyan wash", emission=(0.5, 8.0, 13.0))
    magenta_wash = Material("magenta wash", emission=(13.0, 0.8, 6.0))
    softbox = Material("softbox", emission=(3.4, 3.3, 3.2))

    shapes = [
        box((0, -0.05, 0), (24, 0.1, 14), floor),
        box((0, 2.4, -3.6), (24, 4.9, 0.1), wall),
        panel((0.4, 3.6, 0.6), (0, -1, 0), (3.2, 1.6), softbox),
        panel((-2.75, 1.5, -3.25), (0.3, 0, 1), (0.3, 2.8), cyan),
        panel((2.85, 1.5, -3.25), (-0.3, 0, 1), (0.3, 2.8), magenta),
        panel((0.1, 2.55, -3.54), (0, 0, 1), (2.9, 0.22), amber),
        # hidden lights that wash the wall
        panel((-2.3, 0.06, -2.75), (0, 0.6, -1), (3.0, 0.5), cyan_wash),
        panel((2.2, 0.06, -2.75), (0, 0.6, -1), (3.0, 0.5), magenta_wash),
        # a mirror that leans behind the others
        *moved(
            [box((0, 1, 0), (1.3, 2, 0.06), mirror), box((0, 1, -0.05), (1.42, 2.12, 0.06), BLACK)],
            translation((-1.55, 0.04, -2.2)),
            rotation("y", 28),
            rotation("x", -8),
        ),
        # spheres from mirror to satin
        sphere((-0.35, 0.62, -0.9), 0.62, CHROME),
        sphere((0.85, 0.4, -0.35), 0.4, copper),
        sphere((-1.35, 0.34, 0.25), 0.34, jade),
        sphere((0.1, 0.23, 0.55), 0.23, GOLD),
        sphere((1.55, 0.26, 0.5), 0.26, ivory, 3.0 * frame),
        sphere((-0.62, 0.16, 0.95), 0.16, lacquer),
        sphere((2.35, 0.5, -1.35), 0.5, brushed),
        # plinths, columns and blocks
        box((1.45, 0.45, -1.9), (0.9, 0.9, 0.9), lacquer, 22),
        sphere((1.45, 1.22, -1.9), 0.32, mirror),
        cylinder((0.35, 0, -2.5), 0.22, 1.7, brushed),
        cylinder((-2.6, 0, -0.9), 0.3, 0.7, BRASS),
        ellipsoid((-2.6, 0.98, -0.9), (0.2, 0.28, 0.2), lacquer),
        box((2.5, 0.12, 0.3), (0.5, 0.24, 0.5), BRASS, 35),
        box((-1.95, 0.1, 1.0), (0.42, 0.2, 0.42), jade, 15),
    ]
    angle = radians(-14 + 0.7 * frame)
    camera = Camera((5.6 * sin(angle), 1.35 - 0.006 * frame, -0.7 + 5.6 * cos(angle)), (0.1, 0.72, -0.8), 40)
    sky = Sky(zenith=(0.02, 0.025, 0.05), horizon=(0.05, 0.05, 0.08), ground=(0.01, 0.01, 0.01))
    return View(camera, shapes, sky)


def motion(frame: int) -> View:
    """A sunlit court where things slide, roll, spin, swing and orbit before and behind one another."""
    paving = Material("paving", (0.5, 0.4, 0.32), (0.3, 0.23, 0.18), 0.55, texture="tiles", scale=1.4)
    wall = Material("wall", (0.66, 0.27, 0.18), (0.74, 0.4, 0.29), roughness=1, f0=0, texture="bricks", scale=1.6)
    stucco = Material("stucco", (0.84, 0.79, 0.7), (0.78, 0.72, 0.62), roughness=1, f0=0, texture="clouds", scale=2)
    column = Material("column", (0.82, 0.8, 0.74), (0.6, 0.58, 0.53), 0.35, texture="stripes", scale=2)
    checks = Material("checks", (0.86, 0.83, 0.76), (0.05, 0.28, 0.34), 0.25, texture="checker", scale=1)
    spots = Material("spots", (0.8, 0.16, 0.08), (0.88, 0.82, 0.7), 0.4, texture="dots", scale=4)
    bands = Material("bands", (0.86, 0.6, 0.12), (0.1, 0.12, 0.2), 0.3, texture="stripes", scale=3)
    blue = Material("blue", (0.05, 0.16, 0.45), (0.85, 0.84, 0.8), 0.3, texture="checker", scale=5)
    tree = Material("tree", (0.04, 0.11, 0.04), (0.1, 0.2, 0.05), roughness=1, f0=0, texture="clouds", scale=5)

    roll = 2.4 * wave(frame, 96, -0.25)  # the ball's way along x; it turns by as much as it rolls
    slide = 2.1 * wave(frame, 56)
    swing = 32 * wave(frame, 40, 0.2)
    orbit = radians(7 * frame)
    shapes = [
        box((0, -0.05, 0), (16, 0.1, 14), paving),
        box((0, 1.4, -3.6), (16, 2.8, 0.3), wall),
        box((0, 2.87, -3.58), (16, 0.16, 0.5), stucco),
        box((-2.3, 0.14, -2.55), (5.4, 0.28, 1.6), stucco),
        box((-2.3, 0.36, -2.8), (5.4, 0.2, 1.1), stucco),
        *[cylinder((x, 0.46, -2.75), 0.17, 2.0, column) for x in (-4.4, -3.0, -1.6, -0.2)],
        *[box((x, 2.5, -2.75), (0.46, 0.1, 0.46), stucco) for x in (-4.4, -3.0, -1.6, -0.2)],
        box((-2.3, 2.62, -2.75), (4.9, 0.18, 0.5), stucco),
        cylinder((3.7, 0, -2.4), 0.1, 0.9, BLACK),
        ellipsoid((3.7, 1.65, -2.4), (0.55, 1.0, 0.55), tree),
        # rolls before everything
        *moved([sphere((0, 0, 0), 0.36, checks)], translation((roll, 0.36, 1.1)), rotation("z", -degrees(roll / 0.36))),
        # slides before the columns
        box((-2.3 + slide, 0.82, -2.05), (0.5, 0.72, 0.42), spots),
        # spins on a plinth
        box((1.5, 0.35, -0.6), (0.8, 0.7, 0.8), stucco),
        *moved(
            [box((0, 0, 0), (0.62, 0.62, 0.62), blue)],
            translation((1.5, 1.28, -0.6)),
            rotation("y", 6.0 * frame),
            rotation("x", 35),
            rotation("z", 45),
        ),
        # orbits the spinning cube
        *[
            sphere((1.5 + 0.95 * cos(turn), 1.25 + 0.2 * sin(turn), -0.6 + 0.95 * sin(turn)), 0.14, material)
            for turn, material in ((orbit, GOLD), (orbit + 2.1, CHROME), (orbit + 4.2, bands))
        ],
        # swings from a beam
        *[box((x, 1.25, 0.1), (0.1, 2.5, 0.1), BLACK) for x in (-2.05, -0.35)],
        box((-1.2, 2.5, 0.1), (1.9, 0.1, 0.1), BLACK),
        *moved(
            [cylinder((0, -1.3, 0), 0.012, 1.3, BRASS), sphere((0, -1.5, 0), 0.26, bands)],
            translation((-1.2, 2.45, 0.1)),
            rotation("z", swing),
        ),
    ]
    camera = Camera((0.3, 1.75, 5.6), (-0.15, 1.1, -1.0), 42)
    sky = Sky(zenith=(0.16, 0.36, 0.95), horizon=(0.58, 0.78, 1.05), ground=(0.3, 0.25, 0.2))
    return View(camera, shapes, sky, Sun((0.62, 0.72, 0.5), (10.0, 8.4, 6.3), 0.02))


SWITCHES = 10, 20  # first frames with the light off, and on again


def switch(frame: int) -> View:
    """A gallery at night whose ceiling light goes out, leaving a lamp and the blue of the window, and comes back."""
    lit = 0.0 if SWITCHES[0] <= frame < SWITCHES[1] else 1.0
    parquet = Material("parquet", (0.34, 0.2, 0.1), (0.2, 0.1, 0.05), 0.28, 0.4, texture="planks", scale=5)
    wall = Material("wall", (0.72, 0.71, 0.69), (0.68, 0.67, 0.65), roughness=1, f0=0, texture="clouds", scale=1)
    accent = Material("accent", (0.3, 0.07, 0.09), (0.26, 0.06, 0.08), roughness=1, f0=0, texture="clouds", scale=2)
    marble = Material("marble", (0.82, 0.81, 0.79), (0.28, 0.3, 0.34), 0.18, texture="marble", scale=1.3)
    canvas_a = Material("canvas a", (0.88, 0.8, 0.62), (0.07, 0.16, 0.33), 0.7, texture="dots", scale=4)
    canvas_b = Material("canvas b", (0.1, 0.1, 0.12), (0.85, 0.55, 0.12), 0.6, texture="rings", scale=4)
    canvas_c = Material("canvas c", (0.84, 0.8, 0.72), (0.68, 0.12, 0.08), 0.7, texture="stripes", scale=6)
    ceiling = Material("ceiling light", (0.8, 0.8, 0.8), emission=(7.5 * lit, 6.9 * lit, 6.0 * lit))
    night = Material("night", emission=(0.45, 0.8, 1.8))
    lamp = Material("lamp", emission=(9.0, 4.3, 1.5))

    shapes = [
        box((0, -0.05, 0), (8.2, 0.1, 8.2), parquet),
        box((0, 3.25, 0), (8.2, 0.1, 8.2), wall),
        box((0, 1.6, -3.05), (8.2, 3.3, 0.1), accent),
        box((0, 1.6, 4.05), (8.2, 3.3, 0.1), wall),
        box((-3.55, 1.6, 0), (0.1, 3.3, 8.2), wall),
        box((3.55, 1.6, 0), (0.1, 3.3, 8.2), wall),
        panel((0, 3.18, -0.9), (0, -1, 0), (3.0, 1.4), ceiling),
        panel((3.48, 1.55, -0.9), (-1, 0, 0), (1.7, 2.1), night),
        *[box((3.44, 1.55, z), (0.08, 2.2, 0.06), BLACK) for z in (-1.75, -0.9, -0.05)],
        box((3.44, 1.55, -0.9), (0.08, 0.06, 1.75), BLACK),
        # pictures
        box((-1.75, 1.7, -2.98), (1.0, 1.3, 0.05), BLACK),
        box((-1.75, 1.7, -2.965), (0.9, 1.2, 0.05), canvas_a),
        box((0.0, 1.7, -2.98), (1.3, 1.3, 0.05), BLACK),
        box((0.0, 1.7, -2.965), (1.2, 1.2, 0.05), canvas_b),
        box((1.75, 1.7, -2.98), (1.0, 1.3, 0.05), BLACK),
        box((1.75, 1.7, -2.965), (0.9, 1.2, 0.05), canvas_c),
        # sculptures
        box((-1.5, 0.4, -1.2), (0.7, 0.8, 0.7), marble),
        sphere((-1.5, 1.17, -1.2), 0.37, GOLD),
        box((0.15, 0.25, -1.5), (0.8, 0.5, 0.8), BLACK),
        *moved(
            [
                box((0, 0.27, 0), (0.54, 0.54, 0.54), marble),
                box((0, 0.72, 0), (0.36, 0.36, 0.36), BRASS, 30),
                box((0, 1.02, 0), (0.24, 0.24, 0.24), WHITE, 60),
                sphere((0, 1.26, 0), 0.12, CHROME),
            ],
            translation((0.15, 0.5, -1.5)),
            rotation("y", 1.5 * frame),
        ),
        cylinder((1.75, 0, -1.3), 0.36, 0.75, marble),
        ellipsoid((1.75, 1.2, -1.3), (0.3, 0.45, 0.3), CHROME),
        # a bench and a floor lamp
        box((-0.2, 0.42, 0.6), (1.7, 0.08, 0.5), WHITE),
        *[box((x, 0.19, 0.6), (0.07, 0.38, 0.46), BLACK) for x in (-0.9, 0.5)],
        cylinder((-2.75, 0, -1.9), 0.16, 0.03, BRASS),
        cylinder((-2.75, 0.03, -1.9), 0.015, 1.4, BRASS),
        sphere((-2.75, 1.62, -1.9), 0.22, lamp),
    ]
    return View(Camera((0.55, 1.5, 3.9), (-0.05, 1.15, -1.5), 46), shapes)


def shadows(frame: int) -> View:
    """A terrace late in the afternoon: a fence, a trellis that the sun grazes, a bough above, a lantern in a niche.

    The windmill turns, the ball rolls, the bough sways and the lantern swings; the camera stands still for 24 frames
    and then drifts to the right.
    """
    paving = Material("paving", (0.5, 0.42, 0.34), (0.28, 0.22, 0.17), 0.6, texture="tiles", scale=1.5)
    plaster = Material("plaster", (0.72, 0.52, 0.33), (0.64, 0.44, 0.27), roughness=1, f0=0, texture="clouds", scale=2)
    brick = Material("brick", (0.46, 0.2, 0.13), (0.56, 0.32, 0.22), roughness=1, f0=0, texture="bricks", scale=1.8)
    stone = Material("stone", (0.74, 0.71, 0.66), (0.62, 0.59, 0.54), roughness=0.7, texture="clouds", scale=3)
    blue = Material("blue", (0.09, 0.24, 0.36), (0.11, 0.28, 0.4), roughness=0.5, texture="clouds", scale=5)
    clay = Material("clay", (0.58, 0.24, 0.12), (0.5, 0.2, 0.1), roughness=1, f0=0, texture="clouds", scale=6)
    wood = Material("wood", (0.42, 0.25, 0.13), (0.32, 0.18, 0.09), 0.5, texture="planks", scale=9)
    leaves = Material("leaves", (0.06, 0.15, 0.04), (0.14, 0.25, 0.06), roughness=1, f0=0, texture="clouds", scale=7)
    ball = Material("ball", (0.75, 0.12, 0.06), (0.86, 0.82, 0.72), roughness=0.3, texture="stripes", scale=0.75)
    bulb = Material("bulb", emission=(40.0, 22.0, 9.0), glow=True)

    sway = 0.12 * wave(frame, 64)
    roll = 1.5 * wave(frame, 120, -0.1)
    swing = 7.0 * wave(frame, 56)
    hook = (2.45, 2.5, -3.75)
    lantern = moved(
        [
            cylinder((0, -0.5, 0), 0.008, 0.5, BLACK),
            box((0, -0.5, 0), (0.26, 0.03, 0.26), BLACK),
            *[box((x, -0.68, z), (0.014, 0.36, 0.014), BLACK) for x in (-0.11, 0.11) for z in (-0.11, 0.11)],
            box((0, -0.86, 0), (0.26, 0.02, 0.26), BLACK),
            sphere((0, -0.69, 0), 0.06, bulb),
        ],
        translation(hook),
        rotation("z", swing),
    )
    bough = [
        (-0.6, 0.1, 0.5),
        (-0.1, 0.5, -0.3),
        (0.35, -0.2, 0.2),
        (0.8, 0.3, -0.4),
        (1.1, -0.1, 0.4),
        (0.1, 0.2, 1.0),
    ]

    shapes = [
        box((0, -0.05, 0), (18, 0.1, 16), paving),
        # the wall, its niche and what crowns it
        box((-2.7, 1.2, -3.15), (7.6, 2.4, 0.3), plaster),
        box((4.9, 1.2, -3.15), (2.0, 2.4, 0.3), plaster),
        box((1.0, 1.2, -3.95), (0.2, 2.4, 1.9), plaster),
        box((4.0, 1.2, -3.95), (0.2, 2.4, 1.9), plaster),
        box((2.5, 1.2, -4.85), (3.2, 2.4, 0.1), brick),
        box((2.5, 2.5, -3.9), (3.4, 0.14, 2.0), stone),
        box((-2.75, 2.46, -3.12), (7.7, 0.12, 0.46), stone),
        box((4.95, 2.46, -3.12), (2.1, 0.12, 0.46), stone),
        # a trellis that stands off the wall by a hand
        *[box((x, 1.2, -2.93), (0.03, 1.7, 0.02), wood) for x in (-3.1, -2.75, -2.4, -2.05, -1.7)],
        *[box((-2.4, y, -2.91), (1.6, 0.03, 0.02), wood) for y in (0.5, 0.95, 1.4, 1.85)],
        # the fence
        *[box((-2.85, 0.5, -2.5 + 0.27 * i), (0.03, 1.0, 0.07), WHITE) for i in range(18)],
        *[box((-2.88, y, -0.2), (0.03, 0.07, 4.8), WHITE) for y in (0.3, 0.8)],
        # a bench of slats
        *[box((-0.55, 0.44, -2.55 + 0.11 * i), (1.5, 0.03, 0.07), wood) for i in range(4)],
        *[box((x, 0.21, -2.39), (0.06, 0.42, 0.4), BLACK) for x in (-1.15, 0.05)],
        # niche: a table, a chair with a back of slats, a jug
        cylinder((2.55, 0.7, -4.05), 0.42, 0.03, stone),
        cylinder((2.55, 0, -4.05), 0.04, 0.7, BLACK),
        ellipsoid((2.6, 0.9, -4.1), (0.11, 0.17, 0.11), blue),
        sphere((2.33, 0.79, -3.95), 0.06, ball),
        *moved(
            [
                box((0, 0.43, 0), (0.44, 0.04, 0.44), blue),
                *[box((x, 0.22, z), (0.04, 0.44, 0.04), blue) for x in (-0.2, 0.2) for z in (-0.2, 0.2)],
                *[box((-0.18 + 0.12 * i, 0.72, 0.2), (0.03, 0.55, 0.02), blue) for i in range(4)],
                box((0, 0.98, 0.2), (0.44, 0.06, 0.03), blue),
            ],
            translation((3.0, 0, -3.15)),
            rotation("y", 24),
        ),
        *lantern,
        # pots
        cylinder((0.6, 0, -2.6), 0.22, 0.36, clay),
        sphere((0.6, 0.66, -2.6), 0.36, leaves),
        cylinder((4.3, 0, -2.45), 0.26, 0.42, clay),
        ellipsoid((4.3, 1.1, -2.45), (0.34, 0.75, 0.34), leaves),
        # a sundial; cubes and balls that stand on the ground
        box((0.55, 0.06, -0.4), (0.8, 0.12, 0.8), stone, 30),
        cylinder((0.55, 0.12, -0.4), 0.17, 0.75, stone),
        cylinder((0.55, 0.87, -0.4), 0.3, 0.06, stone),
        *moved([box((0, 0.1, 0), (0.02, 0.3, 0.02), BRASS)], translation((0.5, 0.96, -0.4)), rotation("z", 35)),
        box((2.5, 0.15, -0.9), (0.3, 0.3, 0.3), blue, 20),
        sphere((2.95, 0.12, -0.65), 0.12, GOLD),
        *moved(
            [sphere((0, 0, 0), 0.26, ball)], translation((0.1 + roll, 0.26, 1.1)), rotation("z", -degrees(roll / 0.26))
        ),
        # the windmill
        cylinder((-1.55, 0, -1.75), 0.03, 1.85, WHITE),
        *moved(
            [
                box((0.06, 0.42, 0), (0.18, 0.62, 0.012), (clay, WHITE)[i % 2]).moved(rotation("z", 90 * i))
                for i in range(4)
            ],
            translation((-1.55, 1.85, -1.66)),
            rotation("y", -50),
            rotation("z", 5.0 * frame),
        ),
        sphere((-1.55, 1.85, -1.66), 0.06, BRASS),
        # a bough far above, and trees behind
        *[ellipsoid((-4.7 + x + sway, 5.2 + y, 1.5 + z), (0.3, 0.06, 0.2), leaves, 50 * x) for x, y, z in bough],
        *[ellipsoid((x, 2.0, z), (0.5, 2.4, 0.5), leaves) for x, z in ((-4.6, -6.5), (-2.9, -7.5), (5.6, -6))],
    ]
    drift = max(frame - 24, 0)
    camera = Camera((0.35 + 0.012 * drift, 1.75, 4.7), (0.3 + 0.004 * drift, 0.93, -1.5), 42)
    sky = Sky(zenith=(0.06, 0.3, 1.3), horizon=(1.15, 0.8, 0.55), ground=(0.2, 0.15, 0.1))
    sun = Sun((-0.72, 0.62, 0.13), (17.0, 11.0, 5.6), 0.02)
    x, y = hook[0] + 0.69 * sin(radians(swing)), hook[1] - 0.69 * cos(radians(swing))
    return View(camera, shapes, sky, sun, (Lamp("lantern", (x, y, hook[2]), 0.07, (11.0, 5.0, 1.5)),))


JUMP, SUNSET = 10, 22  # first frames with the caster elsewhere, and with the sun elsewhere


def jump(frame: int) -> View:
    """A ball and a grating that at once are elsewhere, and later a sun that is: nothing else ever moves."""
    floor = Material("floor", (0.42, 0.38, 0.33), (0.3, 0.27, 0.24), roughness=0.7, texture="tiles", scale=2)
    wall = Material("wall", (0.16, 0.3, 0.36), (0.13, 0.26, 0.32), roughness=1, f0=0, texture="clouds", scale=2)
    red = Material("red", (0.7, 0.14, 0.07), (0.6, 0.1, 0.05), roughness=0.4, texture="clouds", scale=4)
    wood = Material("wood", (0.42, 0.25, 0.13), (0.32, 0.18, 0.09), 0.5, texture="planks", scale=9)
    bulb = Material("bulb", emission=(5.0, 9.0, 14.0), glow=True)
    x = 0.75 if frame >= JUMP else -0.75
    lamp = (1.95, 1.0, 0.3)
    shapes = [
        box((0, -0.05, 0), (12, 0.1, 10), floor),
        box((0, 1.2, -2.05), (12, 2.4, 0.1), wall),
        sphere((x, 0.75, 0.5), 0.3, red),
        *[box((0.6 - x - 0.4 + 0.2 * i, 0.55, -0.7), (0.06, 1.1, 0.04), wood) for i in range(5)],
        cylinder((0.0, 0, -0.3), 0.14, 0.4, WHITE),
        sphere(lamp, 0.05, bulb),
    ]
    sun = Sun((0.75, 0.7, 0.25) if frame >= SUNSET else (-0.6, 0.75, 0.4), (12.0, 9.6, 7.0), 0.03)
    sky = Sky(zenith=(0.1, 0.2, 0.45), horizon=(0.3, 0.36, 0.45), ground=(0.15, 0.13, 0.1))
    camera = Camera((0.1, 1.9, 4.0), (0.1, 0.5, -0.6), 42)
    return View(camera, shapes, sky, sun, (Lamp("lamp", lamp, 0.08, (2.2, 4.2, 7.0)),))


def stained(frame: int) -> View:
    """A screen of coloured panes in the sun, and before a lamp a wheel of glass that turns."""
    floor = Material("floor", (0.6, 0.58, 0.54), (0.42, 0.4, 0.37), roughness=0.6, texture="tiles", scale=2)
    wall = Material("wall", (0.55, 0.53, 0.5), (0.5, 0.48, 0.45), roughness=1, f0=0, texture="clouds", scale=2)
    bulb = Material("bulb", emission=(18.0, 15.0, 11.0), glow=True)
    tints = {
        "ruby": (0.85, 0.04, 0.05),
        "amber": (0.95, 0.5, 0.05),
        "emerald": (0.05, 0.6, 0.16),
        "cobalt": (0.06, 0.14, 0.8),
        "violet": (0.45, 0.08, 0.6),
    }
    glass = [
        Material(name, (0.5 * r, 0.5 * g, 0.5 * b), roughness=0.1, transmission=(r, g, b))
        for name, (r, g, b) in tints.items()
    ]
    lamp = (2.0, 0.9, 0.2)
    panes = [(i, j) for i in range(4) for j in range(3)]
    wheel = moved(
        [
            *[box((0, 0.3, 0), (0.26, 0.3, 0.015), pane).moved(rotation("z", 72 * i)) for i, pane in enumerate(glass)],
            sphere((0, 0, 0), 0.06, BRASS),
        ],
        translation((1.5, 0.8, -0.6)),
        rotation("y", -35),
        rotation("z", 2.5 * frame),
    )
    shapes = [
        box((0, -0.05, 0), (12, 0.1, 10), floor),
        box((0, 1.5, -2.05), (12, 3.0, 0.1), wall),
        *[
            box((-2.0, 0.55 + 0.5 * j, -0.9 + 0.5 * i), (0.02, 0.46, 0.46), glass[(2 * i + j) % len(glass)])
            for i, j in panes
        ],
        *[box((-2.0, 1.05, -1.15 + 0.5 * i), (0.05, 1.6, 0.04), BLACK) for i in range(5)],
        *[box((-2.0, 0.3 + 0.5 * j, -0.15), (0.05, 0.04, 2.04), BLACK) for j in range(4)],
        *wheel,
        cylinder((0.1, 0, -0.6), 0.25, 0.7, WHITE),
        sphere((0.1, 0.95, -0.6), 0.25, WHITE),
        cylinder((lamp[0], 0, lamp[2]), 0.02, 0.8, BLACK),
        sphere(lamp, 0.05, bulb),
    ]
    sun = Sun((-0.8, 0.62, 0.2), (11.0, 9.8, 8.2), 0.02)
    sky = Sky(zenith=(0.08, 0.11, 0.2), horizon=(0.15, 0.17, 0.22), ground=(0.08, 0.08, 0.08))
    camera = Camera((0.4, 1.9, 3.9), (0.05, 0.6, -0.5), 42)
    return View(camera, shapes, sky, sun, (Lamp("lamp", lamp, 0.06, (9.0, 7.8, 6.0)),))


CHANGE = 12  # first frame under other light, or seen by another camera, of the scenes of the studio

DAYLIGHT, WARM, COOL = (5.0, 4.8, 4.4), (16.0, 8.0, 3.0), (4.0, 9.0, 15.0)


FRONT = Camera((0.25, 1.35, 2.8), (0.0, 0.95, -0.8), 46)


def _studio(
    ceiling: Rgb = DAYLIGHT,
    left: Rgb = WARM,
    right: Rgb = COOL,
    *things: Shape,
    camera: Camera = FRONT,
) -> View:
    """A small room to try light in: a light in the ceiling, two globes, a mirror, polished planks; and more things."""
    plaster = Material("plaster", (0.74, 0.72, 0.69), (0.68, 0.66, 0.63), roughness=1, f0=0, texture="clouds", scale=2)
    green = Material("green", (0.16, 0.33, 0.22), (0.13, 0.28, 0.19), roughness=1, f0=0, texture="clouds", scale=2)
    planks = Material("planks", (0.42, 0.26, 0.14), (0.26, 0.14, 0.07), 0.25, 0.4, texture="planks", scale=6)
    mirror = Material("mirror", (0.9, 0.91, 0.92), roughness=0.05, metal=True)
    marble = Material("marble", (0.82, 0.81, 0.79), (0.28, 0.3, 0.34), 0.18, texture="marble", scale=1.3)
    checks = Material("checks", (0.86, 0.83, 0.76), (0.55, 0.1, 0.07), 0.5, texture="checker", scale=1)
    shapes = [
        box((0, -0.05, 0.5), (6.2, 0.1, 6.2), planks),
        box((0, 2.65, 0.5), (6.2, 0.1, 6.2), plaster),
        box((0, 1.3, -2.45), (6.2, 2.7, 0.1), green),
        box((0, 1.3, 3.65), (6.2, 2.7, 0.1), plaster),
        *[box((x, 1.3, 0.5), (0.1, 2.7, 6.2), plaster) for x in (-3.05, 3.05)],
        panel((0.3, 2.59, -0.6), (0, -1, 0), (1.0, 0.8), Material("ceiling light", emission=ceiling)),
        sphere((-1.75, 1.05, -1.3), 0.16, Material("left globe", emission=left)),
        cylinder((-1.75, 0, -1.3), 0.03, 0.9, BRASS),
        sphere((1.95, 1.05, -1.5), 0.16, Material("right globe", emission=right)),
        cylinder((1.95, 0, -1.5), 0.03, 0.9, BRASS),
        box((-0.55, 1.25, -2.38), (1.3, 1.5, 0.04), mirror),
        box((0.2, 0.3, -0.9), (0.9, 0.6, 0.6), marble, 15),
        sphere((0.05, 0.84, -0.9), 0.24, checks),
        sphere((0.45, 0.73, -0.75), 0.13, GOLD),
        sphere((-1.0, 0.3, -0.3), 0.3, WHITE),
        sphere((1.2, 0.28, -0.4), 0.28, CHROME),
    ]
    return View(camera, [*shapes, *things])


def _lit(color: Rgb, by: float) -> Rgb:
    return color[0] * by, color[1] * by, color[2] * by


def _at(level: float) -> View:
    """All lights by that factor."""
    return _studio(_lit(DAYLIGHT, level), _lit(WARM, level), _lit(COOL, level))


def lamps(frame: int) -> View:
    """The left globe goes out."""
    return _studio(_lit(DAYLIGHT, 0.2), _lit(WARM, frame < CHANGE))


def colour(frame: int) -> View:
    """All light turns from amber to blue of the same luminance."""
    light = (7.7, 4.2, 1.9) if frame < CHANGE else (1.9, 5.1, 10.5)
    return _studio(light, light, light)


def dark(frame: int) -> View:
    """No light at all until the globes and the ceiling are switched on."""
    return _at(frame >= CHANGE)


def torch(frame: int) -> View:
    """A small light flies before the wall, and its pool of light with it."""
    place = 2.2 * wave(frame, 96, -0.15), 1.45 + 0.3 * wave(frame, 40), -1.6
    spark = sphere(place, 0.13, Material("spark", emission=(24.0, 17.0, 8.0)))
    return _studio(_lit(DAYLIGHT, 0.1), _lit(WARM, 0.15), _lit(COOL, 0.15), spark)


def edge(frame: int) -> View:
    """A board slides along the wall, in light from the side, and its shadow before it."""
    window = panel((2.96, 1.5, 1.3), (-1, 0, -0.4), (1.2, 1.4), Material("window", emission=(18.0, 16.0, 13.5)))
    board = box((1.1 + 1.2 * wave(frame, 96), 1.3, -1.5), (0.8, 1.3, 0.04), BLACK)
    return _studio(_lit(DAYLIGHT, 0.15), _lit(WARM, 0.1), _lit(COOL, 0.1), window, board)


def mirror(frame: int) -> View:
    """A ball flies to and fro before the mirror, which stands still."""
    ball = Material("ball", (0.9, 0.25, 0.05), (0.95, 0.9, 0.8), 0.5, texture="stripes", scale=1)
    x = -0.9 + 0.8 * wave(frame, 40)
    return _studio(DAYLIGHT, _lit(WARM, 0.5), _lit(COOL, 0.5), sphere((x, 1.3, 0.3), 0.2, ball))


def flicker(frame: int) -> View:
    """The ceiling light is at full power in one frame of three only."""
    return _studio(_lit(DAYLIGHT, 1.0 if frame < CHANGE or frame % 3 == 0 else 0.25), _lit(WARM, 0.3), _lit(COOL, 0.3))


def fade(frame: int) -> View:
    """All light halves every four frames."""
    return _at(0.5 ** (max(frame - CHANGE + 1, 0) / 4))


def cut(frame: int) -> View:
    """The picture cuts to another camera."""
    return _studio(camera=FRONT if frame < CHANGE else Camera((-2.4, 1.7, 1.6), (0.6, 0.7, -1.2), 40))


def tenfold(frame: int) -> View:
    """All light is ten times as bright for some frames, as if the exposure had changed."""
    return _at(10 if SWITCHES[0] <= frame < SWITCHES[1] else 1)


SCENES = {
    scene.name: scene
    for scene in (
        Scene("room", "Daylight and a globe lamp in a furnished room; the camera circles slowly.", room, exposure=1.7),
        Scene(
            "gloss",
            "Coloured lights in a polished floor, mirrors and metals; the camera circles and rays are jittered.",
            gloss,
            jitter=True,
            exposure=3.0,
        ),
        Scene(
            "motion",
            "A sunlit court where things slide, roll, spin, swing and orbit; the camera stands still.",
            motion,
            exposure=0.6,
        ),
        Scene(
            "switch",
            "A gallery whose ceiling light goes out and comes back; the camera stands still.",
            switch,
            lighting_changes=SWITCHES,
            exposure=1.8,
        ),
        Scene(
            "shadows",
            "A terrace with a low sun, a lantern that swings and things that move; the camera starts to drift at 24.",
            shadows,
            num_frames=48,
            exposure=0.6,
        ),
        Scene(
            "jump",
            "Casters jump, later the sun does; the camera stands still.",
            jump,
            num_frames=34,
            lighting_changes=(JUMP, SUNSET),
            exposure=0.5,
        ),
        Scene("stained", "Sun and a lamp through coloured glass; the camera stands still.", stained, exposure=0.5),
        # In the studio, where nothing but what is said here changes
        Scene("lamps", "One globe of three lights goes out.", lamps, lighting_changes=(CHANGE,), exposure=4.0),
        Scene("colour", "Amber light turns blue, as bright.", colour, lighting_changes=(CHANGE,), exposure=2.5),
        Scene("dark", "A black room is lit.", dark, lighting_changes=(CHANGE,), exposure=2.5),
        Scene("torch", "A small light flies before still things.", torch, exposure=4.0),
        Scene("edge", "A board slides along a wall, and its shadow with it.", edge, exposure=2.5),
        Scene("mirror", "A ball flies before a mirror.", mirror, exposure=2.5),
        Scene(
            "flicker",
            "The ceiling light flickers at 10 Hz.",
            flicker,
            lighting_changes=tuple(frame for frame in range(CHANGE + 1, 28) if frame % 3 < 2),
            exposure=4.0,
        ),
        Scene("fade", "All light fades, by half every four frames.", fade, lighting_changes=(CHANGE,), exposure=4.0),
        Scene("cut", "The picture cuts to another camera.", cut, lighting_changes=(CHANGE,), exposure=2.5),
        Scene("tenfold", "All light is tenfold for ten frames.", tenfold, lighting_changes=SWITCHES, exposure=0.8),
    )
}
