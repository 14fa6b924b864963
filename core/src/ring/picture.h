/* A ring as a picture (SVG). */
#ifndef RING_PICTURE_H
#define RING_PICTURE_H

#include "ring/ring.h"

qrt_status ring_picture(const struct ring *r, struct buffer *out, struct error *e);

#endif
