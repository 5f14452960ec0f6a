/* The training program of one core, phase by phase as docs/hardware-model.md charges it. All loops over slots, neurons and draws are those of loops.c. */
#include "core.h"
#include "loops.c"

#ifdef __arm__ /* the compiler may ask for it, and there is no library */
void *memset(void *to, int value, unsigned int n) {
    for (unsigned char *at = to; n > 0; n--) { *at++ = (unsigned char)value; }
    return to;
}
#endif

enum { SIGN = 1, NOISE_STREAM = 4, PROPOSAL = 5, ROUNDING = 9 }; /* neurosim/random.py */

static uint64_t stream_key(uint32_t stream) { return mix64(random_state.key + stream * 0x9E3779B97F4A7C15u); }

#define FORMAT_OF(at) (at)->step, (at)->per_step, (at)->width, (at)->most

/* ---- forward: slots times values of pre neurons, sums to values */
void forward(void) {
    for (uint32_t m = 0; m < N_MATRICES; m++) {
        const matrix_t *at = &matrices[m];
        start_sum(at->n_own, at->sums);
#if IS_SORTED
        for (uint32_t i = 0; (i += row_test(at->n_pre - i, at->x + i)) < at->n_pre; i++) {
            LOOP(forward_row_)(at->row[i], at->row[i + 1], at->post, at->weight, at->signs, at->x[i], at->sums, FORMAT_OF(at));
        }
#else
        LOOP(forward_)(at->n_slots, at->pre, at->post, at->weight, at->signs, at->x, at->sums, FORMAT_OF(at));
#endif
        if (m + 1 < N_MATRICES) {
            relu_forward(at->n_own, at->sums);
#if N_CORES > 1
            const matrix_t *next = &matrices[m + 1];
            exchange_values(m + 1, next->x, next->own_pre, next->n_own_pre, next->n_pre);
#endif
        }
    }
}

/* ---- output: softmax cross-entropy, (p - y) / samples of the batch */
void output(num inverse) {
#if N_CORES > 1
    exchange_logits();
#endif
#if HAS_OUTPUTS
    const matrix_t *at = &matrices[N_MATRICES - 1];
    uint32_t n_before = at->first_post, n_own = at->n_own, n = at->n_post;
    num top = logits[0], total = 0, e;
    for (uint32_t k = 1; k < n; k++) { top = logits[k] > top ? logits[k] : top; }
    for (uint32_t k = 0; k < n_before; k++) { softmax_exponential(1, logits + k, top, &e, &total); }
    softmax_exponential(n_own, logits + n_before, top, output_error, &total);
    for (uint32_t k = n_before + n_own; k < n; k++) { softmax_exponential(1, logits + k, top, &e, &total); }
    softmax_error(n_own, output_error, label_buffer + n_before, inverse / total);
#endif
}

/* ---- backward: errors of post neurons to those of pre neurons */
void backward(void) {
    for (uint32_t m = N_MATRICES - 1; m > 0; m--) {
        const matrix_t *at = &matrices[m];
        if (at->n_own > 0) {
            start_sum(at->n_pre, at->back);
#if IS_SORTED
            for (uint32_t i = 0; (i += row_test(at->n_pre - i, at->x + i)) < at->n_pre; i++) {
                at->back[i] = LOOP(backward_row_)(at->row[i], at->row[i + 1], at->post, at->weight, at->signs, at->error, FORMAT_OF(at));
            }
#else
            LOOP(backward_)(at->n_slots, at->pre, at->post, at->weight, at->signs, at->error, at->back, FORMAT_OF(at));
#endif
        } else {
            start_sum(at->n_own_pre, at->back + at->own_pre);
        }
#if N_CORES > 1
        exchange_errors(m, at->x, at->back, at->own_pre, at->n_own_pre, at->n_pre);
#endif
        relu_backward(at->n_own_pre, at->x + at->own_pre, at->back + at->own_pre);
    }
}

/* ---- gradient, where slots have accumulators; else the update takes the products at once, or, row by row, strengths do */
void gradient_of_sample(const rule_t *rules) {
#if IS_SORTED || HAS_ACCUMULATORS
    for (uint32_t m = 0; m < N_MATRICES; m++) {
        const matrix_t *at = &matrices[m];
#if IS_SORTED
        for (uint32_t i = 0; (i += row_test(at->n_pre - i, at->x + i)) < at->n_pre; i++) {
#if HAS_ACCUMULATORS
            gradient_row(at->row[i], at->row[i + 1], at->post, at->error, at->x[i], at->gradient);
#else
            gradient_row_apply(at->row[i], at->row[i + 1], at->post, at->error, rules[m].rate * at->x[i], at->weight, at->signs);
#endif
        }
#else
        gradient(at->n_slots, at->pre, at->post, at->x, at->error, at->gradient);
#endif
    }
#endif
}

