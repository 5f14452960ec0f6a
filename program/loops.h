/* Numbers, stored weights and random bits of the training program, for a core with a floating-point unit and, with FIXED, for
   one without: s16.15 numbers, products through 64 bits. */
#pragma once
#include <stdint.h>

/* The same text serves twice: for counting cycles (`python -m program.derive`), and, with EXACT, in the program that `neurosim export --format c`
   writes, where every sum has the simulator's bits: fused products only where it has them (-ffp-contract=off), its roundings, its draws. */
#define FREE 0xFFFFu /* pre index of a slot that is not in use */
#define INLINE static inline __attribute__((always_inline))
#define RARE(condition) __builtin_expect(!!(condition), 0)

typedef uint16_t index_t;

#ifdef FIXED
typedef int32_t num;
#define ONE 32768
#define TIMES(a, b) ((num)(((int64_t)(a) * (b)) >> 15))
#define NEGATED(value, minus) (((value) ^ (minus)) - (minus)) /* where minus is -1, else the value */
/* -1 where the sign bit of slot k is set. */
#define MINUS(signs, k) ((int32_t)((signs)[(k) >> 5] << (31 - ((k) & 31))) >> 31)
#define SIGNED(value, signs, k) NEGATED(value, MINUS(signs, k))
#else
typedef float num;
#define ONE 1.0f
#define TIMES(a, b) ((a) * (b))
INLINE uint32_t bits_of(float x) { union { float f; uint32_t u; } v = {.f = x}; return v.u; }
INLINE float of_bits(uint32_t u) { union { float f; uint32_t u; } v = {.u = u}; return v.f; }
INLINE float absolute(float x) { return of_bits(bits_of(x) & 0x7FFFFFFF); }
#define SIGN_BIT(signs, k) (((signs)[(k) >> 5] << (31 - ((k) & 31))) & 0x80000000u)
#define SIGNED(value, signs, k) of_bits(bits_of(value) ^ SIGN_BIT(signs, k))
#endif

#ifdef EXACT
#include "exact.h"
#else
/* A product that is added to a number, or taken from it. */
#define ADD_TIMES(to, a, b) to += TIMES(a, b)
#define TAKE_TIMES(from, a, b) from -= TIMES(a, b)
/* Of an update: whatever it draws besides, what becomes of a slot that falls below zero, how many steps a strength is stored as. */
#define DRAWS
#define NOISE(theta, k)
#define LEAVE(k) leaving[count++] = (index_t)(k)
#define STEPS_OF(v, k) (int32_t)((v) * per_step)
#define KEEP_f32(w, k, v) ((w)[k] = (v))
#define STRENGTH_OF(master) (master)
typedef uint32_t word_t; /* of signs, or of fields */
#endif

/* A stored weight, by its format: the TYPE of its array, the WEIGHT of slot k, its strength THETA without the sign, a slope in the
   direction of THETA, and how a strength that is zero or more is stored (KEEP). float32, and fields of any other width, have their sign bits in an
   array of their own; float16 and fixed point of 16 and 8 bits keep the sign in their own highest bit, also of a zero. */
