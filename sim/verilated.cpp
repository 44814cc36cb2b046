// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 LiteNorm contributors

// Cycle loop of sim/verilated.py: stream drivers and monitors, watched signals, a memory on Wishbone. It knows the model
// only as a table of ports (see the glue that verilated.py generates), so it is compiled once for all models.
//
// One cycle: drive the inputs, settle the logic with the clock low, answer combinationally where an agent does so
// (and settle again), sample, clock edge.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "verilated.h"

struct Port {
    const char* name;
    uint32_t width;  // bits
    uint32_t bytes;  // of Verilator's storage
    uint32_t output;
    uint8_t* data;
};

// A register (depth 1) or a memory, when the model was built with access to them.
struct StateElement {
    uint32_t width;  // bits of a word
    uint32_t depth;  // words
    uint32_t bytes;  // of Verilator's storage of a word
    uint8_t* data;
};

// Provided by the generated glue.
extern void* glue_new(uint64_t seed, Port* ports);
extern void glue_free(void* model);
extern void glue_enter(void* model);  // makes it the thread's current model
extern void glue_eval(void* model);
extern bool glue_finished(void* model);
extern uint32_t glue_ports();
extern uint32_t glue_states();
extern void glue_state(void* model, StateElement* elements);
extern bool glue_trace(void* model, const char* path);
extern void glue_dump(void* model, uint64_t time);

// Verilator aborts the process on a fatal error; the Python side wants an exception.
void vl_fatal(const char* file, int line, const char*, const char* msg) {
    throw std::runtime_error(std::string("Verilator: ") + msg + " (" + file + ":" + std::to_string(line) + ")");
}
void vl_finish(const char*, int, const char*) { Verilated::threadContextp()->gotFinish(true); }

namespace {

enum Code { OK = 0, PROTOCOL = 1, HANG = 2, MAX_CYCLES = 3, EXTRA = 4, FATAL = 5 };

struct Failure : std::runtime_error {
    Code code;
    Failure(Code c, const std::string& text) : std::runtime_error(text), code(c) {}
};

// SplitMix64: one multiply-xorshift chain per number, any seed is good.
struct Random {
    uint64_t state = 0;
    uint64_t next() {
        uint64_t z = (state += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }
    bool chance(uint64_t p32) { return (next() >> 32) < p32; }  // p32: probability * 2**32
};

}  // namespace

struct StallSpec {
    uint64_t enter;  // probability * 2**32 that a stall begins in a cycle
    uint64_t leave;  // probability * 2**32 that it ends
    uint32_t wait_valid;  // sources: ready rises only in answer to valid
};

struct Field {
    uint32_t port;
    uint32_t offset;  // in the beat's bytes
    uint32_t bytes;
};

namespace {

struct Staller {
    StallSpec spec{0, 1ull << 32, 0};
    bool stalled = false;
    bool step(Random& random) {
        stalled = stalled ? !random.chance(spec.leave) : random.chance(spec.enter);
        return stalled;
    }
};

struct Stream {
    std::string name;
    uint8_t* valid;
    uint8_t* ready;
    std::vector<Field> fields;
    std::vector<uint8_t*> pins;
    uint32_t beat_bytes;
    uint32_t last_offset;
    Random random;
    Staller staller;

    void put(const uint8_t* beat) {
        for (size_t i = 0; i < fields.size(); i++) memcpy(pins[i], beat + fields[i].offset, fields[i].bytes);
    }
    void take(uint8_t* beat) const {
        for (size_t i = 0; i < fields.size(); i++) memcpy(beat + fields[i].offset, pins[i], fields[i].bytes);
    }
};

struct Sink : Stream {
    const uint8_t* beats = nullptr;
    uint64_t* cycles = nullptr;
    uint64_t count = 0;
    uint64_t next = 0;
    int after = -1;  // starts when that sink has sent everything
    bool offered = false;
    std::vector<uint32_t> widths;
    std::vector<uint8_t> garbage;

