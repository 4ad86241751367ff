/*
 * The loops of perfcore/kernels.py and perfcore/flushing.py by hand, in C.
 *
 * The formulas come from physics.h, which translate.py makes of perfcore.physics; TILE, STRIDE and
 * AXES_MOST come from the command line. Every loop over rows is a function of its own with restrict
 * pointers, so that neither aliasing nor OpenMP's outlining costs vectorisation. Rules and chosen
 * devices are left out.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "physics.h"

enum {
    CAPACITY_FIELDS = sizeof(Capacity) / sizeof(double),
    RUNNING_FIELDS = sizeof(RunningBatch) / sizeof(double),
    POINT_FIELDS = sizeof(Point) / sizeof(double),
};

typedef struct {
    const double *tables[6];
    const int64_t *records; /* (6, points) */
    const double *deployments;
    const double *lengths; /* (2, points) */
    const int32_t *axes;   /* (outer_axes, points) */
    int64_t points;
    int64_t outer_axes;
    const double *inner_batches;
    const double *inner_lengths; /* (2, inner_points) */
    const int32_t *inner_axes;
    int64_t inner_points;
    int64_t inner_axis_count;
    const int64_t *metric_fields;
    const int64_t *code_fields;
    int64_t metrics;
    int64_t codes;
} Sweep;

typedef struct {
    int32_t *axes;
    float *metrics;
    int32_t *codes;
    int64_t capacity; /* rows of a column */
    int64_t pitch;    /* from a column to the next */
} Output;

typedef struct {
    double input_len[STRIDE];
    double output_len[STRIDE];
    double requested[STRIDE];
    double fits[CAPACITY_FIELDS * STRIDE];
    double batches[STRIDE]; /* of stretches of rows that have the same batch */
    double requests[STRIDE];
    double distinct[RUNNING_FIELDS * STRIDE];
    double runs[RUNNING_FIELDS * STRIDE];
    float out_of_the_way[POINT_FIELDS * STRIDE]; /* fields that have no column */
    float *columns[POINT_FIELDS];                /* where the tile's rows of each field begin */
    int64_t moves[POINT_FIELDS];                 /* 1 for fields that have a column */
    int64_t outer_of[STRIDE];
    int64_t inner_of[STRIDE];
    double ran[2];
    int64_t first[STRIDE];
} __attribute__((aligned(64))) Scratch;

static long whole_vectors(long rows) { return (rows + 7) / 8 * 8; }

static __attribute__((noinline)) void fit_rows(const Replica *restrict replica,
                                               const double *restrict input_len,
                                               const double *restrict output_len,
                                               const double *restrict requested,
                                               double *restrict fits, long count)
{
    for (long row = 0; row < count; row++) {
        double batch = runnable(&replica->engine, &replica->deployment, requested[row]);
        Capacity fit = capacity_at(replica, batch, input_len[row], output_len[row]);
        store_Capacity(fits, row, &fit);
    }
}

/* The batches of rows, for a kind of replica, whose switched-off terms are constants. */
#define BATCHES(KIND, SPECIALISE)                                                                  \
    static __attribute__((noinline)) void batch_rows_##KIND(                                       \
        const Replica *restrict given, const double *restrict batch,                               \
        const double *restrict requested, double *restrict runs, long count)                       \
    {                                                                                              \
        Replica replica = *given;                                                                  \
        SPECIALISE(replica);                                                                       \
        for (long row = 0; row < count; row++) {                                                   \
            RunningBatch running = batch_at(&replica, batch[row], requested[row]);                      \
            store_RunningBatch(runs, row, &running);                                                    \
        }                                                                                          \
    }

#define AS_IT_IS(r) ((void)0)
#define AS_STATIC_PLAIN(r) (AS_UNCAPPED(r), AS_STATIC(r), AS_PLAIN(r))
#define AS_UNCAPPED_ONE_STAGE(r) (AS_UNCAPPED(r), AS_ONE_STAGE(r))
#define AS_UNCAPPED_STATIC(r) (AS_UNCAPPED_ONE_STAGE(r), AS_STATIC(r))
#define AS_UNCAPPED_PLAIN(r) (AS_UNCAPPED(r), AS_PLAIN(r))
#define AS_UNDRAFTED_PLAIN(r) (AS_UNDRAFTED(r), AS_PLAIN(r))

