/* Loops of the programs by which spiking networks learn (docs/spiking.md), beside those of loops.c: one function per loop, compiled and counted in the same way. Spikes are bits in words of 32. */
#include "loops.h"

#define N uint32_t n
#define SLOT const index_t *restrict pre, const index_t *restrict post
#define FORMAT num step, num per_step, uint32_t width, uint32_t mask
#define BIT(words, k) ((words)[(k) >> 5] >> ((k) & 31) & 1)
#define SET(words, k, bit) ((words)[(k) >> 5] = ((words)[(k) >> 5] & ~(1u << ((k) & 31))) | (uint32_t)(bit) << ((k) & 31))

/* ---- neurons: the derivative is that of `surrogate: triangular` */
#define MOVE(RAISED) num now = TIMES(alpha, v[k]) + sums[k] - (BIT(spikes, k) ? v_th : 0); v[k] = now; num x = TIMES(now - v_th - (RAISED), inverse);
#define TIRE num tired = TIMES(rho, a[k]) + (BIT(spikes, k) ? ONE : 0); a[k] = tired;
#define DERIVE num far = x < 0 ? -x : x, height_left = ONE - TIMES(slope, far); psi[k] = height_left > 0 ? TIMES(height, height_left) : 0;
#define NEURON N, const num *restrict sums, num *restrict v, word_t *restrict spikes, num alpha, num v_th, num inverse
void lif_forward(NEURON, num *restrict psi, num height, num slope) { for (uint32_t k = 0; k < n; k++) { MOVE(0) DERIVE SET(spikes, k, x > 0); } }
void lif_evaluate(NEURON) { for (uint32_t k = 0; k < n; k++) { MOVE(0) SET(spikes, k, x > 0); } }
void alif_forward(NEURON, num *restrict psi, num height, num slope, num *restrict a, const num *restrict beta, num rho) {
    for (uint32_t k = 0; k < n; k++) { TIRE MOVE(TIMES(beta[k], tired)) DERIVE SET(spikes, k, x > 0); }
}
void alif_evaluate(NEURON, num *restrict a, const num *restrict beta, num rho) { for (uint32_t k = 0; k < n; k++) { TIRE MOVE(TIMES(beta[k], tired)) SET(spikes, k, x > 0); } }
/* Steps for which a neuron stays silent after a spike. */
void refractory(N, uint16_t *restrict wait, word_t *restrict spikes, num *restrict psi, uint16_t steps) {
    for (uint32_t k = 0; k < n; k++) { uint16_t left = wait[k]; if (left) { psi[k] = 0; SET(spikes, k, 0); wait[k] = left - 1; } else if (BIT(spikes, k)) wait[k] = steps; }
}
void lif_backward(N, const num *restrict psi, const num *restrict dz, num *restrict dv, num alpha) { for (uint32_t k = 0; k < n; k++) { dv[k] = TIMES(alpha, dv[k]) + TIMES(psi[k], dz[k]); } }
void alif_backward(N, const num *restrict psi, const num *restrict dz, num *restrict dv, num *restrict da, const num *restrict beta, num alpha, num rho) {
    for (uint32_t k = 0; k < n; k++) { num was = da[k], d = TIMES(psi[k], dz[k] + was); dv[k] = TIMES(alpha, dv[k]) + d; da[k] = TIMES(rho, was) - TIMES(beta[k], d); }
}
/* The leak of the read-out, of its values forward and of its errors backward. */
void readout_step(N, const num *restrict sums, num *restrict y, num kappa) { for (uint32_t k = 0; k < n; k++) { y[k] = TIMES(kappa, y[k]) + sums[k]; } }
/* A signal becomes the error of a current in the same step, for the layer below. */
void signal_times(N, const num *restrict psi, num *restrict signal) { for (uint32_t k = 0; k < n; k++) { signal[k] = TIMES(signal[k], psi[k]); } }
/* A feedback of its own: an error of an output to every neuron. */
void feed_back(N, const num *restrict b, num error, num *restrict signal) { for (uint32_t k = 0; k < n; k++) { ADD_TIMES(signal[k], b[k], error); } }

/* ---- spikes that travel: a key alone */
extern volatile uint32_t router_key;
void send_spike(N, const word_t *restrict spikes, const uint32_t *restrict key) { for (uint32_t k = 0; k < n; k++) { if (BIT(spikes, k)) router_key = key[k]; } }
void receive_spike(N, word_t *restrict copies) { for (uint32_t k = 0; k < n; k++) { uint32_t at = router_key & 0xFFFF; copies[at >> 5] |= 1u << (at & 31); } }