    void withdraw() {
        *valid = 0;
        offered = false;
        // Payload without valid is noise, so that a module that looks at it is found out.
        for (size_t i = 0; i < fields.size(); i++) {
            for (uint32_t b = 0; b < fields[i].bytes; b++) pins[i][b] = uint8_t(random.next());
            if (widths[i] % 8) pins[i][(widths[i] - 1) / 8] &= uint8_t((1 << (widths[i] % 8)) - 1);
            for (uint32_t b = (widths[i] + 7) / 8; b < fields[i].bytes; b++) pins[i][b] = 0;
        }
    }
};

struct Source : Stream {
    std::vector<uint8_t> beats;
    std::vector<uint64_t> cycles;
    uint64_t transfers = 0;
    int64_t expect = -1;
    bool held = false;
    std::vector<uint8_t> beat, hold;
};

struct Watch {
    uint32_t port;
    std::vector<uint64_t> cycles;
    std::vector<uint64_t> values;
};

std::string address(uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)value);
    return text;
}

std::string hex(const uint8_t* data, size_t bytes) {
    static const char* digits = "0123456789abcdef";
    std::string text = "0x";
    for (size_t i = bytes; i-- > 0;) {
        text += digits[data[i] >> 4];
        text += digits[data[i] & 15];
    }
    return text;
}

}  // namespace

// One range of byte addresses, both ends included.
struct Range {
    uint64_t first, last;
};

// Ports of one Wishbone master, as indices.
struct BusPorts {
    uint32_t cyc, stb, we, adr, sel, dat_w, cti, bte, ack, err, dat_r;
    uint32_t word_bytes;
    uint32_t byte_addressed;
};

struct BusTiming {
    uint64_t latency;  // cycles before the reply to the first beat of an access
    StallSpec stall;  // further, random waits before any beat
    uint32_t bursting;  // following beats of an incrementing burst need no latency
    uint32_t withdraw;  // a request may be withdrawn before its reply
    uint32_t strict;  // the protocol is checked
    uint64_t noise;  // probability * 2**32 of an ack or err in a cycle without a request
};

// An input port is set at the beginning of a cycle, counted from that in which play() begins.
struct Poke {
    uint64_t cycle;
    uint64_t value;
    uint32_t port;
    uint32_t spare;
};

// One beat in the log. kind: 0 read, 1 write; reply: 0 ack, 1 err.
struct BusBeat {
    uint64_t cycle;
    uint64_t address;  // in bytes
    uint32_t sel;
    uint8_t kind, reply, cti, spare;
};

namespace {

struct Memory {
    uint8_t* data = nullptr;
    uint64_t base = 0, size = 0;
};

struct Pins {
    uint8_t *cyc, *stb, *we, *adr, *sel, *dat_w, *cti, *bte, *ack, *err, *dat_r;
};

struct Request {
    uint64_t address = 0, sel = 0;
    uint8_t we = 0, cti = 0;
    std::vector<uint8_t> data;
    bool operator!=(const Request& o) const {
        return address != o.address || sel != o.sel || we != o.we || cti != o.cti || (we && data != o.data);
    }
};

enum BusLists { ERROR_RANGES, DEAD_RANGES, READ_RANGES, WRITE_RANGES, ERROR_BEATS, DEAD_BEATS, LISTS };

// Wishbone slave (B4 pipelined features: none; classic and registered-feedback incrementing bursts), and a check of the
// master: a request stays as it is until the reply, a burst goes on at the next word and ends with cti = 7.
struct Bus {
    std::string name;
    BusPorts index;
    Pins pins;
    uint32_t adr_bytes, sel_bytes, width;
    BusTiming timing{0, {0, 1ull << 32, 0}, 1, 0, 1, 0};
    std::vector<Range> lists[LISTS];
    Random random;
    Staller staller;
    Request request, held;
    bool pending = false;  // a request waits for its reply
    bool dead = false;  // it will wait for ever
    bool in_burst = false;
    bool replied = false;
    bool stalled = false;
    uint64_t wait = 0;
    uint64_t next_address = 0;
    uint8_t burst_we = 0;
    uint64_t beats = 0;
    std::vector<BusBeat> log;