BATCHES(any, AS_IT_IS)
BATCHES(undrafted, AS_UNDRAFTED)
BATCHES(undrafted_plain, AS_UNDRAFTED_PLAIN)

static void batch_rows(const Replica *replica, const Scratch *s, double *runs, long count)
{
    if (!IS_UNDRAFTED(*replica))
        batch_rows_any(replica, s->batches, s->requests, runs, count);
    else if (IS_PLAIN(*replica))
        batch_rows_undrafted_plain(replica, s->batches, s->requests, runs, count);
    else
        batch_rows_undrafted(replica, s->batches, s->requests, runs, count);
}

/* That no two columns overlap. */
#ifdef __clang__
#define APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define APART _Pragma("GCC ivdep")
#endif

/* The loop of a kind of replica, whose switched-off terms are constants to the compiler. */
#define LOOP(KIND, SPECIALISE)                                                                     \
    static __attribute__((noinline)) void evaluate_rows_##KIND(                                    \
        const Replica *restrict given, const double *restrict input_len,                           \
        const double *restrict output_len, const double *restrict runs,                            \
        const double *restrict fits, float *const *restrict columns, long start, long stop)        \
    {                                                                                              \
        Replica replica = *given;                                                                  \
        SPECIALISE(replica);                                                                       \
        APART for (long row = start; row < stop; row++)                                            \
        {                                                                                          \
            RunningBatch running = load_RunningBatch(runs, row);                                             \
            Capacity fit = load_Capacity(fits, row);                                                         \
            Prefill prefill = prefill_at(&replica, &running, input_len[row], output_len[row]);     \
            Step step = step_at(&replica, &running, input_len[row], output_len[row]);              \
            PromptsPool ahead = pool_of(&replica);                                                 \
            Point point = point_at(&replica, &ahead, &running, &fit, input_len[row],               \
                                   output_len[row], &prefill, &step);                              \
            store_Point(columns, row, &point);                                                     \
        }                                                                                          \
    }                                                                                              \
    static void evaluate_##KIND(const Replica *replica, Scratch *s, long start, long count)        \
    {                                                                                              \
        evaluate_rows_##KIND(replica, s->input_len, s->output_len, s->runs, s->fits, s->columns,   \
                             start, start + count);                                                \
    }

LOOP(any, AS_IT_IS)
LOOP(uncapped, AS_UNCAPPED)
LOOP(one_stage, AS_UNCAPPED_ONE_STAGE)
LOOP(static, AS_UNCAPPED_STATIC)
LOOP(plain, AS_UNCAPPED_PLAIN)
LOOP(static_plain, AS_STATIC_PLAIN)

static long drop_rows(Scratch *s, long start, long count)
{
    const double *status = s->fits;
    long failing = 0;
    for (long row = start; row < start + count; row++) failing += status[row] > OK;
    if (failing == 0) return count;
    long kept = start;
    for (long row = start; row < start + count; row++) {
        int keep = status[row] == OK;
        for (long field = 0; field < CAPACITY_FIELDS; field++)
            s->fits[field * STRIDE + kept] = s->fits[field * STRIDE + row];
        s->input_len[kept] = s->input_len[row];
        s->output_len[kept] = s->output_len[row];
        s->requested[kept] = s->requested[row];
        s->inner_of[kept] = s->inner_of[row];
        kept += keep;
    }
    return kept - start;
}

/* Stretches of rows that ask for and run the same batch; returns how many there are. */
static long find_stretches(Scratch *s, long start, long count)
{
    const double *ran = s->fits + STRIDE;
    double batch = ran[start], requested = s->requested[start];
    long stretches = 0, changes = 0;
    for (long row = start; row < start + count; row++)
        changes += (ran[row] != batch) | (s->requested[row] != requested);
    if (changes == 0) {
        s->first[0] = start;
        s->first[1] = start + count;
        s->batches[0] = batch;
        s->requests[0] = requested;
        return 1;
    }
    batch = requested = -1.0;
    for (long row = start; row < start + count; row++) {
        s->first[stretches] = row;
        s->batches[stretches] = ran[row];
        s->requests[stretches] = s->requested[row];
        stretches += (ran[row] != batch) | (s->requested[row] != requested);
        batch = ran[row];
        requested = s->requested[row];
    }
    s->first[stretches] = start + count;
    return stretches;
}

