/* The loops of the training program that is charged (docs/hardware-model.md, section 4): one function per loop. They are compiled for the core of a chip, and their turns counted in cycles, by `python -m program.derive`. The name of
   a function is the name of its loop there. Order of the phases: forward, backward, gradient, update, rewire. */
#include "loops.h"

#define N uint32_t n
#define SLOT const index_t *restrict pre, const index_t *restrict post
#define FORMAT num step, num per_step, uint32_t width, uint32_t mask

/* The dense loop that was measured with 7.07 cycles a turn (Yan et al. 2021, eq. 14). */
void dense(N, const num *restrict w, num x, num *restrict sums) {
    for (uint32_t k = 0; k < n; k++) { ADD_TIMES(sums[k], w[k], x); }
}

/* ---- neurons */
void start_sum(N, num *restrict sums) { for (uint32_t k = 0; k < n; k++) { *(volatile num *)&sums[k] = 0; } }
void start_bias(N, num *restrict sums, const num *restrict bias) { for (uint32_t k = 0; k < n; k++) { sums[k] = bias[k]; } }
void relu_forward(N, num *restrict a) { for (uint32_t k = 0; k < n; k++) { num v = a[k]; a[k] = v > 0 ? v : 0; } }
void relu_backward(N, const num *restrict a, num *restrict e) { for (uint32_t k = 0; k < n; k++) { if (!(a[k] > 0)) e[k] = 0; } }
void leaky_relu_forward(N, num *restrict a, num slope) { for (uint32_t k = 0; k < n; k++) { num v = a[k]; a[k] = v > 0 ? v : TIMES(v, slope); } }
void leaky_relu_backward(N, const num *restrict a, num *restrict e, num slope) { for (uint32_t k = 0; k < n; k++) { if (!(a[k] > 0)) e[k] = TIMES(e[k], slope); } }
void tanh_forward(N, num *restrict a) { for (uint32_t k = 0; k < n; k++) { a[k] = TANH(a[k]); } }
void tanh_backward(N, const num *restrict a, num *restrict e) {
    for (uint32_t k = 0; k < n; k++) { e[k] = TIMES(e[k], ONE - TIMES(a[k], a[k])); }
}
void lstm_forward(N, num *restrict z, const num *restrict before, num *restrict c, num *restrict h) {
    for (uint32_t k = 0; k < n; k++) {
       
        num i = SIGMOID(z[4 * k]), f = SIGMOID(z[4 * k + 1]), g = TANH(z[4 * k + 2]), o = SIGMOID(z[4 * k + 3]);
        z[4 * k] = i, z[4 * k + 1] = f, z[4 * k + 2] = g, z[4 * k + 3] = o;
        num now = TIMES(f, before[k]) + TIMES(i, g);
        c[k] = now, h[k] = TIMES(o, TANH(now));
    }
}
void lstm_backward(N, const num *restrict z, const num *restrict before, const num *restrict c, const num *restrict eh, num *restrict ec, num *restrict ez) {
    for (uint32_t k = 0; k < n; k++) {
       
        num i = z[4 * k], f = z[4 * k + 1], g = z[4 * k + 2], o = z[4 * k + 3], t = TANH(c[k]);
        num e = ec[k] + TIMES(TIMES(eh[k], o), ONE - TIMES(t, t));
        ez[4 * k] = TIMES(TIMES(e, g), TIMES(i, ONE - i));
        ez[4 * k + 1] = TIMES(TIMES(e, before[k]), TIMES(f, ONE - f));
        ez[4 * k + 2] = TIMES(TIMES(e, i), ONE - TIMES(g, g));
        ez[4 * k + 3] = TIMES(TIMES(eh[k], t), TIMES(o, ONE - o));
        ec[k] = TIMES(e, f);
    }
}
void mean_add(N, const num *restrict h, num *restrict mean, num part) { for (uint32_t k = 0; k < n; k++) { mean[k] += TIMES(h[k], part); } }
void softmax_exponential(N, const num *restrict logits, num top, num *restrict e, num *restrict total) {
    num sum = *total;
    for (uint32_t k = 0; k < n; k++) { num v = exp_below(logits[k] - top); e[k] = v; sum += v; }
    *total = sum;
}
void softmax_error(N, num *restrict e, const num *restrict label, num inverse) {
    for (uint32_t k = 0; k < n; k++) { e[k] = TIMES(e[k], inverse) - label[k]; }
}

