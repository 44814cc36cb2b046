// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 LiteNorm contributors

// Test bench of the simulated SoC: clock, UART to and from files, cycle limit, optional FST trace.
//
//     Vsim --limit CYCLES --input FILE [--trace FILE.fst]
//
// SIGTERM and SIGINT end it after the current clock cycle with a whole trace, and exit code 0 as otherwise.
//
// stdout is what the UART sends, byte for byte. stderr carries the status, one line each:
//     cycles N               now and then
//     end exit CODE N        the firmware wrote its exit code
//     end watchdog 0 N       the cycle limit was reached
// The memories are read from *.init files in the current folder when the simulation starts.

#include <cinttypes>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "Vsim.h"
#include "verilated.h"
#ifdef TRACE
#include "verilated_fst_c.h"
#endif

double sc_time_stamp() { return 0; }

static volatile std::sig_atomic_t stopped = 0;

static void stop(int) { stopped = 1; }

static std::string read_file(const char* path) {
    std::string text;
    FILE* f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "error cannot read %s\n", path);
        exit(2);
    }
    for (int c; (c = fgetc(f)) != EOF;) text.push_back(char(c));
    fclose(f);
    return text;
}

int main(int argc, char** argv) {
    uint64_t limit = 0;
    std::string input;
    const char* trace = nullptr;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--limit")) limit = strtoull(argv[i + 1], nullptr, 0);
        if (!strcmp(argv[i], "--input")) input = read_file(argv[i + 1]);
        if (!strcmp(argv[i], "--trace")) trace = argv[i + 1];
    }

    struct sigaction action = {};
    action.sa_handler = stop;  // without SA_RESTART: a write to a full pipe, which nobody may read any more, ends
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);

    VerilatedContext context;
    Vsim top{&context};
#ifdef TRACE
    VerilatedFstC tracer;
    if (trace) {
        context.traceEverOn(true);
        top.trace(&tracer, 99);
        tracer.open(trace);
    }
#else
    (void)trace;
#endif

    // Enough for the bytes that are still in the UART's FIFO when the firmware exits.
    const int drain_cycles = 64;
    // About twice a second.
    const uint64_t status_period = uint64_t(1) << 20;

    // The input waits for the first byte of output: the UART's driver clears the receive event when it starts, and a byte
    // that came before would never raise an interrupt.
    bool talking = false;
    size_t sent = 0;  // bytes of input that the UART has taken
    int drain = -1;   // cycles left to run after the end, -1: not ended
    top.simctrl_limit = limit;
    top.serial_source_ready = 1;
    top.sys_clk = 0;
    top.eval();
    for (uint64_t cycle = 0; drain != 0 && !stopped && !context.gotFinish(); cycle++) {
        // Clock low: the outputs are settled, the inputs change.
        top.serial_sink_valid = talking && sent < input.size();
        top.serial_sink_data = top.serial_sink_valid ? input[sent] : 0;
        top.eval();
        if (top.serial_sink_valid && top.serial_sink_ready) sent++;
        if (top.serial_source_valid) {
            talking = true;
            putchar(top.serial_source_data);
            if (top.serial_source_data == '\n') fflush(stdout);
        }
#ifdef TRACE
        if (trace) tracer.dump(10 * cycle);
#endif
        top.sys_clk = 1;
        top.eval();
#ifdef TRACE
        if (trace) tracer.dump(10 * cycle + 5);
#endif
        top.sys_clk = 0;
        if (drain > 0) {
            drain--;
        } else if (top.simctrl_exit || top.simctrl_watchdog) {
            drain = drain_cycles;
            fflush(stdout);
            fprintf(stderr, "end %s %" PRIu32 " %" PRIu64 "\n", top.simctrl_exit ? "exit" : "watchdog",
                    uint32_t(top.simctrl_exit ? top.simctrl_code : 0), uint64_t(top.simctrl_cycles));
        }
        if (cycle % status_period == 0) fprintf(stderr, "cycles %" PRIu64 "\n", cycle);
    }
#ifdef TRACE
    if (trace) tracer.close();
#endif
    top.final();
    return 0;
}