    void clear() {
        *pins.ack = *pins.err = 0;
        pending = dead = in_burst = replied = false;
    }
    bool active() const { return *pins.cyc && *pins.stb; }
    bool listed(BusLists list, uint64_t first, uint64_t last) const {
        for (auto& r : lists[list])
            if (first <= r.last && last >= r.first) return true;
        return false;
    }
    // Every byte that sel selects must lie in one of the ranges.
    bool allowed(BusLists list) const {
        if (lists[list].empty()) return true;
        for (uint32_t b = 0; b < width; b++) {
            bool inside = !(request.sel >> b & 1);
            for (auto& r : lists[list]) inside |= request.address + b >= r.first && request.address + b <= r.last;
            if (!inside) return false;
        }
        return true;
    }
    void read_request() {
        uint64_t adr = 0, sel = 0;
        memcpy(&adr, pins.adr, adr_bytes);
        memcpy(&sel, pins.sel, sel_bytes);
        request.address = index.byte_addressed ? adr : adr * width;
        request.sel = sel;
        request.we = *pins.we;
        request.cti = *pins.cti;
        request.data.assign(pins.dat_w, pins.dat_w + width);
    }
    void drive() {
        *pins.ack = *pins.err = 0;
        replied = false;
        for (uint32_t b = 0; b < width; b++) pins.dat_r[b] = uint8_t(random.next());  // Only valid with ack.
        stalled = staller.step(random);
    }
    // Called when the logic has settled; true when the reply changed an input.
    bool answer(const Memory& memory) {
        if (!active()) {
            if (!timing.noise || !random.chance(timing.noise)) return false;
            *(random.next() & 1 ? pins.ack : pins.err) = 1;
            return true;
        }
        read_request();
        if (!pending) {
            pending = true;
            wait = in_burst && timing.bursting ? 0 : timing.latency;
            dead = listed(DEAD_RANGES, request.address, request.address + width - 1) || listed(DEAD_BEATS, beats, beats);
            held = request;
        }
        if (dead) return false;
        if (wait) {
            wait--;
            return false;
        }
        if (stalled) return false;
        bool outside = request.address < memory.base || request.address + width > memory.base + memory.size;
        bool error = outside || listed(ERROR_RANGES, request.address, request.address + width - 1) ||
                     listed(ERROR_BEATS, beats, beats);
        replied = true;
        if (error) {
            *pins.err = 1;
        } else {
            *pins.ack = 1;
            if (!request.we) memcpy(pins.dat_r, memory.data + (request.address - memory.base), width);
        }
        return true;
    }
};

}  // namespace

struct Run {
    uint64_t max_cycles;
    uint64_t hang_cycles;  // without a transfer, while work is left
    uint64_t idle_cycles;  // without a transfer, when nothing is left: the end
    uint64_t tail_cycles;  // after the last expected beat: more beats are an error
    uint64_t reset_cycles;
    const uint64_t* reset_at;
    uint64_t resets;
    int64_t until;  // port: end when not zero; -1: none
    uint64_t cycles;  // out
};

// One bit to be inverted before a cycle.
struct Flip {
    uint64_t cycle;
    uint32_t element, word, bit;
};

struct Harness {
    void* model = nullptr;
    std::vector<StateElement> state;
    std::vector<Flip> flips;
    bool lenient = false;  // breaches of the handshakes are let pass
    std::vector<Port> ports;
    uint8_t* clock = nullptr;
    uint8_t* reset = nullptr;
    std::vector<Sink> sinks;
    std::vector<Source> sources;
    std::vector<Watch> watches;
    std::vector<Bus> buses;
    Memory memory;
    std::vector<uint64_t> reset_log;  // per reset: cycle, next beat of each sink, beats of each source
    uint64_t cycle = 0;  // of this run
    uint64_t total = 0;  // since the model was made
    uint64_t progress = 0;
    int64_t until = -1;  // port watched for the end of a run
    bool reached = false;
    bool tracing = false;
    std::string error;

