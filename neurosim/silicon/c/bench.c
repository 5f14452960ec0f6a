/* The host of a trial: it gives the core its samples, reads logits, and writes what is in the slots after every epoch (states.bin).
   The same text runs on this computer (link_files.c) and under an emulator (link_semihosting.c). */
#include "bench.h"

static rule_t rules[N_MATRICES];
static sample_t sample_of[N_INPUTS];
#ifdef COUNTED
counts_t counts[N_MATRICES];
#endif

static void read_sample(int samples, int labels, uint32_t number, num one, uint32_t *label) {
    uint16_t class;
    link_seek(samples, (uint64_t)number * sizeof sample_of), link_read(samples, sample_of, sizeof sample_of);
    link_seek(labels, (uint64_t)number * sizeof class), link_read(labels, &class, sizeof class);
#if HAS_INPUTS
    for (uint32_t i = 0; i < N_INPUTS; i++) { input_buffer[i] = (num)sample_of[i] * SCALE; }
#endif
#if HAS_OUTPUTS
    for (uint32_t c = 0; c < N_OUTPUTS; c++) { label_buffer[c] = c == class ? one : 0; }
#endif
    *label = class;
}

/* Every slot as pre, post (of the layer) and signed weight; a free one has the mark for its pre index. */
static void write_slots(int file) {
    for (uint32_t m = 0; m < N_MATRICES; m++) {
        const matrix_t *at = &matrices[m];
        const word_t *signs = at->signs;
        const weight_t *w = at->weight;
        uint32_t width = at->width, mask = at->most;
        num step = at->step;
        (void)signs, (void)width, (void)mask, (void)step;
        for (uint32_t k = 0; k < at->n_slots; k++) {
            struct { uint16_t pre, post; num weight; } slot = {at->pre[k], (uint16_t)(at->first_post + at->post[k]), LOOP(WEIGHT_)(w, k)};
            link_write(file, &slot, sizeof slot);
        }
    }
#ifdef COUNTED
    link_write(file, counts, sizeof counts);
#endif
}

static uint32_t evaluate_all(uint32_t n) {
    int samples = link_open(DATA "test.bin", 0), labels = link_open(DATA "test_labels.bin", 0);
    uint32_t n_correct = 0;
#ifdef COUNTED
    counts_t before[N_MATRICES];
    for (uint32_t m = 0; m < N_MATRICES; m++) { before[m] = counts[m]; }
#endif
    for (uint32_t i = 0; i < n; i++) {
        uint32_t label, best = 0;
        read_sample(samples, labels, i, 1, &label);
        evaluate();
#if N_CORES > 1
        exchange_logits(); /* the host's work: it reads logits core by core */
#endif
#if HAS_OUTPUTS
        for (uint32_t c = 1; c < N_OUTPUTS; c++) { best = logits[c] > logits[best] ? c : best; }
        n_correct += best == label;
#endif
    }
    link_close(samples), link_close(labels);
#ifdef COUNTED
    for (uint32_t m = 0; m < N_MATRICES; m++) { counts[m] = before[m]; } /* those of training alone */
#endif
    return n_correct;
}

void bench(void) {
    int samples = link_open(DATA "train.bin", 0), labels = link_open(DATA "train_labels.bin", 0), order = link_open(DATA "order.bin", 0);
    int epochs = link_open(DATA "epochs.bin", 0), out = link_open(STATES, 1);
    uint32_t n_seen = 0;
    for (uint32_t epoch = 0; epoch < N_EPOCHS; epoch++) {
        link_read(epochs, rules, sizeof rules);
        for (uint32_t i = 0; i < N_TRAIN; i++) {
            uint32_t number, label, first = i - i % BATCH, n = N_TRAIN - first < BATCH ? N_TRAIN - first : BATCH;
            num one = 1.0f / (num)n;
            link_read(order, &number, sizeof number);
            read_sample(samples, labels, number, one, &label);
            train_sample(one, rules);
            if (i + 1 == first + n) { end_batch(rules); }
            if (++n_seen == LIMIT) { break; }
        }
        write_slots(out);
        if (n_seen != LIMIT) {
            uint32_t n_correct = evaluate_all(N_TEST);
            link_write(out, &n_correct, sizeof n_correct);
            link_say("core ", CORE), link_say(", epoch ", epoch + 1), link_say(": right on the test set ", n_correct), link_say(" of ", N_TEST), link_say("\n", 0);
        }
        if (n_seen == LIMIT) { break; }
    }
    link_close(samples), link_close(labels), link_close(order), link_close(epochs), link_close(out);
}
