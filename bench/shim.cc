/* bench/shim.cc: see shim.h. The only C++ of the project. */
#include "bench/shim.h"
#include <benchmark/benchmark.h>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

struct bench {
    benchmark::State *state;
    bool timed, answered, stopped;
    uint64_t answer;
    std::chrono::steady_clock::time_point began;
    double seconds; /* of this round so far */
    bool in_round;
};

namespace
{
bool tiny, failed;

void run(benchmark::State &state, bench_fn *function, const void *context, bool timed)
{
    struct bench bench = {};
    bench.state = &state;
    bench.timed = timed;
    function(&bench, context);
    if (bench.stopped)
        return;
    char label[32];
    std::snprintf(label, sizeof label, "sum %016" PRIx64, bench.answer);
    state.SetLabel(bench.answered ? label : "no sum");
}

benchmark::internal::Benchmark *add(const char *name, bench_fn *function, const void *context, bool timed)
{
    auto *b = benchmark::RegisterBenchmark(
        name, [=](benchmark::State &state) { run(state, function, context, timed); });
    /* Wall time, since a bench may have more threads than its own. */
    return timed ? b->UseManualTime() : b->UseRealTime();
}
} // namespace

void bench_add(const char *name, bench_fn *function, const void *context)
{
    add(name, function, context, false);
}

void bench_add_timed(const char *name, bench_fn *function, const void *context)
{
    add(name, function, context, true);
}

int bench_tiny(void)
{
    return tiny;
}

int bench_round(struct bench *bench)
{
    if (bench->stopped)
        return 0;
    if (bench->timed && bench->in_round)
        bench->state->SetIterationTime(bench->seconds);
    bench->seconds = 0;
    bench->in_round = bench->state->KeepRunning();
    return bench->in_round;
}

void bench_answer(struct bench *bench, uint64_t answer)
{
    if (bench->answered && bench->answer != answer)
        bench_wrong(bench, "two rounds gave different answers");
    bench->answer = answer;
    bench->answered = true;
}

void bench_begin(struct bench *bench)
{
    bench->began = std::chrono::steady_clock::now();
}

void bench_end(struct bench *bench)
{
    bench->seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - bench->began).count();
}

void bench_items(struct bench *bench, uint64_t items, uint64_t bytes)
{
    if (bench->stopped)
        return;
    const double rounds = static_cast<double>(bench->state->iterations());
    using benchmark::Counter;
    if (items) {
        bench->state->SetItemsProcessed(static_cast<int64_t>(items) * bench->state->iterations());
        bench->state->counters["per_item"] =
            Counter(static_cast<double>(items) * rounds, Counter::kIsRate | Counter::kInvert);
    }
    if (bytes)
        bench->state->SetBytesProcessed(static_cast<int64_t>(bytes) * bench->state->iterations());
}

void bench_wrong(struct bench *bench, const char *why)
{
    failed = true;
    bench->stopped = true;
    bench->state->SkipWithError(why);
}

void bench_skip(struct bench *bench, const char *why)
{
    bench->stopped = true;
    bench->state->SkipWithError(why);
}

int main(int argc, char **argv)
{
    static char short_time[] = "--benchmark_min_time=0.001";
    std::vector<char *> args;
    for (int i = 0; i < argc; i++) {
        if (std::strcmp(argv[i], "--tiny") == 0) {
            tiny = true;
            args.push_back(short_time);
        } else {
            args.push_back(argv[i]);
        }
    }
    int count = static_cast<int>(args.size());
    args.push_back(nullptr);
    benches();
    benchmark::Initialize(&count, args.data());
    if (benchmark::ReportUnrecognizedArguments(count, args.data()))
        return 2;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return failed ? 1 : 0;
}