    void eval() { glue_eval(model); }

    std::string streams() const {
        std::string s;
        for (auto& k : sinks)
            s += "; " + k.name + " " + std::to_string(k.next) + "/" + std::to_string(k.count) + " beats, valid=" +
                 std::to_string(*k.valid) + " ready=" + std::to_string(*k.ready);
        for (auto& k : sources)
            s += "; " + k.name + " " + std::to_string(k.transfers) +
                 (k.expect >= 0 ? "/" + std::to_string(k.expect) : std::string()) + " beats, valid=" +
                 std::to_string(*k.valid) + " ready=" + std::to_string(*k.ready);
        for (auto& b : buses)
            s += "; " + b.name + " " + std::to_string(b.beats) + " beats, cyc=" + std::to_string(*b.pins.cyc) + " stb=" +
                 std::to_string(*b.pins.stb) + " we=" + std::to_string(*b.pins.we) + " ack=" +
                 std::to_string(*b.pins.ack) + " err=" + std::to_string(*b.pins.err) + " address=" +
                 address(b.request.address);
        for (auto& w : watches)
            s += std::string("; ") + ports[w.port].name + "=" + hex(ports[w.port].data, ports[w.port].bytes);
        return s;
    }
    [[noreturn]] void fail(Code code, const std::string& text) { throw Failure(code, text + streams()); }
    void breach(Code code, const std::string& text) {
        if (!lenient) fail(code, text);
    }

    void invert(const Flip& f) {
        const StateElement& e = state[f.element];
        e.data[size_t(e.bytes) * f.word + f.bit / 8] ^= uint8_t(1 << f.bit % 8);
    }

    void edge() {
        *clock = 1;
        eval();
        if (tracing) glue_dump(model, 2 * total + 1);
        *clock = 0;
        total++;
    }

    void pulse_reset(uint64_t cycles) {
        for (auto& k : sinks) k.withdraw();
        for (auto& k : sources) *k.ready = 0;
        for (auto& b : buses) b.clear();
        if (reset) *reset = 1;
        for (uint64_t i = 0; i < cycles; i++) {
            eval();
            if (tracing) glue_dump(model, 2 * total);
            edge();
        }
        if (reset) *reset = 0;
        for (auto& k : sources) k.held = false;
    }

    // A row cut by the reset is lost on both sides: its driver goes on with the next row.
    void reset_in_run(uint64_t cycles) {
        reset_log.push_back(cycle);
        for (auto& k : sinks) {
            while (k.next > 0 && k.next < k.count && !k.beats[(k.next - 1) * k.beat_bytes + k.last_offset]) k.next++;
            reset_log.push_back(k.next);
        }
        for (auto& k : sources) reset_log.push_back(k.transfers);
        pulse_reset(cycles);
        cycle += cycles;
        progress = cycle;
    }

    void check_ready_independence(Source& k, bool valid_before) {
        if (valid_before && !*k.valid) breach(PROTOCOL, k.name + ".valid falls when ready rises");
        if (!valid_before && *k.valid) breach(PROTOCOL, k.name + ".valid waits for ready");
    }