static void run_rows(const Replica *replica, Scratch *s, long start, long count)
{
    long stretches = find_stretches(s, start, count);
    if (stretches == 1 && s->ran[0] == s->batches[0] && s->ran[1] == s->requests[0]) return;
    s->ran[0] = 0.0;
    if (stretches == count) {
        batch_rows(replica, s, s->runs + start, whole_vectors(count));
        return;
    }
    batch_rows(replica, s, s->distinct, whole_vectors(stretches));
    for (long stretch = 0; stretch < stretches; stretch++) {
        long first = s->first[stretch], rows = whole_vectors(s->first[stretch + 1] - first);
        if (stretches == 1) first = 0, rows = STRIDE;
        for (long field = 0; field < RUNNING_FIELDS; field++) {
            double value = s->distinct[field * STRIDE + stretch];
            double *restrict to = s->runs + field * STRIDE + first;
            for (long row = 0; row < rows; row++) to[row] = value;
        }
    }
    if (stretches == 1) {
        s->ran[0] = s->batches[0];
        s->ran[1] = s->requests[0];
    }
}

/* End of the rows from `start` on that are consecutive inner points of one outer one. */
static long stretch_end(const Scratch *s, long start, long filled)
{
    long outer = s->outer_of[start], ahead = s->inner_of[start] - start, last = filled - 1;
    if (s->outer_of[last] == outer && s->inner_of[last] == last + ahead) return filled;
    long stop = start + 1;
    while (stop < filled && s->outer_of[stop] == outer && s->inner_of[stop] == stop + ahead) stop++;
    return stop;
}

/* The columns of a buffer, from its first row on. */
static void begin(const Sweep *sweep, Scratch *s, const Output *out)
{
    for (long field = 0; field < POINT_FIELDS; field++) {
        s->columns[field] = s->out_of_the_way + field * STRIDE;
        s->moves[field] = 0;
    }
    for (long column = 0; column < sweep->metrics; column++) {
        s->columns[sweep->metric_fields[column]] = out->metrics + column * out->pitch;
        s->moves[sweep->metric_fields[column]] = 1;
    }
}

/* Finish a tile's rows, before which there are `rows` in the buffer. */
static void flush_tile(const Sweep *sweep, Scratch *s, const Output *out, long filled, long rows)
{
    for (long column = 0; column < sweep->codes; column++) {
        const float *restrict from = s->columns[sweep->code_fields[column]];
        int32_t *restrict to = out->codes + column * out->pitch + rows;
        for (long row = 0; row < filled; row++) to[row] = (int32_t)from[row];
    }
    for (long field = 0; field < POINT_FIELDS; field++)
        s->columns[field] += s->moves[field] * filled;
    for (long start = 0, stop; start < filled; start = stop) {
        long outer = s->outer_of[start], inner = s->inner_of[start];
        stop = stretch_end(s, start, filled);
        for (long axis = 0; axis < sweep->outer_axes; axis++) {
            int32_t label = sweep->axes[axis * sweep->points + outer];
            int32_t *to = out->axes + axis * out->pitch + rows;
            for (long row = start; row < stop; row++) to[row] = label;
        }
        for (long axis = 0; axis < sweep->inner_axis_count; axis++)
            memcpy(out->axes + (sweep->outer_axes + axis) * out->pitch + rows + start,
                   sweep->inner_axes + axis * sweep->inner_points + inner,
                   (stop - start) * sizeof(int32_t));
    }
}

static __attribute__((noinline)) Replica prepare_point(const Sweep *sweep, long outer)
{
    const double *const *tables = sweep->tables;
    const int64_t *row = sweep->records + outer;
    const int64_t step = sweep->points;
    return prepare((const Model *)tables[0] + row[0], (const Device *)tables[1] + row[step],
                   (const Engine *)tables[2] + row[2 * step],
                   (const WeightFormat *)tables[3] + row[3 * step],
                   (const KVFormat *)tables[4] + row[4 * step],
                   (const Deployment *)sweep->deployments + outer,
                   (const Economics *)tables[5] + row[5 * step]);
}