#define TYPE_bits uint8_t
#define SLOPE_f32(w, k, g) SIGNED(g, signs, k)
#define SLOPE_bits(w, k, g) SIGNED(g, signs, k)
#ifdef FIXED
#define TYPE_f32 int32_t /* 32 bits of fixed point */
#define THETA_f32(w, k) ((num)(w)[k])
#define WEIGHT_f32(w, k) SIGNED(THETA_f32(w, k), signs, k)
#define TYPE_i16 uint16_t
#define MINUS_i16(w, k) (-(num)((w)[k] >> 15))
#define THETA_i16(w, k) ((num)((w)[k] & 0x7FFF))
#define WEIGHT_i16(w, k) NEGATED(THETA_i16(w, k), MINUS_i16(w, k))
#define SLOPE_i16(w, k, g) NEGATED(g, MINUS_i16(w, k))
#define KEEP_i16(w, k, v) ((w)[k] = (uint16_t)(((w)[k] & 0x8000) | ((v) > 0x7FFF ? 0x7FFF : (v))))
#define TYPE_i8 uint8_t
#define MINUS_i8(w, k) (-(num)((w)[k] >> 7))
#define THETA_i8(w, k) ((num)((w)[k] & 0x7F) << 8)
#define WEIGHT_i8(w, k) NEGATED(THETA_i8(w, k), MINUS_i8(w, k))
#define SLOPE_i8(w, k, g) NEGATED(g, MINUS_i8(w, k))
#define KEEP_i8(w, k, v) ((w)[k] = (uint8_t)(((w)[k] & 0x80) | ((v) >> 8 > 0x7F ? 0x7F : (v) >> 8)))
#define STORAGES(loop) loop(f32) loop(i16) loop(i8) loop(bits)
#else
#define TYPE_f32 float
#define THETA_f32(w, k) ((w)[k])
#define WEIGHT_f32(w, k) SIGNED((w)[k], signs, k)
#define TYPE_f16 __fp16
#define THETA_f16(w, k) absolute((float)(w)[k])
#define WEIGHT_f16(w, k) ((float)(w)[k])
#define SLOPE_f16(w, k, g) of_bits(bits_of(g) ^ (bits_of((float)(w)[k]) & 0x80000000u))
#define KEEP_f16(w, k, v) ((w)[k] = (__fp16)of_bits(bits_of(v) | (bits_of((float)(w)[k]) & 0x80000000u)))
/* A fixed-point weight is `step` times the stored number. */
#define TYPE_i16 uint16_t
#define THETA_i16(w, k) ((float)(int32_t)((w)[k] & 0x7FFF) * step)
#define MINUS_i16(w, k) ((uint32_t)((w)[k] & 0x8000) << 16)
#define WEIGHT_i16(w, k) of_bits(bits_of(THETA_i16(w, k)) ^ MINUS_i16(w, k))
#define SLOPE_i16(w, k, g) of_bits(bits_of(g) ^ MINUS_i16(w, k))
#define KEEP_i16(w, k, v) ((w)[k] = (uint16_t)(((w)[k] & 0x8000) | STEPS_OF(v, k)))
#define TYPE_i8 uint8_t
#define THETA_i8(w, k) ((float)(int32_t)((w)[k] & 0x7F) * step)
#define MINUS_i8(w, k) ((uint32_t)((w)[k] & 0x80) << 24)
#define WEIGHT_i8(w, k) of_bits(bits_of(THETA_i8(w, k)) ^ MINUS_i8(w, k))
#define SLOPE_i8(w, k, g) of_bits(bits_of(g) ^ MINUS_i8(w, k))
#define KEEP_i8(w, k, v) ((w)[k] = (uint8_t)(((w)[k] & 0x80) | STEPS_OF(v, k)))
#ifdef EXACT
#define STORAGES(loop) loop(f32) loop(wide) loop(i16) loop(i8) loop(bits)
#else
#define STORAGES(loop) loop(f32) loop(f16) loop(i16) loop(i8) loop(bits)
#endif
#endif

/* Any other width of b bits: fields behind one another, read as an unaligned word (b up to 25). */
INLINE uint32_t field(const uint8_t *w, uint32_t at, uint32_t mask) {
#ifdef FIXED
    const uint32_t *word = (const uint32_t *)w + (at >> 5); /* the core loads aligned words */
    uint32_t shift = at & 31, low = word[0] >> shift;
    return (low | (shift ? word[1] << (32 - shift) : 0)) & mask;
#else
    return (*(const word_t *)(w + (at >> 3)) >> (at & 7)) & mask;
#endif
}
INLINE void set_field(uint8_t *w, uint32_t at, uint32_t mask, uint32_t value) {
#ifdef FIXED
    uint32_t *word = (uint32_t *)w + (at >> 5), shift = at & 31;
    word[0] = (word[0] & ~(mask << shift)) | value << shift;
    if (shift) word[1] = (word[1] & ~(mask >> (32 - shift))) | value >> (32 - shift);
#else
    word_t *word = (word_t *)(w + (at >> 3));
    uint32_t shift = at & 7;
    *word = (*word & ~(mask << shift)) | value << shift;
#endif
}
#ifdef FIXED
#define THETA_bits(w, k) ((num)field(w, (k) * width, mask))
#define KEEP_bits(w, k, v) set_field(w, (k) * width, mask, (uint32_t)(v) > mask ? mask : (uint32_t)(v))
#else
#define THETA_bits(w, k) ((float)(int32_t)field(w, (k) * width, mask) * step)
#define KEEP_bits(w, k, v) set_field(w, (k) * width, mask, (uint32_t)STEPS_OF(v, k))
#endif
#define WEIGHT_bits(w, k) SIGNED(THETA_bits(w, k), signs, k)

/* 32 random bits: a generator in software with 128 bits of state (Marsaglia's xorshift128), or the register of the chip's. */
typedef struct { uint32_t x, y, z, w; } generator_t;
INLINE uint32_t xorshift(generator_t *g) {
    uint32_t t = g->x ^ g->x << 11;
    g->x = g->y, g->y = g->z, g->z = g->w;
    return g->w = g->w ^ g->w >> 19 ^ t ^ t >> 8;
}
extern volatile uint32_t generator_register;
#define BITS_software(g) xorshift(g)
#define BITS_chip(g) generator_register

