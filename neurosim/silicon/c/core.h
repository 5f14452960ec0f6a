/* One core of the chip: what lies in its memory, and the phases of the training program (docs/hardware-model.md, section 4). */
#ifndef CORE_H
#define CORE_H
#include "network.h"
#include "loops.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define LOOP(name) JOIN(name, STORAGE) /* the loop for the format that weights are stored in */
typedef JOIN(TYPE_, STORAGE) weight_t;

/* One weight matrix, as far as its post neurons lie on this core: its segment. Post indices count from the first own neuron. */
typedef struct {
    uint32_t n_slots, n_spare; /* capacity, and how much of it stays free */
    uint32_t n_pre, n_own;     /* pre neurons, own post neurons */
    uint32_t first_slot;       /* number of its first slot among those of the whole network: draws go by it */
    uint32_t scope;            /* number of the segment among those of the whole network: proposals go by it */
    uint32_t first_post, n_post;       /* first own post neuron, and all of the matrix: signs go by positions */
    uint32_t own_pre, n_own_pre;       /* own pre neurons; the others' values are copies */
    uint64_t sign_key;
    uint32_t sign_step;                /* 0 where all synapses of a pre neuron share a sign */
    index_t *pre, *post;
    weight_t *weight;
    word_t *signs;
    num *master, *gradient, *momentum; /* none: 0 */
    index_t *row;                      /* where rows begin, in event_driven execution */
    num *x, *sums;                     /* values of pre neurons, sums of own post neurons */
    num *error, *back;                 /* errors of own post neurons, and of pre neurons */
    num step, per_step;                /* of stored strengths */
    uint32_t width, most;              /* their bits, and the largest */
    uint32_t born;                     /* an arrival, stored */
} matrix_t;

extern const matrix_t matrices[N_MATRICES];
extern num input_buffer[], label_buffer[], logits[], output_error[];
/* Where all draws come from; nothing of it is drawn in advance. */
extern struct state { uint64_t key, step; } random_state;
extern index_t arrival_pre[], arrival_post[]; /* the list of a merge pass, in event_driven execution */
extern index_t top_free[N_MATRICES], n_free[N_MATRICES];

/* Numbers of an epoch, of each matrix. */
typedef struct { float rate, l1, noise; } rule_t;

/* What happened, for whoever compares with the simulator; no part of the program. */
typedef struct { uint32_t accepted, rejected, exact, released, merges, received, sent_back; } counts_t;
#ifdef COUNTED
extern counts_t counts[N_MATRICES];
#define COUNT(m, what, n) counts[m].what += (n)
#else
#define COUNT(m, what, n)
#endif

/* The phases. `inverse` is 1 / (samples of the batch); labels are one-hot times that. */
void forward(void);
void output(num inverse);
void backward(void);
void gradient_of_sample(const rule_t *rules);
void update(const rule_t *rules);
void rewire(void);

/* One sample of a batch, and what follows the last one. */
void train_sample(num inverse, const rule_t *rules);
void end_batch(const rule_t *rules);
/* The logits of a sample that is not trained on. */
void evaluate(void);

/* With several cores: give what is to be sent, and take what arrives. network.c has the packets. `own`, `n_own` : own neurons among the `n` of the layer. */
#if N_CORES > 1
void exchange_values(uint32_t m, num *values, uint32_t own, uint32_t n_own, uint32_t n);
void exchange_errors(uint32_t m, const num *values, num *errors, uint32_t own, uint32_t n_own, uint32_t n);
void exchange_logits(void);
#endif
#endif