/* ---- walks over slots, and over rows, of spikes */
#define FORWARD_SPIKES(S) void forward_spikes_##S(N, SLOT, const TYPE_##S *restrict w, const word_t *restrict signs, const word_t *restrict x, num *restrict sums, FORMAT) { \
    for (uint32_t k = 0; k < n; k++) { uint32_t i = pre[k]; if (RARE(i == FREE)) continue; if (BIT(x, i)) sums[post[k]] += WEIGHT_##S(w, k); } }
STORAGES(FORWARD_SPIKES)
uint32_t spike_test(N, const word_t *restrict x) { uint32_t k = 0; for (; k < n; k++) { if (RARE(BIT(x, k))) break; } return k; }
#define FORWARD_SPIKE_ROW(S) void forward_spike_row_##S(uint32_t k, N, const index_t *restrict post, const TYPE_##S *restrict w, const word_t *restrict signs, num *restrict sums, FORMAT) { \
    for (; k < n; k++) { sums[post[k]] += WEIGHT_##S(w, k); } }
STORAGES(FORWARD_SPIKE_ROW)
void gradient_spikes(N, SLOT, const word_t *restrict x, const num *restrict e, num *restrict g) {
    for (uint32_t k = 0; k < n; k++) { uint32_t i = pre[k]; if (RARE(i == FREE)) continue; if (BIT(x, i)) g[k] += e[post[k]]; }
}
void gradient_spike_row(uint32_t k, N, const index_t *restrict post, const num *restrict e, num *restrict g) { for (; k < n; k++) { g[k] += e[post[k]]; } }

/* ---- traces: of pre neurons, and of slots, whose loop is named after what a slot keeps. `sum`: its eligibility, until one signal of the sample is
   known; `filter`: the same through the leak of the read-out, with a signal in every step; `factor`: nothing; `own`: the trace of its pre neuron
   too; `rate`: a sum for the regulariser of rates */
void trace_step(N, const word_t *restrict x, num *restrict trace, num alpha) { for (uint32_t k = 0; k < n; k++) { trace[k] = TIMES(alpha, trace[k]) + (BIT(x, k) ? ONE : 0); } }
void trace_value(N, const num *restrict x, num *restrict trace, num alpha) { for (uint32_t k = 0; k < n; k++) { trace[k] = TIMES(alpha, trace[k]) + x[k]; } }
#define SHARED num z = trace[i];
#define OWN num z = TIMES(alpha, own[k]) + (BIT(x, i) ? ONE : 0); own[k] = z;
#define LIF num e = TIMES(psi[j], z);
#define ALIF num was = eps[k]; num e = TIMES(psi[j], z - TIMES(beta[j], was)); eps[k] = TIMES(rho, was) + e;
#define SUM ADD_TIMES(sum[k], part, e);
#define FILTER num f = TIMES(kappa, sum[k]) + e; sum[k] = f; ADD_TIMES(g[k], signal[j], f);
#define FACTOR ADD_TIMES(g[k], signal[j], e);
#define NO_RATE
#define RATE rates[k] += e;
#define ELIGIBLE(NAME, TRACE, CELL, KIND, REGULARISER) \
    void eligible_##NAME(N, SLOT, const num *restrict psi, const num *restrict signal, const num *restrict trace, const word_t *restrict x, num *restrict own, num *restrict eps, \
                         num *restrict sum, num *restrict g, num *restrict rates, const num *restrict beta, num alpha, num rho, num kappa, num part) { \
        for (uint32_t k = 0; k < n; k++) { uint32_t i = pre[k]; if (RARE(i == FREE)) continue; uint32_t j = post[k]; TRACE CELL KIND REGULARISER } }
#define OF_CELL(KIND_NAME, KIND, CELL_NAME, CELL) \
    ELIGIBLE(KIND_NAME##_##CELL_NAME, SHARED, CELL, KIND, NO_RATE) ELIGIBLE(KIND_NAME##_##CELL_NAME##_rate, SHARED, CELL, KIND, RATE) \
    ELIGIBLE(KIND_NAME##_##CELL_NAME##_own, OWN, CELL, KIND, NO_RATE) ELIGIBLE(KIND_NAME##_##CELL_NAME##_own_rate, OWN, CELL, KIND, RATE)
#define OF_KIND(KIND_NAME, KIND) OF_CELL(KIND_NAME, KIND, lif, LIF) OF_CELL(KIND_NAME, KIND, alif, ALIF)
OF_KIND(sum, SUM)
OF_KIND(filter, FILTER)
OF_KIND(factor, FACTOR)
/* The end of a sample: what a slot has gathered meets its signal. */
void eligible_end(N, const index_t *restrict post, const num *restrict signal, num *restrict sum, num *restrict g) { for (uint32_t k = 0; k < n; k++) { ADD_TIMES(g[k], signal[post[k]], sum[k]); sum[k] = 0; } }

/* ---- history of a post neuron, replayed from a spike on, with the trace in a register */
#define REPLAY_LIF num e = TIMES(psi[k], z); z = TIMES(alpha, z);
#define REPLAY_ALIF num e = TIMES(psi[k], z - TIMES(beta, eps)); eps = TIMES(rho, eps) + e; z = TIMES(alpha, z);
#define REPLAY_SUM ADD_TIMES(total, part[k], e);
#define REPLAY_FILTER f = TIMES(kappa, f) + e; ADD_TIMES(total, signal[k], f);
#define REPLAY_FACTOR ADD_TIMES(total, signal[k], e);
#define REPLAY(NAME, CELL, KIND) num replay_##NAME(N, const num *restrict psi, const num *restrict signal, const num *restrict part, num z, num eps, num f, num beta, num alpha, num rho, num kappa) { \
    num total = 0; for (uint32_t k = 0; k < n; k++) { CELL KIND } return total; }
REPLAY(sum_lif, REPLAY_LIF, REPLAY_SUM)
REPLAY(filter_lif, REPLAY_LIF, REPLAY_FILTER)
REPLAY(factor_lif, REPLAY_LIF, REPLAY_FACTOR)
REPLAY(sum_alif, REPLAY_ALIF, REPLAY_SUM)
REPLAY(filter_alif, REPLAY_ALIF, REPLAY_FILTER)
REPLAY(factor_alif, REPLAY_ALIF, REPLAY_FACTOR)
/* A slot of a row that is replayed: its gradient. */
void replay_slot(uint32_t k, N, const index_t *restrict post, const num *restrict total, num *restrict g) { for (; k < n; k++) { g[k] += total[post[k]]; } }