    void step() {
        for (auto& k : sinks) {
            bool stalled = k.staller.step(k.random);
            if (k.offered) continue;
            bool blocked = k.after >= 0 && sinks[k.after].next < sinks[k.after].count;
            if (k.next < k.count && !stalled && !blocked) {
                k.put(k.beats + k.next * k.beat_bytes);
                *k.valid = 1;
                k.offered = true;
            } else if (*k.valid) {
                k.withdraw();
            }
        }
        for (auto& f : flips)
            if (f.cycle == cycle) invert(f);
        // Now and then (always for a consumer that waits for valid) valid is looked at before ready rises: a source
        // may not make valid depend on ready.
        bool probe = (cycle & 15) == 0;
        bool late = false;
        for (auto& k : sources) {
            bool stalled = k.staller.step(k.random);
            bool hide = probe || k.staller.spec.wait_valid;
            *k.ready = !stalled && !hide;
            late |= !stalled && hide;
        }
        for (auto& b : buses) b.drive();
        eval();
        if (late) {
            uint64_t valid = 0;
            for (size_t i = 0; i < sources.size(); i++) {
                auto& k = sources[i];
                if (*k.valid) valid |= 1ull << i;
                if (!k.staller.stalled) *k.ready = k.staller.spec.wait_valid ? *k.valid : 1;
            }
            eval();
            for (size_t i = 0; i < sources.size(); i++) check_ready_independence(sources[i], valid >> i & 1);
        }
        if (!buses.empty()) {
            bool changed = false;
            for (auto& b : buses) changed |= b.answer(memory);
            if (changed) eval();
        }
        if (tracing) glue_dump(model, 2 * total);
        sample();
        if (until >= 0) {
            const Port& p = ports[until];
            for (uint32_t b = 0; b < p.bytes; b++) reached |= p.data[b] != 0;
        }
        edge();
        // A reset by a poke cuts what was open.
        if (reset && *reset)
            for (auto& b : buses) b.clear();
        cycle++;
    }

    // Sets ports at given cycles, in order, until a port is not zero; false: not within max_cycles.
    bool play(const Poke* pokes, uint64_t count, int port, uint64_t max_cycles, uint64_t& taken) {
        uint64_t next = 0;
        until = port;
        reached = false;
        for (taken = 0; taken < max_cycles && !reached && !glue_finished(model); taken++) {
            for (; next < count && pokes[next].cycle <= taken; next++) {
                const Port& p = ports[pokes[next].port];
                memcpy(p.data, &pokes[next].value, p.bytes < 8 ? p.bytes : 8);
            }
            step();
        }
        until = -1;
        return reached;
    }

    void sample() {
        for (auto& k : sinks) {
            if (!k.offered || !*k.ready) continue;
            k.cycles[k.next++] = cycle;
            k.offered = false;
            progress = cycle;
        }
        for (auto& k : sources) {
            if (!*k.valid) {
                if (k.held) breach(PROTOCOL, k.name + ".valid fell before ready");
                continue;
            }
            k.take(k.beat.data());
            if (k.held && memcmp(k.beat.data(), k.hold.data(), k.beat_bytes))
                breach(PROTOCOL, k.name + " changed while it waited for ready: " +
                                   hex(k.hold.data(), k.beat_bytes) + " became " + hex(k.beat.data(), k.beat_bytes));
            if (*k.ready) {
                k.held = false;
                k.beats.insert(k.beats.end(), k.beat.begin(), k.beat.end());
                k.cycles.push_back(cycle);
                k.transfers++;
                progress = cycle;
                if (k.expect >= 0 && k.transfers > uint64_t(k.expect)) breach(EXTRA, k.name + " gave an extra beat");
            } else {
                k.held = true;
                k.hold.swap(k.beat);
            }
        }
        for (auto& b : buses) sample(b);
        for (auto& w : watches) {
            const Port& p = ports[w.port];
            uint64_t value = 0;
            memcpy(&value, p.data, p.bytes < 8 ? p.bytes : 8);
            if (value) {
                w.cycles.push_back(cycle);
                w.values.push_back(value);
            }
        }
    }

