// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 LiteNorm contributors

// Test bench of the simulated SoC: clock, UART to and from files or a terminal, cycle limit, optional FST trace.
//
//     Vsim --limit CYCLES --input FILE [--trace FILE.fst]
//     Vsim --limit CYCLES --port FD --byte-cycles CYCLES [--trace FILE.fst]
//
// With --port the UART is a file descriptor that was inherited, as the master of a pseudo-terminal: bytes come and go
// while the simulation runs. What its other side does not take yet holds up the UART, and nothing is lost. What comes in
// keeps the distance of --byte-cycles from byte to byte, as on a line that has a baud rate and no backpressure.
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

#include <fcntl.h>
#include <unistd.h>

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

// Bytes between the UART and a file descriptor.
struct Port {
    int fd = -1;
    std::string input, output;  // on the way
    size_t sent = 0;            // bytes of input that the UART has taken

    static const size_t capacity = 4096;

    bool full() const { return output.size() >= capacity; }

    // Moves what can be moved without waiting. A terminal that nobody has open gives errors, which are no bytes.
    void exchange() {
        if (!output.empty()) {
            ssize_t count = write(fd, output.data(), output.size());
            if (count > 0) output.erase(0, size_t(count));
        }
        if (sent == input.size()) {
            char bytes[capacity];
            ssize_t count = read(fd, bytes, sizeof(bytes));
            input.assign(bytes, count > 0 ? size_t(count) : 0);
            sent = 0;
        }
    }
};

int main(int argc, char** argv) {
    uint64_t limit = 0;
    uint64_t byte_cycles = 0;
    Port port;
    std::string input;
    const char* trace = nullptr;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--limit")) limit = strtoull(argv[i + 1], nullptr, 0);
        if (!strcmp(argv[i], "--input")) input = read_file(argv[i + 1]);
        if (!strcmp(argv[i], "--port")) port.fd = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--byte-cycles")) byte_cycles = strtoull(argv[i + 1], nullptr, 0);
        if (!strcmp(argv[i], "--trace")) trace = argv[i + 1];
    }

    const bool live = port.fd >= 0;
    const pid_t parent = getppid();
    if (live) fcntl(port.fd, F_SETFL, fcntl(port.fd, F_GETFL) | O_NONBLOCK);

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

    // Clock cycles between two looks at the port: less than a millisecond.
    const uint64_t port_period = 512;
    uint64_t next_byte = 0;

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
        if (live && cycle % port_period == 0) port.exchange();
        const std::string& in = live ? port.input : input;
        size_t& taken = live ? port.sent : sent;
        top.serial_source_ready = !live || !port.full();
        top.serial_sink_valid = talking && taken < in.size() && cycle >= next_byte;
        top.serial_sink_data = top.serial_sink_valid ? in[taken] : 0;
        top.eval();
        if (top.serial_sink_valid && top.serial_sink_ready) {
            taken++;
            if (live) next_byte = cycle + byte_cycles;
        }
        if (top.serial_source_valid && top.serial_source_ready) {
            talking = true;
            if (live) {
                port.output.push_back(char(top.serial_source_data));
            } else {
                putchar(top.serial_source_data);
                if (top.serial_source_data == '\n') fflush(stdout);
            }
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
            if (live) drain = 4 * int(port_period);
            fflush(stdout);
            fprintf(stderr, "end %s %" PRIu32 " %" PRIu64 "\n", top.simctrl_exit ? "exit" : "watchdog",
                    uint32_t(top.simctrl_exit ? top.simctrl_code : 0), uint64_t(top.simctrl_cycles));
        }
        // Whoever started a live simulation ends it; if that process has died, nobody would.
        if (live && cycle % status_period == 0 && getppid() != parent) break;
        if (cycle % status_period == 0) fprintf(stderr, "cycles %" PRIu64 "\n", cycle);
    }
#ifdef TRACE
    if (trace) tracer.close();
#endif
    top.final();
    return 0;
}