/* ---- update: theta falls by rate x (slope + l1), moves by noise, is rounded; who falls below zero leaves */
#if HAS_MASTER
#define UPDATE(optimizer) JOIN(optimizer, wide)
#define MOVED(at) (at->master + b)
#else
#define UPDATE(optimizer) JOIN(optimizer, STORAGE)
#define MOVED(at) WEIGHT_AT(at, b)
#endif
#define WEIGHT_AT(at, b) (at->weight + (IS_PACKED ? (b) / 8 * at->width : (b)))

void update(const rule_t *rules) {
    draws_t draws = {.noise_key = fold(stream_key(NOISE_STREAM), random_state.step), .is_stochastic = IS_STOCHASTIC};
    if (IS_STOCHASTIC) { draws.rounding_key = fold(stream_key(ROUNDING), random_state.step); }
    for (uint32_t m = 0; m < N_MATRICES; m++) {
        const matrix_t *at = &matrices[m];
        draws.noise = rules[m].noise, draws.free = &top_free[m];
        for (uint32_t b = 0; b < at->n_slots; b += BLOCK) {
            uint32_t n = at->n_slots - b < BLOCK ? at->n_slots - b : BLOCK;
#if HAS_ACCUMULATORS
            num *g = at->gradient + b;
#else
            num g[BLOCK];
#if IS_SORTED
            start_sum(n, g); /* the strengths have taken it */
#else
            gradient_at_once(n, at->pre + b, at->post + b, at->x, at->error, g);
#endif
#endif
            draws.base = b, draws.first = at->first_slot + b;
            uint32_t n_left =
#if HAS_MOMENTUM
                UPDATE(update_momentum_)(n, at->pre + b, MOVED(at), at->signs + b / 32, g, at->momentum + b, MOMENTUM, at->post + b, rules[m].rate,
                                         rules[m].l1, FORMAT_OF(at), &draws);
#else
                UPDATE(update_sgd_)(n, at->pre + b, MOVED(at), at->signs + b / 32, g, at->post + b, rules[m].rate, rules[m].l1, FORMAT_OF(at), &draws);
#endif
            n_free[m] = (index_t)(n_free[m] + n_left);
            COUNT(m, released, n_left);
#if HAS_MASTER
            LOOP(read_out_)(n, at->master + b, WEIGHT_AT(at, b), FORMAT_OF(at), &draws);
#endif
        }
    }
}

/* ---- rewire: free slots are filled from uniformly drawn free positions, in the order of the stack */
static uint32_t count_taken(const matrix_t *at, uint32_t last) { /* synapses at the positions up to `last`, column by column */
    uint32_t n = 0;
    for (uint32_t k = 0; k < at->n_slots; k++) { n += at->pre[k] != FREE && at->post[k] * at->n_pre + at->pre[k] <= last; }
    return n;
}

static void write_arrival(const matrix_t *at, index_t slot, uint32_t i, uint32_t j) {
    uint64_t position = (uint64_t)i * at->n_post + (at->first_post + j) * at->sign_step;
    index_t pre = (index_t)i, post = (index_t)j;
    uint32_t sign = bits64(at->sign_key, position) & 1 ? 0 : 0x80000000u; /* constant, a hash of the position */
    LOOP(arrival_)(1, &slot, &pre, &post, &sign, at->pre, at->post, at->weight, at->signs, THETA_BORN, at->born, FORMAT_OF(at));
#if HAS_MASTER
    at->master[slot] = sign ? -THETA_BORN : THETA_BORN;
#endif
#if HAS_ACCUMULATORS
    clear_number(1, &slot, at->gradient);
#endif
#if HAS_MOMENTUM
    clear_number(1, &slot, at->momentum);
#endif
}

#if IS_SORTED
/* Arrivals wait in a list, and one pass over all slots drops those that left and puts the list in its order. */
static uint32_t n_listed;

static void move(const matrix_t *at, uint32_t k, uint32_t to) {
    weight_t *w = at->weight;
    word_t *signs = at->signs;
    uint32_t width = at->width, mask = at->most;
    (void)signs, (void)width, (void)mask;
    at->pre[to] = at->pre[k], at->post[to] = at->post[k];
    LOOP(MOVE_)
#if HAS_MASTER
    at->master[to] = at->master[k];
#endif
#if HAS_MOMENTUM
    at->momentum[to] = at->momentum[k];
#endif
}