    void check_request(const Bus& b, const Request& q) {
        if (q != b.held) breach(PROTOCOL, b.name + " changed a request before its reply");
        if (q.cti != 0 && q.cti != 2 && q.cti != 7) breach(PROTOCOL, b.name + " used cti " + std::to_string(q.cti));
        if (q.cti == 2 && *b.pins.bte) breach(PROTOCOL, b.name + " used bte " + std::to_string(*b.pins.bte));
        if (q.address % b.width) breach(PROTOCOL, b.name + " used an unaligned address");
        if (b.in_burst) {
            if (q.address != b.next_address)
                breach(PROTOCOL, b.name + " jumped in a burst, expected " + address(b.next_address));
            if (q.we != b.burst_we) breach(PROTOCOL, b.name + " changed direction in a burst");
            if (q.cti == 0) breach(PROTOCOL, b.name + " went on in a burst with cti 0");
        }
    }

    void sample(Bus& b) {
        bool strict = b.timing.strict;
        if (!b.active()) {
            bool may = b.dead || b.timing.withdraw || !strict;
            if (b.pending && !may) breach(PROTOCOL, b.name + " withdrew a request before its reply");
            if (b.pending) b.pending = b.in_burst = false;
            if (b.in_burst && !*b.pins.cyc && !b.timing.withdraw && strict)
                breach(PROTOCOL, b.name + " ended a burst without cti = 7");
            if (!*b.pins.cyc) b.in_burst = false;
            return;
        }
        b.read_request();
        const Request& q = b.request;
        if (!b.pending) return;  // It came in answer to another reply of this cycle: seen in the next one.
        if (strict) check_request(b, q);
        if (!b.allowed(q.we ? WRITE_RANGES : READ_RANGES))
            breach(PROTOCOL, b.name + (q.we ? " wrote" : " read") + " outside of the allowed ranges");
        if (!b.replied) return;
        bool ack = *b.pins.ack;
        b.log.push_back(BusBeat{cycle, q.address, uint32_t(q.sel), q.we, uint8_t(!ack), q.cti, 0});
        b.beats++;
        b.pending = false;
        b.in_burst = ack && q.cti == 2;
        b.next_address = q.address + b.width;
        b.burst_we = q.we;
        progress = cycle;
        // A request that changes with its own reply, where that is not an error, is not the one that was looked up.
        if (ack && q.we && q.address >= memory.base && q.address + b.width <= memory.base + memory.size)
            for (uint32_t i = 0; i < b.width; i++)
                if (q.sel >> i & 1) memory.data[q.address - memory.base + i] = q.data[i];
    }

    void run(Run& r) {
        uint64_t start = r.until >= 0 ? cycle : 0;
        cycle = start;
        progress = cycle;
        reset_log.clear();
        until = r.until;
        reached = false;
        uint64_t next_reset = 0;
        int64_t complete = -1;
        while (!glue_finished(model)) {
            while (next_reset < r.resets && cycle >= r.reset_at[next_reset]) {
                next_reset++;
                reset_in_run(r.reset_cycles);
            }
            step();
            if (r.until >= 0) {
                if (reached) goto done;
            } else {
                bool sent = next_reset == r.resets, expecting = false, got = true;
                for (auto& k : sinks) sent &= k.next == k.count;
                for (auto& k : sources) {
                    expecting |= k.expect >= 0;
                    got &= k.expect < 0 || k.transfers >= uint64_t(k.expect);
                }
                if (sent && expecting && got) {
                    if (complete < 0) complete = int64_t(cycle);
                    if (cycle - uint64_t(complete) >= r.tail_cycles) goto done;
                } else if (sent && !expecting) {
                    if (cycle - progress >= r.idle_cycles) goto done;
                } else if (cycle - progress >= r.hang_cycles) {
                    fail(HANG, "no transfer for " + std::to_string(cycle - progress) + " cycles");
                }
            }
            if (cycle - start >= r.max_cycles)
                fail(MAX_CYCLES, "not done after " + std::to_string(cycle - start) + " cycles");
        }
    done:
        r.cycles = cycle - start;
    }
};

