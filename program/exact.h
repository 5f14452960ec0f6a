/* What makes the loops a program with the simulator's bits: which products are fused, what is drawn, how strengths are rounded, where free slots wait.
   Each piece names the file that it equals; docs/hardware-model.md, "Same bits", has all of it in one place. Included by loops.h. */

/* Words of signs and fields begin at any byte, and the last may reach into the next array, whose bits are put back as they were. */
typedef uint32_t word_t __attribute__((aligned(1), may_alias));

#define ADD_TIMES(to, a, b) to = __builtin_fmaf(a, b, to)
#define TAKE_TIMES(from, a, b) from = __builtin_fmaf(-(a), b, from)

/* ---- draws: a function of (key, step, number), no state but the step (neurosim/kernels/random.py) */
INLINE uint64_t mix64(uint64_t v) {
    v = (v ^ v >> 30) * 0xBF58476D1CE4E5B9u;
    v = (v ^ v >> 27) * 0x94D049BB133111EBu;
    return v ^ v >> 31;
}
INLINE uint64_t fold(uint64_t key, uint64_t step) { return mix64(key + step * 0x9E3779B97F4A7C15u); }
INLINE uint64_t bits64(uint64_t key, uint64_t number) { return mix64(fold(key, number) ^ key); }
INLINE uint32_t bits32(uint64_t key, uint32_t number) {
    uint32_t h = number * 0x9E3779B9u + (uint32_t)key;
    h = (h ^ h >> 16) * 0x21F0AAADu, h = (h ^ h >> 15) * 0xD35A2D97u;
    h = (h ^ h >> 15) + (uint32_t)(key >> 32);
    h = (h ^ h >> 16) * 0x7FEB352Du, h = (h ^ h >> 15) * 0x846CA68Bu;
    return h ^ h >> 16;
}

INLINE float square_root(float x) {
#ifdef __arm__
    float y;
    __asm__("vsqrt.f32 %0, %1" : "=t"(y) : "t"(x));
    return y;
#else
    return __builtin_sqrtf(x);
#endif
}
INLINE float horner(const float *factor, uint32_t n, float x) {
    float y = factor[0];
#pragma GCC unroll 16
    for (uint32_t i = 1; i < n; i++) { y = __builtin_fmaf(y, x, factor[i]); }
    return y;
}
/* Standard normal deviate by inversion (neurosim/kernels/normal.py): polynomials in the mantissa, and in sqrt(-2 ln p). */
INLINE float normal(uint32_t bits) {
    static const float log_[] = {-0.017207827f, 0.03010229f, -0.04899595f, 0.09832213f, -0.22224016f, 0.6666792f, 0.40546525f};
    static const float quantile[] = {2.3110154e-06f, -2.2998245e-05f, 8.019557e-05f, -0.00014630186f, 0.00045143915f,
                                     -0.0021518494f, 0.00841379f, -0.032929856f, 1.1409059f, 2.286617f};
    uint32_t u = bits_of(((float)(int32_t)(bits & 0x7FFFFFFF) + 0.5f) * 0x1p-32f);
    float e = (float)(int32_t)(u >> 23) - 127.0f, m = of_bits((u & 0x7FFFFF) | 0x3F800000) - 1.5f;
    float l = __builtin_fmaf(e, 0.69314718f, horner(log_, 7, m));
    float z = horner(quantile, 10, square_root(-2.0f * l) - 3.0f);
    return of_bits(bits_of(z) ^ (bits & 0x80000000u));
}
/* exp(x), x <= 0 (neurosim/kernels/softmax.py): 2^n exp(r) with a Taylor polynomial. */
INLINE float exp_below(float x) {
    static const float taylor[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    x = x > -87.0f ? x : -87.0f;
    float t = __builtin_fmaf(x, 1.44269504f, 0.5f);
    int32_t n = (int32_t)t;
    if ((float)n > t) { n--; } /* the floor */
    float whole = (float)n;
    float r = __builtin_fmaf(whole, 2.12194440e-4f, __builtin_fmaf(whole, -0.693359375f, x));
    return horner(taylor, 8, r) * of_bits((uint32_t)(n + 127) << 23);
}

/* ---- what an update knows beside its slots */
typedef struct {
    float noise;        /* standard deviation; 0 for none */
    uint64_t noise_key; /* of this step */
    uint64_t rounding_key;
    uint32_t is_stochastic;
    uint32_t first; /* number of slot 0 of the loop among all slots of the network: draws go by it */
    uint32_t base;  /* its number in its segment */
    index_t *free;  /* the free slot that is used next */
} draws_t;
#define DRAWS , const draws_t *draws
#define NOISE(theta, k) if (draws->noise > 0) { theta = __builtin_fmaf(draws->noise, normal(bits32(draws->noise_key, draws->first + (k))), theta); }
#if IS_SORTED /* its post index stays, for rows that are walked; its strength of zero adds nothing, and the next merge pass drops it */
#define LEAVE(k) ((index_t *)pre)[k] = FREE, count++
#else
/* A free slot has the mark for its pre index, and for its post index the free slot below it: a stack that takes no memory. `leaving` is `post`. */
#define LEAVE(k) ((index_t *)pre)[k] = FREE, leaving[k] = *draws->free, *draws->free = (index_t)(draws->base + (k)), count++
#endif
#define KEEP_f32(w, k, v) ((w)[k] = absolute(v)) /* a strength may underflow to -0 */

/* Steps that a strength is stored as (neurosim/kernels/rounding.py): nearest, ties to even, or up with the probability of the rest. */
INLINE uint32_t steps_of(float q, uint32_t most, const draws_t *draws, uint32_t k) {
    if (!(q < (float)most)) return most;
    if (!draws->is_stochastic) return (uint32_t)(int32_t)((q + 0x1.8p23f) - 0x1.8p23f);
    int32_t low = (int32_t)q;
    float uniform = (float)(int32_t)(bits32(draws->rounding_key, draws->first + k) >> 8) * 0x1p-24f;
    return (uint32_t)low + (q - (float)low > uniform);
}
#define STEPS_OF(v, k) steps_of((v) * per_step, mask, draws, k)

/* A master copy has its sign in its own highest bit. */
#define STRENGTH_OF(master) absolute(master)
#define TYPE_wide float
#define THETA_wide(w, k) absolute((w)[k])
#define WEIGHT_wide(w, k) ((w)[k])
#define SLOPE_wide(w, k, g) of_bits(bits_of(g) ^ (bits_of((w)[k]) & 0x80000000u))
#define KEEP_wide(w, k, v) ((w)[k] = of_bits(bits_of(absolute(v)) | (bits_of((w)[k]) & 0x80000000u)))
#define PLACE_wide(s) w[s] = bits[k] >> 31 ? -born : born;
#define MOVE_wide w[to] = w[k];
