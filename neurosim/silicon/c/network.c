/* The packets of a trial with several cores: every core a process of this computer, a socket between each two (cores.c). A router drops what no
   synapse of a core asks for; that is done here, where a packet arrives. A board has hardware for all of it, and functions of its own in this place. */
#include <stdlib.h>
#include <unistd.h>
#include "bench.h"

typedef struct { uint32_t key; num value; } packet_t;
static packet_t packets[MOST_NEURONS];

static void push(int to, const void *from, size_t n) {
    for (ssize_t done; n > 0; n -= (size_t)done, from = (const char *)from + done) {
        if ((done = write(FIRST_SOCKET + to, from, n)) <= 0) { exit(3); }
    }
}
static void pull(int from, void *to, size_t n) {
    for (ssize_t done; n > 0; n -= (size_t)done, to = (char *)to + done) {
        if ((done = read(FIRST_SOCKET + from, to, n)) <= 0) { exit(3); }
    }
}
static void send_all(int to, uint32_t n) { push(to, &n, sizeof n), push(to, packets, n * sizeof *packets); }
static uint32_t receive_all(int from) {
    uint32_t n;
    pull(from, &n, sizeof n), pull(from, packets, n * sizeof *packets);
    return n;
}

/* Every value that is not zero goes to the cores with a synapse of its neuron; copies of others start at zero. */
void exchange_values(uint32_t m, num *values, uint32_t own, uint32_t n_own, uint32_t n) {
    static uint8_t has_row[MOST_NEURONS];
    const matrix_t *at = &matrices[m];
    for (uint32_t i = 0; i < n; i++) { has_row[i] = 0; }
    for (uint32_t k = 0; k < at->n_slots; k++) {
        if (at->pre[k] != FREE) { has_row[at->pre[k]] = 1; }
    }
    for (uint32_t i = 0; i < n && at->n_own > 0; i++) {
        if (i < own || i >= own + n_own) { values[i] = 0; }
    }
    uint32_t n_sent = 0;
    for (uint32_t i = own; i < own + n_own; i++) {
        if (values[i] != 0) { packets[n_sent++] = (packet_t){i, values[i]}; }
    }
    for (int core = 0; core < N_CORES; core++) {
        if (core != CORE) { send_all(core, n_sent); }
    }
    for (int core = 0; core < N_CORES; core++) {
        for (uint32_t k = 0, n_here = core == CORE ? 0 : receive_all(core); k < n_here; k++) {
            if (has_row[packets[k].key]) { values[packets[k].key] = packets[k].value, counts[m].received++; }
        }
    }
}

/* Every value that came is answered by a partial error; those of own neurons are added in the order of the cores. */
void exchange_errors(uint32_t m, const num *values, num *errors, uint32_t own, uint32_t n_own, uint32_t n) {
    for (int core = 0; core < N_CORES; core++) {
        if (core == CORE) continue;
        uint32_t n_sent = 0;
        for (uint32_t i = first_own[m][core]; i < first_own[m][core + 1] && matrices[m].n_own > 0; i++) {
            if (values[i] != 0) { packets[n_sent++] = (packet_t){i, errors[i]}; }
        }
        send_all(core, n_sent), counts[m].sent_back += n_sent;
    }
    for (int core = 0; core < N_CORES; core++) {
        for (uint32_t k = 0, n_here = core == CORE ? 0 : receive_all(core); k < n_here; k++) { errors[packets[k].key] += packets[k].value; }
    }
}

/* Every core with outputs has all logits. */
void exchange_logits(void) {
#if HAS_OUTPUTS
    const uint32_t *first = first_own[N_MATRICES], own = first[CORE], n_own = first[CORE + 1] - own;
    for (uint32_t c = 0; c < n_own; c++) { packets[c] = (packet_t){own + c, logits[own + c]}; }
    for (int core = 0; core < N_CORES; core++) {
        if (core != CORE && first[core] < first[core + 1]) { send_all(core, n_own); }
    }
    for (int core = 0; core < N_CORES; core++) {
        if (core == CORE || first[core] == first[core + 1]) continue;
        for (uint32_t k = 0, n_here = receive_all(core); k < n_here; k++) { logits[packets[k].key] = packets[k].value; }
    }
#endif
}