namespace {

template <class Body> int guarded(Harness* h, Body body) {
    try {
        glue_enter(h->model);
        body();
        return OK;
    } catch (const Failure& e) {
        h->error = e.what();
        return e.code;
    } catch (const std::exception& e) {
        h->error = e.what();
        return FATAL;
    }
}

void setup(Harness* h, Stream& k, const char* name, uint32_t valid, uint32_t ready, const Field* fields, uint32_t n,
           uint32_t bytes, uint32_t last_offset) {
    k.name = name;
    k.valid = h->ports[valid].data;
    k.ready = h->ports[ready].data;
    k.fields.assign(fields, fields + n);
    for (uint32_t i = 0; i < n; i++) k.pins.push_back(h->ports[fields[i].port].data);
    k.beat_bytes = bytes;
    k.last_offset = last_offset;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

Harness* harness_new(uint64_t seed, int clock, int reset) {
    auto* h = new Harness;
    h->ports.resize(glue_ports());
    h->model = glue_new(seed, h->ports.data());
    h->state.resize(glue_states());
    glue_state(h->model, h->state.data());
    h->clock = h->ports[clock].data;
    if (reset >= 0) h->reset = h->ports[reset].data;
    return h;
}
void harness_free(Harness* h) {
    glue_enter(h->model);
    glue_free(h->model);
    delete h;
}
const char* harness_error(Harness* h) { return h->error.c_str(); }
uint64_t harness_cycle(Harness* h) { return h->cycle; }
int harness_trace(Harness* h, const char* path) {
    h->tracing = glue_trace(h->model, path);
    return h->tracing;
}

void harness_set(Harness* h, uint32_t port, const uint8_t* value) {
    memcpy(h->ports[port].data, value, h->ports[port].bytes);
}
void harness_get(Harness* h, uint32_t port, uint8_t* value) {
    memcpy(value, h->ports[port].data, h->ports[port].bytes);
}
int harness_eval(Harness* h) {
    return guarded(h, [&] { h->eval(); });
}
int harness_reset(Harness* h, uint64_t cycles) {
    return guarded(h, [&] { h->pulse_reset(cycles); });
}
int harness_clock(Harness* h, uint64_t cycles) {
    return guarded(h, [&] {
        h->until = -1;
        for (uint64_t i = 0; i < cycles && !glue_finished(h->model); i++) h->step();
        h->eval();
    });
}

int harness_play(Harness* h, const Poke* pokes, uint64_t count, int until, uint64_t max_cycles, uint64_t* taken,
                 int* reached) {
    int code = guarded(h, [&] {
        *reached = h->play(pokes, count, until, max_cycles, *taken);
        h->eval();
    });
    h->until = -1;
    return code;
}

void harness_add_sink(Harness* h, const char* name, uint32_t valid, uint32_t ready, const Field* fields, uint32_t n,
                      uint32_t bytes, uint32_t last_offset) {
    h->sinks.emplace_back();
    Sink& k = h->sinks.back();
    setup(h, k, name, valid, ready, fields, n, bytes, last_offset);
    for (uint32_t i = 0; i < n; i++) k.widths.push_back(h->ports[fields[i].port].width);
    k.withdraw();
}
void harness_add_source(Harness* h, const char* name, uint32_t valid, uint32_t ready, const Field* fields, uint32_t n,
                        uint32_t bytes, uint32_t last_offset) {
    h->sources.emplace_back();
    Source& k = h->sources.back();
    setup(h, k, name, valid, ready, fields, n, bytes, last_offset);
    k.beat.resize(bytes);
    k.hold.resize(bytes);
}
void harness_add_watch(Harness* h, uint32_t port) { h->watches.push_back(Watch{port, {}, {}}); }

void harness_load_sink(Harness* h, uint32_t i, const uint8_t* beats, uint64_t count, uint64_t* cycles, int after,
                       const StallSpec* stall, uint64_t seed) {
    Sink& k = h->sinks[i];
    k.beats = beats;
    k.count = count;
    k.cycles = cycles;
    k.next = 0;
    k.after = after;
    k.random.state = seed;
    k.staller = Staller{*stall, false};
    k.withdraw();
}
void harness_load_source(Harness* h, uint32_t i, int64_t expect, const StallSpec* stall, uint64_t seed) {
    Source& k = h->sources[i];
    k.beats.clear();
    k.cycles.clear();
    k.expect = expect;
    k.transfers = 0;
    k.random.state = seed;
    k.staller = Staller{*stall, false};
}
int harness_run(Harness* h, Run* r) {
    for (auto& w : h->watches) {
        w.cycles.clear();
        w.values.clear();
    }
    int code = guarded(h, [&] { h->run(*r); });
    h->flips.clear();
    // The beats belong to the caller and may go away.
    for (auto& k : h->sinks) k.beats = nullptr, k.count = k.next, k.withdraw();
    return code;
}

uint64_t harness_source_count(Harness* h, uint32_t i) { return h->sources[i].transfers; }
void harness_source_take(Harness* h, uint32_t i, uint8_t* beats, uint64_t* cycles) {
    Source& k = h->sources[i];
    memcpy(beats, k.beats.data(), k.beats.size());
    memcpy(cycles, k.cycles.data(), 8 * k.cycles.size());
}
uint64_t harness_sink_sent(Harness* h, uint32_t i) { return h->sinks[i].next; }
uint64_t harness_watch_count(Harness* h, uint32_t i) { return h->watches[i].cycles.size(); }
void harness_watch_take(Harness* h, uint32_t i, uint64_t* cycles, uint64_t* values) {
    Watch& w = h->watches[i];
    memcpy(cycles, w.cycles.data(), 8 * w.cycles.size());
    memcpy(values, w.values.data(), 8 * w.values.size());
}
void harness_memory(Harness* h, uint8_t* data, uint64_t base, uint64_t size) { h->memory = Memory{data, base, size}; }
void harness_add_bus(Harness* h, const char* name, const BusPorts* ports) {
    h->buses.emplace_back();
    Bus& b = h->buses.back();
    auto& p = h->ports;
    b.name = name;
    b.index = *ports;
    b.pins = Pins{p[ports->cyc].data, p[ports->stb].data, p[ports->we].data, p[ports->adr].data, p[ports->sel].data,
                  p[ports->dat_w].data, p[ports->cti].data, p[ports->bte].data, p[ports->ack].data,
                  p[ports->err].data, p[ports->dat_r].data};
    b.adr_bytes = p[ports->adr].bytes;
    b.sel_bytes = p[ports->sel].bytes;
    b.width = ports->word_bytes;
    b.clear();
}
void harness_bus_timing(Harness* h, uint32_t i, const BusTiming* timing, uint64_t seed) {
    Bus& b = h->buses[i];
    b.timing = *timing;
    b.staller = Staller{timing->stall, false};
    b.random.state = seed;
}
void harness_bus_list(Harness* h, uint32_t i, uint32_t list, const Range* ranges, uint64_t count) {
    h->buses[i].lists[list].assign(ranges, ranges + count);
}
uint64_t harness_bus_count(Harness* h, uint32_t i) { return h->buses[i].log.size(); }
void harness_bus_take(Harness* h, uint32_t i, BusBeat* log) {
    memcpy(log, h->buses[i].log.data(), sizeof(BusBeat) * h->buses[i].log.size());
}
void harness_bus_clear(Harness* h, uint32_t i) {
    h->buses[i].log.clear();
    h->buses[i].beats = 0;
}
void harness_flip(Harness* h, const Flip* flip) { h->flips.push_back(*flip); }
void harness_lenient(Harness* h, int on) { h->lenient = on; }
uint64_t harness_reset_count(Harness* h) { return h->reset_log.size(); }
void harness_reset_take(Harness* h, uint64_t* log) { memcpy(log, h->reset_log.data(), 8 * h->reset_log.size()); }

}  // extern "C"
#pragma GCC visibility pop
