# SPDX-License-Identifier: Apache-2.0
"""The built-in scenes, a page each: a function of the frame number that says where everything is and what it is made of."""

from __future__ import annotations

from math import cos, radians, sin

from .scene import (
    Camera,
    Material,
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
    plaster = Material("plaster", (0.8, 0.77, 0.71), (0.74, 0.71, 0.65), roughness=0.8, texture="clouds", scale=1.5)
    teal = Material("teal", (0.06, 0.21, 0.22), (0.075, 0.24, 0.25), roughness=0.55, texture="clouds", scale=3)
    terracotta = Material("terracotta", (0.66, 0.2, 0.09), (0.6, 0.17, 0.08), roughness=0.7, texture="clouds", scale=2)
    oak = Material("oak", (0.5, 0.3, 0.15), (0.3, 0.16, 0.07), 0.32, 0.45, texture="planks", scale=6)
    walnut = Material("walnut", (0.24, 0.12, 0.06), (0.14, 0.065, 0.03), 0.35, texture="planks", scale=9)
    rug = Material("rug", (0.78, 0.72, 0.6), (0.12, 0.17, 0.33), roughness=1, f0=0, texture="rings", scale=0.8)
    marble = Material("marble", (0.85, 0.84, 0.82), (0.3, 0.32, 0.35), roughness=0.15, texture="marble", scale=1.5)
    mustard = Material("mustard", (0.72, 0.43, 0.06), (0.6, 0.34, 0.05), roughness=0.9, f0=0.02, texture="clouds", scale=8)
    linen = Material("linen", (0.74, 0.7, 0.62), (0.16, 0.3, 0.36), roughness=0.95, f0=0.02, texture="stripes", scale=2)
    ceramic = Material("ceramic", (0.85, 0.86, 0.88), (0.05, 0.13, 0.42), roughness=0.12, texture="stripes", scale=2.5)
    paint_a = Material("painting a", (0.85, 0.78, 0.62), (0.75, 0.2, 0.1), roughness=0.6, texture="rings", scale=5)
    paint_b = Material("painting b", (0.9, 0.84, 0.7), (0.1, 0.22, 0.36), roughness=0.6, texture="checker", scale=7)
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
        *[box((-2.95, 1.5, z), (0.08, 1.76, 0.07), WHITE) for z in (-1.73, -0.4, 0.93)],
        *[box((-2.95, y, -0.4), (0.08, 0.07, 2.7), WHITE) for y in (2.36, 1.5)],
        box((-2.9, 0.63, -0.4), (0.26, 0.05, 2.9), WHITE),
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
        sphere((-0.95, 0.2, 0.0), 0.18, Material("ball", (0.8, 0.1, 0.05), (0.85, 0.8, 0.7), 0.25, texture="stripes", scale=0.5)),
        # plant pot with a topiary
        cylinder((2.35, 0, -2.3), 0.24, 0.42, WHITE),
        cylinder((2.35, 0.42, -2.3), 0.03, 0.5, walnut),
        sphere((2.35, 1.15, -2.3), 0.38, Material("leaves", (0.06, 0.16, 0.04), (0.16, 0.3, 0.07), 0.7, texture="clouds", scale=8)),
    ]
    angle = radians(24 + 0.5 * frame)
    camera = Camera((0.2 + 3.6 * sin(angle), 1.45, -0.7 + 3.6 * cos(angle)), (-0.15, 0.95, -1.5), 48)
    return View(camera, shapes)


SCENES = {
    scene.name: scene
    for scene in (
        Scene("room", "Daylight and a globe lamp in a furnished room; the camera circles slowly.", room, exposure=0.9),
    )
}