static void merge_list(const matrix_t *at, uint32_t m) {
    uint32_t to = 0, end = at->row[0];
    for (uint32_t i = 0; i < at->n_pre; i++) { /* those that stay close up */
        uint32_t k = end;
        end = at->row[i + 1], at->row[i] = (index_t)to;
        for (; k < end; k++) {
            if (at->pre[k] != FREE) { move(at, k, to++); }
        }
    }
    for (uint32_t a = 1; a < n_listed; a++) { /* the list in order of rows */
        index_t i = arrival_pre[a], j = arrival_post[a];
        uint32_t b = a;
        for (; b > 0 && (arrival_pre[b - 1] > i || (arrival_pre[b - 1] == i && arrival_post[b - 1] > j)); b--) {
            arrival_pre[b] = arrival_pre[b - 1], arrival_post[b] = arrival_post[b - 1];
        }
        arrival_pre[b] = i, arrival_post[b] = j;
    }
    uint32_t k = to, left = n_listed, n_used = to + n_listed;
    to = n_used;
    while (left > 0) { /* from the last on, every slot moves behind the arrivals before it */
        uint32_t i = arrival_pre[left - 1], j = arrival_post[left - 1];
        for (; k > 0 && (at->pre[k - 1] > i || (at->pre[k - 1] == i && at->post[k - 1] > j)); k--) { move(at, k - 1, --to); }
        write_arrival(at, (index_t)--to, i, j);
        left--;
    }
    for (k = n_used; k < at->n_slots; k++) { at->pre[k] = FREE; }
#if HAS_ACCUMULATORS
    start_sum(at->n_slots, at->gradient); /* those that left were walked on, to nobody's use */
#endif
    for (uint32_t i = 0; i < at->n_pre; i++) {
        while (left < n_listed && arrival_pre[left] < i) { left++; }
        at->row[i] = (index_t)(at->row[i] + left);
    }
    at->row[at->n_pre] = (index_t)n_used;
    n_free[m] = (index_t)(at->n_slots - n_used), n_listed = 0;
    COUNT(m, merges, 1);
}

static uint32_t is_taken(const matrix_t *at, uint32_t i, uint32_t j) {
    uint32_t k = at->row[i], end = at->row[i + 1];
    for (; (k = proposal_row_slot(k, end, at->post, j)) < end; k++) {
        if (at->pre[k] != FREE) return 1;
    }
    return proposal_slot(n_listed, arrival_pre, arrival_post, i, j) < n_listed;
}
static void place(const matrix_t *at, uint32_t m, uint32_t i, uint32_t j) {
    arrival_pre[n_listed] = (index_t)i, arrival_post[n_listed] = (index_t)j, n_listed++, n_free[m]--;
    if (n_listed == N_LISTED) { merge_list(at, m); }
}
#else
static uint32_t is_taken(const matrix_t *at, uint32_t i, uint32_t j) { return proposal_slot(at->n_slots, at->pre, at->post, i, j) < at->n_slots; }
static void place(const matrix_t *at, uint32_t m, uint32_t i, uint32_t j) { /* the free slot on top of the stack */
    index_t slot = top_free[m];
    top_free[m] = at->post[slot], n_free[m]--;
    write_arrival(at, slot, i, j);
}
#endif

void rewire(void) {
    uint64_t key = fold(stream_key(PROPOSAL), random_state.step);
    for (uint32_t m = 0; m < N_MATRICES; m++) {
        const matrix_t *at = &matrices[m];
        uint64_t scope_key = fold(key, at->scope), draw = 0;
        uint32_t n_positions = at->n_pre * at->n_own, n_rejected = 0;
        while (n_free[m] > at->n_spare) {
            uint64_t bits = bits64(scope_key, draw++);
            uint32_t position, i, j;
            if (n_rejected < MOST_PROPOSALS) {
                position = (uint32_t)(bits % n_positions), j = position / at->n_pre, i = position - j * at->n_pre;
                if (is_taken(at, i, j)) {
                    n_rejected++;
                    COUNT(m, rejected, 1);
                    continue;
                }
                COUNT(m, accepted, 1);
            } else { /* an exact draw: the position of that rank among the free ones */
#if IS_SORTED
                if (n_listed > 0) { merge_list(at, m); }
#endif
                uint32_t n_taken = at->n_slots - n_free[m], rank;
                if (n_positions == n_taken) break;
                rank = (uint32_t)(bits % (n_positions - n_taken));
                for (position = rank; (n_taken = count_taken(at, position)) + rank != position; position = rank + n_taken) {}
                j = position / at->n_pre, i = position - j * at->n_pre;
                COUNT(m, exact, 1);
            }
            place(at, m, i, j);
            n_rejected = 0;
        }
#if IS_SORTED
        if (n_listed > 0) { merge_list(at, m); }
#endif
    }
}

void train_sample(num inverse, const rule_t *rules) {
    forward();
    output(inverse);
    backward();
    gradient_of_sample(rules);
}

void end_batch(const rule_t *rules) {
    update(rules);
    if ((random_state.step + 1) % PERIOD == 0) { rewire(); }
    random_state.step++;
}

void evaluate(void) { forward(); }