/* ---- values and errors that travel: a key and a value written to the router, and read from it */
extern volatile uint32_t router_key, router_value;
void send_value(N, const num *restrict a, const uint32_t *restrict key) {
    for (uint32_t k = 0; k < n; k++) {
       
        union { num v; uint32_t u; } value = {.v = a[k]};
        if (value.v != 0) { router_value = value.u; router_key = key[k]; }
    }
}
void receive_value(N, num *restrict copies) {
    for (uint32_t k = 0; k < n; k++) { union { num v; uint32_t u; } value; uint32_t key = router_key; value.u = router_value; copies[key & 0xFFFF] = value.v; }
}
void receive_error(N, num *restrict errors) {
    for (uint32_t k = 0; k < n; k++) { union { num v; uint32_t u; } value; uint32_t key = router_key; value.u = router_value; errors[key & 0xFFFF] += value.v; }
}

/* ---- walks over slots, in any order */
#define FORWARD(S) void forward_##S(N, SLOT, const TYPE_##S *restrict w, const word_t *restrict signs, const num *restrict x, num *restrict sums, FORMAT) { \
    for (uint32_t k = 0; k < n; k++) { uint32_t i = pre[k]; if (RARE(i == FREE)) continue; ADD_TIMES(sums[post[k]], WEIGHT_##S(w, k), x[i]); } }
STORAGES(FORWARD)
#define BACKWARD(S) void backward_##S(N, SLOT, const TYPE_##S *restrict w, const word_t *restrict signs, const num *restrict e, num *restrict back, FORMAT) { \
    for (uint32_t k = 0; k < n; k++) { uint32_t i = pre[k]; if (RARE(i == FREE)) continue; ADD_TIMES(back[i], WEIGHT_##S(w, k), e[post[k]]); } }
STORAGES(BACKWARD)
uint32_t free_slot(N, const index_t *restrict pre) { uint32_t k = 0; for (; k < n; k++) { if (RARE(pre[k] != FREE)) break; } return k; }
void gradient(N, SLOT, const num *restrict x, const num *restrict e, num *restrict g) {
    for (uint32_t k = 0; k < n; k++) { uint32_t i = pre[k]; if (RARE(i == FREE)) continue; g[k] += TIMES(x[i], e[post[k]]); }
}
void gradient_at_once(N, SLOT, const num *restrict x, const num *restrict e, num *restrict g) { /* batch 1: the update takes it */
    for (uint32_t k = 0; k < n; k++) { uint32_t i = pre[k]; if (RARE(i == FREE)) continue; g[k] = TIMES(x[i], e[post[k]]); }
}

/* ---- walks over the elements of shared kernels: a slot finds the places at which it reads no border, then come their rows, then the places of a row. Pooling: a window,
   its rows, their values */
#define SPANS const maps_t *restrict s, span_t *restrict at
#define CONVOLVE_SLOT(S) void convolve_slot_##S(N, SLOT, const TYPE_##S *restrict w, const word_t *restrict signs, SPANS, FORMAT) { \
    for (uint32_t k = 0; k < n; k++) { uint32_t i = pre[k]; if (RARE(i == FREE)) continue; find_places(s, i, post[k], &at[k]); at[k].w = WEIGHT_##S(w, k); } }
STORAGES(CONVOLVE_SLOT)
void convolve_gradient_slot(N, SLOT, SPANS, const num *restrict sum, num *restrict g) {
    for (uint32_t k = 0; k < n; k++) { uint32_t i = pre[k]; if (RARE(i == FREE)) continue; find_places(s, i, post[k], &at[k]); g[k] += sum[k]; }
}
void map_row(N, uint32_t in, uint32_t out, uint32_t in_step, uint32_t out_step, span_t *restrict at) {
    for (uint32_t k = 0; k < n; k++) { *(volatile uint32_t *)&at[k].in = in, *(volatile uint32_t *)&at[k].out = out, in += in_step, out += out_step; }
}
void convolve_forward(N, num w, const num *restrict x, uint32_t stride, num *restrict sums) { for (uint32_t k = 0; k < n; k++) { ADD_TIMES(sums[k], w, *x); x += stride; } }
void convolve_backward(N, num w, const num *restrict e, uint32_t stride, num *restrict back) { for (uint32_t k = 0; k < n; k++) { ADD_TIMES(*back, w, e[k]); back += stride; } }
num convolve_gradient(N, const num *restrict x, uint32_t stride, const num *restrict e, num sum) { for (uint32_t k = 0; k < n; k++) { ADD_TIMES(sum, *x, e[k]); x += stride; } return sum; }
void pool_window(N, const maps_t *restrict s, const num *restrict value, num *restrict pooled, span_t *restrict at) {
    for (uint32_t k = 0; k < n; k++) { find_window(s, k, &at[k]); pooled[k] = value[k]; }
}
num pool_max(N, const num *restrict a, num top) { for (uint32_t k = 0; k < n; k++) { num v = a[k]; if (v > top) top = v; } return top; }
num pool_average(N, const num *restrict a, num sum) { for (uint32_t k = 0; k < n; k++) { sum += a[k]; } return sum; }
void unpool_window(N, const maps_t *restrict s, const num *restrict d, const uint32_t *restrict first, num *restrict e, span_t *restrict at) {
    for (uint32_t k = 0; k < n; k++) { find_window(s, k, &at[k]); e[first[k]] += d[k]; }
}
uint32_t unpool_max(N, const num *restrict a, num top) { uint32_t k = 0; for (; k < n; k++) { if (RARE(a[k] == top)) break; } return k; }
void unpool_average(N, num part, num *restrict e) { for (uint32_t k = 0; k < n; k++) { e[k] += part; } }

/* ---- walks over rows, slots sorted by pre neuron behind row pointers */
uint32_t row_test(N, const num *restrict x) { uint32_t k = 0; for (; k < n; k++) { if (RARE(x[k] != 0)) break; } return k; }
void row_open(N, const index_t *restrict row, const num *restrict x, uint32_t *restrict at) { /* a row that is walked */
    for (uint32_t k = 0; k < n; k++) { at[3 * k] = row[k], at[3 * k + 1] = row[k + 1], ((num *)at)[3 * k + 2] = x[k]; }
}
#define FORWARD_ROW(S) void forward_row_##S(uint32_t k, N, const index_t *restrict post, const TYPE_##S *restrict w, const word_t *restrict signs, num x, num *restrict sums, FORMAT) { \
    for (; k < n; k++) { ADD_TIMES(sums[post[k]], WEIGHT_##S(w, k), x); } }
STORAGES(FORWARD_ROW)
#define BACKWARD_ROW(S) num backward_row_##S(uint32_t k, N, const index_t *restrict post, const TYPE_##S *restrict w, const word_t *restrict signs, const num *restrict e, FORMAT) { \
    num sum = 0; for (; k < n; k++) { num v = e[post[k]]; if (v != 0) ADD_TIMES(sum, WEIGHT_##S(w, k), v); } return sum; }
STORAGES(BACKWARD_ROW)
uint32_t row_skip(uint32_t k, N, const index_t *restrict post, const num *restrict e) { for (; k < n; k++) { if (RARE(e[post[k]] != 0)) break; } return k; }
void gradient_row(uint32_t k, N, const index_t *restrict post, const num *restrict e, num x, num *restrict g) {
    for (; k < n; k++) { num v = e[post[k]]; if (v != 0) g[k] += TIMES(x, v); }
}
void gradient_row_apply(uint32_t k, N, const index_t *restrict post, const num *restrict e, num x, num *restrict w, const word_t *restrict signs) {
    for (; k < n; k++) { num v = e[post[k]]; if (v != 0) w[k] -= SIGNED(TIMES(x, v), signs, k); }
}

/* ---- update: theta falls by rate x (slope + l1); who falls below zero is listed */
#define SETTLE(S) if (RARE(theta < 0)) { LEAVE(k); theta = 0; } KEEP_##S(w, k, theta);
#define UPDATE_HEAD(S) uint32_t k, count = 0; for (k = 0; k < n; k++) { if (RARE(pre[k] == FREE)) continue; num theta = THETA_##S(w, k), slope = SLOPE_##S(w, k, g[k]); g[k] = 0;
#define UPDATE_SGD(S) uint32_t update_sgd_##S(N, const index_t *restrict pre, TYPE_##S *restrict w, const word_t *restrict signs, num *restrict g, index_t *restrict leaving, num rate, num l1, FORMAT DRAWS) { \
    UPDATE_HEAD(S) TAKE_TIMES(theta, rate, slope + l1); NOISE(theta, k) SETTLE(S) } return count; }
STORAGES(UPDATE_SGD)
#define UPDATE_MOMENTUM(S) uint32_t update_momentum_##S(N, const index_t *restrict pre, TYPE_##S *restrict w, const word_t *restrict signs, num *restrict g, num *restrict m, num keep, index_t *restrict leaving, num rate, num l1, FORMAT DRAWS) { \
    UPDATE_HEAD(S) num v = slope; ADD_TIMES(v, keep, m[k]); m[k] = v; TAKE_TIMES(theta, rate, v + l1); NOISE(theta, k) SETTLE(S) } return count; }
STORAGES(UPDATE_MOMENTUM)
#ifndef FIXED
#define UPDATE_ADAM(S) uint32_t update_adam_##S(N, const index_t *restrict pre, TYPE_##S *restrict w, const word_t *restrict signs, num *restrict g, num *restrict m, num *restrict v, num keep1, num keep2, num small, index_t *restrict leaving, num rate, num l1, FORMAT DRAWS) { \
    UPDATE_HEAD(S) num a = keep1 * (m[k] - slope) + slope, q = slope * slope, b = keep2 * (v[k] - q) + q; m[k] = a, v[k] = b; \
    theta -= rate * (a / (square_root(b) + small) + l1); SETTLE(S) } return count; }
STORAGES(UPDATE_ADAM)
#endif
/* The strength that the network runs on, read out of a wide copy. */
#define READ_OUT(S) void read_out_##S(N, const num *restrict master, TYPE_##S *restrict w, FORMAT DRAWS) { for (uint32_t k = 0; k < n; k++) { KEEP_##S(w, k, STRENGTH_OF(master[k])); } }
STORAGES(READ_OUT)
void gradient_bias(N, const num *restrict e, num *restrict g) { for (uint32_t k = 0; k < n; k++) { g[k] += e[k]; } }
void update_bias(N, num *restrict b, num *restrict g, num rate) { for (uint32_t k = 0; k < n; k++) { b[k] -= TIMES(rate, g[k]); g[k] = 0; } }
/* The sum of squares of a gradient that is clipped, before anything moves. */
void clip_norm(N, const num *restrict g, num *restrict total) { num sum = *total; for (uint32_t k = 0; k < n; k++) { num v = g[k]; ADD_TIMES(sum, v, v); } *total = sum; }

/* ---- random draws: bits, and a normal deviate for the noise of a strength */
#define DRAW(G) void draw_##G(N, generator_t *restrict g, uint32_t *restrict out) { generator_t s = *g; for (uint32_t k = 0; k < n; k++) { out[k] = BITS_##G(&s); } *g = s; } \
    void noise_##G(N, generator_t *restrict g, num *restrict w, num size) { generator_t s = *g; for (uint32_t k = 0; k < n; k++) { w[k] += TIMES(size, normal(BITS_##G(&s))); } *g = s; }
DRAW(software)
DRAW(chip)

/* ---- rewiring */
void proposal(N, const uint32_t *restrict bits, uint32_t n_positions, uint32_t n_post, uint32_t per_n_post, index_t *restrict i, index_t *restrict j) { /* a position from 32 bits */
    for (uint32_t k = 0; k < n; k++) {
       
        uint32_t at = (uint32_t)((uint64_t)bits[k] * n_positions >> 32), row = (uint32_t)((uint64_t)at * per_n_post >> 32);
        uint32_t column = at - row * n_post;
        if (RARE(column >= n_post)) column -= n_post, row++;
        i[k] = (index_t)row, j[k] = (index_t)column;
    }
}
uint32_t proposal_slot(N, SLOT, uint32_t i, uint32_t j) { uint32_t k = 0; for (; k < n; k++) { if (RARE(pre[k] == i) && post[k] == j) break; } return k; }
uint32_t proposal_row_slot(uint32_t k, N, const index_t *restrict post, uint32_t j) { for (; k < n; k++) { if (RARE(post[k] == j)) break; } return k; }
/* float32 and fields set a bit of the array of signs; the others have the sign in `born`. */
#define SET_SIGN(k, bit) { uint32_t one = 1u << ((k) & 31), at = (k) >> 5; signs[at] = (bit) ? signs[at] | one : signs[at] & ~one; }
#define PLACE_f32(s) w[s] = (TYPE_f32)born; SET_SIGN(s, bits[k] >> 31)
#define PLACE_f16(s) w[s] = (TYPE_f16)(bits[k] >> 31 ? -born : born);
#define PLACE_i16(s) w[s] = (uint16_t)(stored | (bits[k] >> 31 << 15));
#define PLACE_i8(s) w[s] = (uint8_t)(stored | (bits[k] >> 31 << 7));
#define PLACE_bits(s) set_field(w, (s) * width, mask, stored); SET_SIGN(s, bits[k] >> 31)
#define ARRIVAL(S) void arrival_##S(N, const index_t *restrict slot, const index_t *restrict i, const index_t *restrict j, const uint32_t *restrict bits, index_t *restrict pre, index_t *restrict post, TYPE_##S *restrict w, word_t *restrict signs, num born, uint32_t stored, FORMAT) { \
    for (uint32_t k = 0; k < n; k++) { uint32_t s = slot[k]; pre[s] = i[k], post[s] = j[k]; PLACE_##S(s) } }
STORAGES(ARRIVAL)
void clear_number(N, const index_t *restrict slot, num *restrict m) { for (uint32_t k = 0; k < n; k++) { m[slot[k]] = 0; } }
void departure(N, const index_t *restrict slot, index_t *restrict pre) { for (uint32_t k = 0; k < n; k++) { pre[slot[k]] = FREE; } }
/* A sort that keeps order: every slot moves behind the arrivals before it. */
#define MOVE_f32 w[to] = w[k]; SET_SIGN(to, signs[k >> 5] >> (k & 31) & 1)
#define MOVE_f16 ((uint16_t *)w)[to] = ((uint16_t *)w)[k];
#define MOVE_i16 w[to] = w[k];
#define MOVE_i8 w[to] = w[k];
#define MOVE_bits set_field(w, to * width, mask, field(w, k * width, mask)); SET_SIGN(to, signs[k >> 5] >> (k & 31) & 1)
#define MERGE(S) uint32_t merge_##S(uint32_t k, uint32_t to, uint32_t next, index_t *restrict pre, index_t *restrict post, TYPE_##S *w, word_t *signs, FORMAT) { \
    for (; k > 0; k--, to--) { uint32_t i = pre[k], j = post[k]; if (RARE((i << 16 | j) < next)) break; pre[to] = (index_t)i, post[to] = (index_t)j; MOVE_##S } return k; }
STORAGES(MERGE)
void merge_number(uint32_t k, uint32_t to, num *m) { for (; k > 0; k--, to--) { m[to] = m[k]; } }
void merge_row(N, index_t *restrict row, const index_t *restrict arrived) { uint32_t shift = 0; for (uint32_t k = 0; k < n; k++) { shift += arrived[k]; row[k] = (index_t)(row[k] + shift); } }
/* The smallest strengths: how often each value of eight bits occurs among those with the digits found so far; then who is below. */
void search_count(N, const uint32_t *restrict w, uint32_t prefix, uint32_t shift, uint32_t *restrict count) {
    for (uint32_t k = 0; k < n; k++) { uint32_t v = w[k] >> shift; if (v >> 8 == prefix) count[v & 255]++; }
}
uint32_t search_name(N, const uint32_t *restrict w, uint32_t threshold, index_t *restrict leaving) {
    uint32_t count = 0; for (uint32_t k = 0; k < n; k++) { if (RARE(w[k] < threshold)) leaving[count++] = (index_t)k; } return count;
}
void dense_gradient(N, num x, const num *restrict e, num *restrict g) { for (uint32_t k = 0; k < n; k++) { g[k] += TIMES(x, e[k]); } }
/* A walk that counts the slots of a row, or finds the one of a rank. */
uint32_t exact_slot(N, const index_t *restrict pre, index_t *restrict used) { uint32_t last = 0; for (uint32_t k = 0; k < n; k++) { uint32_t i = pre[k]; if (RARE(i == FREE)) continue; used[i]++; last = i; } return last; }