#ifdef FIXED
extern const int32_t quantiles[257], squashed[257]; /* tables with linear interpolation: no square root, no division */
INLINE num between(const int32_t *table, uint32_t at, uint32_t rest) {
    int32_t low = table[at];
    return low + (num)((table[at + 1] - low) * (int32_t)rest >> 16);
}
INLINE num normal(uint32_t u) { return between(quantiles, u >> 24, u >> 8 & 0xFFFF); }
INLINE num squash(num x) { uint32_t at = (uint32_t)(x + (4 << 15)) << 5; return between(squashed, at >> 24, at >> 8 & 0xFFFF); }
#define TANH(x) squash(x)
#define SIGMOID(x) ((squash((x) >> 1) >> 1) + ONE / 2)
INLINE num exp_below(num x) { /* 2 to a power: a shift and a polynomial of its fraction */
    num t = TIMES(x, 47274), n = t >> 15, r = t & 32767;
    num y = ONE + TIMES(r, 22713 + TIMES(r, 7871 + TIMES(r, 1819)));
    return y >> -n;
}
#else
#ifndef EXACT
INLINE float square_root(float x) { float y; __asm__("vsqrt.f32 %0, %1" : "=t"(y) : "t"(x)); return y; }
/* The simulator's own polynomials: neurosim/kernels/normal.py and, one power less, softmax.py. */
INLINE float normal(uint32_t bits) {
    float p = ((float)(int32_t)(bits & 0x7FFFFFFF) + 0.5f) * 0x1p-32f;
    uint32_t u = bits_of(p);
    float e = (float)(int32_t)(u >> 23) - 127.0f, m = of_bits((u & 0x7FFFFF) | 0x3F800000) - 1.5f;
    float l = -0.017207827f;
    l = l * m + 0.03010229f, l = l * m - 0.04899595f, l = l * m + 0.09832213f, l = l * m - 0.22224016f;
    l = l * m + 0.6666792f, l = l * m + 0.40546525f;
    l = e * 0.69314718f + l;
    float v = square_root(-2.0f * l) - 3.0f, z = 2.3110154e-06f;
    z = z * v - 2.2998245e-05f, z = z * v + 8.019557e-05f, z = z * v - 0.00014630186f, z = z * v + 0.00045143915f;
    z = z * v - 0.0021518494f, z = z * v + 0.00841379f, z = z * v - 0.032929856f, z = z * v + 1.1409059f, z = z * v + 2.286617f;
    return of_bits(bits_of(z) ^ (bits & 0x80000000u));
}
INLINE float exp_below(float x) { /* exp(x), x <= 0 */
    int32_t n = (int32_t)(x * 1.4426950f - 0.5f);
    float r = x - (float)n * 0.69314718f, y = 1.0f / 720;
    y = y * r + 1.0f / 120, y = y * r + 1.0f / 24, y = y * r + 1.0f / 6, y = y * r + 0.5f, y = y * r + 1.0f, y = y * r + 1.0f;
    return of_bits(bits_of(y) + ((uint32_t)n << 23));
}
#endif
INLINE float SIGMOID(float x) { float e = exp_below(-absolute(x)); return (x >= 0 ? 1.0f : e) / (1.0f + e); }
INLINE float TANH(float x) {
    float e = exp_below(-2 * absolute(x)), t = (1.0f - e) / (1.0f + e);
    return of_bits(bits_of(t) | (bits_of(x) & 0x80000000u));
}
#endif

/* Shared kernels: sizes of the maps that a layer reads and makes; quotients are products with a reciprocal. */
typedef struct {
    uint32_t taps, per_taps, kernel, per_kernel, stride, per_stride, padding, in_height, in_width, in_plane, out_height, out_width, out_plane, window;
} maps_t;
/* Where an element of a kernel, or a window, reads: first value and first place, how many rows and how many in each. */
typedef struct { uint32_t in, out, rows, places; num w; } span_t;
INLINE uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
/* Places of a row of n, from the first that reads no border to the last, for an element `at` places from the left. */
INLINE uint32_t first_place(const maps_t *s, uint32_t at) { return at < s->padding ? (s->padding - at + s->stride - 1) * s->per_stride >> 16 : 0; }
INLINE uint32_t last_place(const maps_t *s, uint32_t at, uint32_t n_in, uint32_t n_out) { return least((n_in - 1 + s->padding - at) * s->per_stride >> 16, n_out - 1); }
INLINE void find_places(const maps_t *s, uint32_t pre, uint32_t post, span_t *span) {
    uint32_t map = (uint32_t)((uint64_t)pre * s->per_taps >> 31), tap = pre - map * s->taps, ky = tap * s->per_kernel >> 16, kx = tap - ky * s->kernel;
    uint32_t y = first_place(s, ky), x = first_place(s, kx);
    span->rows = last_place(s, ky, s->in_height, s->out_height) + 1 - y, span->places = last_place(s, kx, s->in_width, s->out_width) + 1 - x;
    span->in = map * s->in_plane + (y * s->stride + ky - s->padding) * s->in_width + x * s->stride + kx - s->padding;
    span->out = post * s->out_plane + y * s->out_width + x;
}
INLINE void find_window(const maps_t *s, uint32_t k, span_t *span) {
    uint32_t begin = k * s->stride, first = begin < s->padding ? 0 : begin - s->padding;
    span->in = first, span->places = least(begin + s->window - s->padding, s->in_width) - first;
}