/* Evaluate points first ... last - 1 into a buffer that is used again when it is full. */
static long fill_columns(const Sweep *sweep, long first, long last, const Output *out, Scratch *s)
{
    long total = 0, rows = 0, filled = 0;
    begin(sweep, s, out);
    for (long outer = first; outer < last; outer++) {
        Replica replica = prepare_point(sweep, outer);
        s->ran[0] = 0.0;
        if (replica.status > OK) continue;
        double input_len = sweep->lengths[outer];
        double output_len = sweep->lengths[sweep->points + outer];
        long start = filled;
        for (long inner = 0; inner < sweep->inner_points;) {
            long count = sweep->inner_points - inner;
            if (count > TILE - filled) count = TILE - filled;
            for (long row = 0; row < count; row++) {
                s->input_len[filled + row] = sweep->inner_lengths[inner + row] + input_len;
                s->output_len[filled + row] =
                    sweep->inner_lengths[sweep->inner_points + inner + row] + output_len;
                s->requested[filled + row] =
                    sweep->inner_batches[inner + row] + replica.deployment.batch;
                s->outer_of[filled + row] = outer;
                s->inner_of[filled + row] = inner + row;
            }
            fit_rows(&replica, s->input_len + filled, s->output_len + filled,
                     s->requested + filled, s->fits + filled, whole_vectors(count));
            inner += count;
            filled += drop_rows(s, filled, count);
            if (filled > start && (filled == TILE || inner == sweep->inner_points)) {
                long part = whole_vectors(filled - start);
                run_rows(&replica, s, start, filled - start);
                if (!IS_UNCAPPED(replica))
                    evaluate_any(&replica, s, start, part);
                else if (!IS_ONE_STAGE(replica))
                    evaluate_uncapped(&replica, s, start, part);
                else if (IS_STATIC(replica) && IS_PLAIN(replica))
                    evaluate_static_plain(&replica, s, start, part);
                else if (IS_STATIC(replica))
                    evaluate_static(&replica, s, start, part);
                else if (IS_PLAIN(replica))
                    evaluate_plain(&replica, s, start, part);
                else
                    evaluate_one_stage(&replica, s, start, part);
            }
            if (filled == TILE) {
                flush_tile(sweep, s, out, filled, rows);
                rows += filled;
                total += filled;
                filled = start = 0;
                if (out->capacity - rows < TILE) {
                    begin(sweep, s, out);
                    rows = 0;
                }
            }
        }
    }
    flush_tile(sweep, s, out, filled, rows);
    return total + filled;
}

static void *zeros(long size)
{
    void *room = aligned_alloc(64, (size + 63) / 64 * 64);
    return memset(room, 0, size);
}

static Output new_output(const Sweep *sweep, long capacity, long pitch)
{
    return (Output){
        .axes = zeros((sweep->outer_axes + sweep->inner_axis_count) * pitch * sizeof(int32_t)),
        .metrics = zeros(sweep->metrics * pitch * sizeof(float)),
        .codes = zeros(sweep->codes * pitch * sizeof(int32_t)),
        .capacity = capacity,
        .pitch = pitch,
    };
}

static Scratch *new_scratch(void)
{
    Scratch *scratch = aligned_alloc(64, sizeof(Scratch));
    memset(scratch, 0, sizeof(Scratch));
    for (long place = 0; place < (long)(offsetof(Scratch, out_of_the_way) / sizeof(double)); place++)
        ((double *)scratch)[place] = 1.0;
    return scratch;
}

/* All points into `out`, which holds them all; returns their number. */
long fill_once(const Sweep *sweep, const Output *out)
{
    Scratch *scratch = new_scratch();
    long rows = fill_columns(sweep, 0, sweep->points, out, scratch);
    free(scratch);
    return rows;
}

/* All points in blocks, `passes` times, by some threads with a buffer each; returns rows. */
long run_blocks(const Sweep *sweep, long block, long passes, int threads, long capacity,
                long pitch)
{
    long blocks = (sweep->points + block - 1) / block, rows = 0;
#pragma omp parallel num_threads(threads) reduction(+ : rows)
    {
        Output out = new_output(sweep, capacity, pitch);
        Scratch *scratch = new_scratch();
#pragma omp for schedule(dynamic)
        for (long number = 0; number < blocks * passes; number++) {
            long first = number % blocks * block, last = first + block;
            rows += fill_columns(sweep, first, last < sweep->points ? last : sweep->points, &out,
                                 scratch);
        }
        free(out.axes), free(out.metrics), free(out.codes), free(scratch);
    }
    return rows;
}
