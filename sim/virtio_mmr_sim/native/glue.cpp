// Plain C interface over a Verilated endpoint with raw TLP streams.
//
// `build.py` writes ports.h beside this file: the width of the link, the back-end streams with
// functions that move one item between its ports and packed words, and the scalar outputs.
//
// One clock: the inputs are driven, the design settles with the clock low, the handshakes are
// sampled, the clock rises. Clock numbers count rising edges since the model was made; an event
// "of clock n" was sampled just before edge n.
//
// Verilator's eval() settles the design at both edges and looks for edges of every clock. With DIRECT
// the two functions behind it are called instead, and settling is left out while no input changes;
// build.py defines it if Verilator has made exactly these two.
//
// Everything here is single-threaded; use one model from one thread at a time.

#include <cinttypes>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "ports.h"

#ifdef TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

constexpr unsigned LANES = WIDTH / 32;

// Items that one stream keeps for a caller who does not take them; older ones are lost, and counted.
constexpr size_t KEPT_ITEMS = 1 << 16;

// Rules of the transmit stream; the numbers are known to model.py.
enum Violation : uint32_t { GAP, WITHDRAWN, CHANGED, KEEP, LENGTH, VIOLATIONS };
constexpr size_t KEPT_VIOLATIONS = 64;

struct Packet {
    size_t offset;
    uint32_t length;  // dwords
    uint32_t number;  // of a sent TLP: in the order of vm_send
    uint64_t first;   // clock in which the first beat was offered
    uint64_t last;    // clock in which the last beat was accepted
};

// First-in first-out store of dword strings; its memory is used again once it has run empty.
struct Packets {
    std::vector<uint32_t> words;
    std::vector<Packet> packets;
    size_t head = 0;

    bool empty() const { return head == packets.size(); }
    size_t size() const { return packets.size() - head; }
    Packet& front() { return packets[head]; }
    const uint32_t* data(const Packet& packet) const { return &words[packet.offset]; }

    void push(Packet packet, const uint32_t* from) {
        packet.offset = words.size();
        packets.push_back(packet);
        words.insert(words.end(), from, from + packet.length);
    }
    void pop() {
        if (++head == packets.size()) clear();
    }
    void pop_back() {
        words.resize(packets.back().offset);
        packets.pop_back();
        if (empty()) clear();
    }
    void clear() {
        words.clear();
        packets.clear();
        head = 0;
    }
};

// Words a TLP must have by its own header.
uint32_t expected_length(uint32_t dw0) {
    uint32_t header = (dw0 >> 29 & 1) ? 4 : 3;
    uint32_t payload = (dw0 >> 30 & 1) ? ((dw0 & 0x3FF) ? dw0 & 0x3FF : 1024) : 0;
    return header + payload + (dw0 >> 15 & 1);
}

bool is_completion(uint32_t dw0) { return (dw0 >> 24 & 0x1E) == 0x0A; }

// Requests that flow control counts as non-posted: all that get a completion.
bool is_non_posted(uint32_t dw0) {
    uint32_t format = dw0 >> 29, type = dw0 >> 24 & 0x1F;
    if (format >= 4 || is_completion(dw0) || (type & 0x18) == 0x10) return false;
    return !(type == 0 && (format & 2));
}

uint32_t low_zeros(uint32_t enables) { return enables ? __builtin_ctz(enables) : 0; }
uint32_t high_zeros(uint32_t enables) { return enables ? __builtin_clz(enables) - 28 : 3; }

#include "dma.hpp"

struct Request {  // known to model.py
    uint64_t address;
    uint32_t data;
    uint8_t enables;
    uint8_t write;
    uint16_t unused;
};

struct Model {
    VerilatedContext context;
    Top top;
    uint64_t now = 0;
    bool touched = true;  // an input has changed since the design settled
#ifdef TRACE
    std::unique_ptr<VerilatedVcdC> trace;
#endif

    // Settings: probabilities in 1/65536, per clock.
    uint64_t random = 1;
    uint32_t rx_gap = 0, tx_stall = 0, back_end_stall = 0, back_end_gap = 0;
    bool tx_held = false;
    uint32_t slack = 0;
    bool accept[STREAMS + 1];
    bool log_sent = false;

    // Toward the design.
    Packets posted, non_posted;
    uint32_t sent_number = 0;
    bool rx_offered = false, rx_open = false, rx_from_non_posted = false;
    uint32_t rx_place = 0;  // dwords of the current TLP that were accepted
    uint64_t rx_first = 0;
    bool np_ok = false;
    uint32_t np_budget = 0;
    std::vector<uint64_t> sent;  // number, first, last

    // From the design.
    Packets received;
    bool tx_open = false, tx_waiting = false, tx_was_last = false;
    uint32_t tx_beat[LANES];
    uint64_t tx_keep = 0, tx_first = 0;
    std::vector<uint32_t> incoming;

    // Back end: each item is a clock (two words) and the stream's packed fields.
    struct Queue {
        std::deque<uint32_t> words;
        bool offered = false;
    };
    Queue queues[STREAMS + 1];
    uint64_t lost = 0;
    bool inputs_pending = false;

    dma::Traffic traffic;

    uint64_t pulses[PULSES + 1];
    uint64_t violations[VIOLATIONS];
    std::vector<uint64_t> violation_log;  // kind, clock

    Model() : top(&context, "top") {
        for (bool& on : accept) on = true;
        forget();
        reset(4);
    }

    uint32_t draw() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return uint32_t(random >> 24);
    }
    bool chance(uint32_t probability) { return probability && (draw() & 0xFFFF) < probability; }

    void violate(Violation kind) {
        ++violations[kind];
        if (violation_log.size() < 2 * KEPT_VIOLATIONS) {
            violation_log.push_back(kind);
            violation_log.push_back(now);
        }
    }

    // Everything that is on its way or was collected; settings stay.
    void forget() {
        posted.clear();
        non_posted.clear();
        received.clear();
        incoming.clear();
        sent.clear();
        sent_number = 0;
        traffic.on = false;
        for (Queue& queue : queues) {
            queue.words.clear();
            queue.offered = false;
        }
        inputs_pending = false;
        rx_offered = rx_open = tx_open = tx_waiting = false;
        np_ok = false;
        np_budget = 0;
        lost = 0;
        memset(pulses, 0, sizeof pulses);
        memset(violations, 0, sizeof violations);
        violation_log.clear();
    }

    template <class T> void set(T& port, T value) {
        touched |= port != value;
        port = value;
    }

    void evaluate(bool rising) {
        top.clk = rising;
        top.eval();
#ifdef TRACE
        if (trace) trace->dump(2 * now + rising);
#endif
    }

    void settle() {
#ifdef DIRECT
        if (touched) Vdesign___024root___ico_sequent__TOP__0(top.rootp);
        touched = false;
#else
        evaluate(false);
#endif
    }

    void rise() {
#ifdef DIRECT
        Vdesign___024root___nba_sequent__TOP__0(top.rootp);
#else
        evaluate(true);
#endif
    }

    void reset(uint32_t clocks) {
        forget();
        top.s_axis_rx_tvalid = 0;
        top.m_axis_tx_tready = 0;
        each_input(top, [](unsigned, auto& valid, auto&, auto&&) { valid = 0; });
        each_output(top, [](unsigned, auto&, auto& ready, auto&&) { ready = 0; });
        top.rst = 1;
        for (uint32_t i = 0; i < clocks; ++i) {
            evaluate(false);
            evaluate(true);
            ++now;
        }
        top.rst = 0;
        touched = true;
    }

    // Chooses the next TLP: in order of vm_send, but posted ones pass non-posted ones that must wait.
    bool choose() {
        bool may = !non_posted.empty() && (np_ok || np_budget);
        if (may && (posted.empty() || non_posted.front().number < posted.front().number))
            rx_from_non_posted = true;
        else if (!posted.empty())
            rx_from_non_posted = false;
        else
            return false;
        if (rx_from_non_posted && !np_ok) --np_budget;
        rx_open = true;
        rx_place = 0;
        return true;
    }

    // Returns whether there is a beat, or will be one in a later clock.
    bool offer() {
        if (rx_offered) return true;
        bool more = rx_open || !posted.empty() || (!non_posted.empty() && (np_ok || np_budget));
        if (!more || chance(rx_gap) || (!rx_open && !choose())) {
            set(top.s_axis_rx_tvalid, CData(0));
            return more;
        }
        Packets& from = rx_from_non_posted ? non_posted : posted;
        const Packet& packet = from.front();
        uint32_t left = packet.length - rx_place, count = left < LANES ? left : LANES, beat[LANES];
        memcpy(beat, from.data(packet) + rx_place, 4 * count);
        for (uint32_t lane = count; lane < LANES; ++lane) beat[lane] = rx_gap ? draw() : 0;
        uint64_t keep = count == 16 ? ~uint64_t(0) : (uint64_t(1) << 4 * count) - 1;
        uint32_t keep_words[2] = {uint32_t(keep), uint32_t(keep >> 32)};
        put(top.s_axis_rx_tdata, beat);
        put(top.s_axis_rx_tkeep, keep_words);
        top.s_axis_rx_tlast = left <= LANES;
        top.s_axis_rx_tvalid = 1;
        touched = true;
        rx_offered = true;
        if (!rx_place) rx_first = now;
        return true;
    }

    void accepted() {
        Packets& from = rx_from_non_posted ? non_posted : posted;
        rx_offered = false;
        rx_place += LANES;
        if (rx_place < from.front().length) return;
        if (log_sent) sent.insert(sent.end(), {from.front().number, rx_first, now});
        from.pop();
        rx_open = false;
    }

    void watch_np_ok() {
        bool ok = top.rx_np_ok;
        if (ok)
            np_budget = slack;
        else if (np_ok && rx_open && rx_from_non_posted && np_budget)
            --np_budget;
        np_ok = ok;
    }

    void watch_tx(bool ready) {
        bool valid = top.m_axis_tx_tvalid;
        if (!valid) {
            if (tx_waiting)
                violate(WITHDRAWN);
            else if (tx_open)
                violate(GAP);
            tx_waiting = false;
            return;
        }
        uint32_t beat[LANES], keep_words[2] = {0, 0};
        get(top.m_axis_tx_tdata, beat);
        get(top.m_axis_tx_tkeep, keep_words);
        uint64_t keep = keep_words[0] | uint64_t(keep_words[1]) << 32;
        bool last = top.m_axis_tx_tlast;
        if (tx_waiting && (keep != tx_keep || last != tx_was_last || memcmp(beat, tx_beat, sizeof beat)))
            violate(CHANGED);
        if (!tx_open && !tx_waiting) tx_first = now;
        tx_waiting = !ready;
        if (!ready) {
            memcpy(tx_beat, beat, sizeof beat);
            tx_keep = keep;
            tx_was_last = last;
            return;
        }
        unsigned count = __builtin_popcountll(keep) / 4;
        uint64_t full = count == 16 ? ~uint64_t(0) : (uint64_t(1) << 4 * count) - 1;
        if (keep != full || !count || (!last && count != LANES)) violate(KEEP);
        incoming.insert(incoming.end(), beat, beat + count);
        tx_open = !last;
        if (!last) return;
        uint32_t length = uint32_t(incoming.size());
        if (!length || length != expected_length(incoming[0])) violate(LENGTH);
        if (traffic.on && !is_completion(incoming[0]))
            traffic.packet(incoming.data(), length);
        else
            received.push({0, length, 0, tx_first, now}, incoming.data());
        incoming.clear();
    }

    bool drive_inputs() {
        bool pending = false;
        each_input(top, [&](unsigned stream, auto& valid, auto&, auto&& drive) {
            Queue& queue = queues[stream];
            if (queue.offered || queue.words.empty()) {
                if (!queue.offered) valid = 0;
                pending |= queue.offered;
                return;
            }
            pending = true;
            uint64_t not_before = queue.words[0] | uint64_t(queue.words[1]) << 32;
            if (now < not_before || chance(back_end_gap)) {
                valid = 0;
                return;
            }
            uint32_t words[LARGEST_ITEM];
            for (unsigned i = 0; i < stream_words[stream]; ++i) words[i] = queue.words[2 + i];
            drive(words);
            valid = 1;
            queue.offered = true;
        });
        inputs_pending = pending;
        return pending;
    }

    void take_inputs() {
        each_input(top, [&](unsigned stream, auto& valid, auto& ready, auto&&) {
            if (!valid || !ready) return;
            Queue& queue = queues[stream];
            if (traffic.on) {
                uint32_t words[LARGEST_ITEM];
                for (unsigned i = 0; i < stream_words[stream]; ++i) words[i] = queue.words[2 + i];
                traffic.took(stream, words);
            }
            queue.words.erase(queue.words.begin(), queue.words.begin() + 2 + stream_words[stream]);
            queue.offered = false;
        });
    }

    bool collect_outputs() {
        bool active = false;
        each_output(top, [&](unsigned stream, auto& valid, auto& ready, auto&& fetch) {
            if (!valid || !accept[stream]) return;
            active = true;
            if (!ready) return;
            if (traffic.on && traffic.hears(stream)) {
                uint32_t words[LARGEST_ITEM];
                fetch(words);
                return traffic.heard(stream, words);
            }
            Queue& queue = queues[stream];
            size_t size = 2 + stream_words[stream];
            if (queue.words.size() / size >= KEPT_ITEMS) {
                queue.words.erase(queue.words.begin(), queue.words.begin() + size);
                ++lost;
            }
            uint32_t words[LARGEST_ITEM];
            fetch(words);
            queue.words.push_back(uint32_t(now));
            queue.words.push_back(uint32_t(now >> 32));
            queue.words.insert(queue.words.end(), words, words + stream_words[stream]);
        });
        return active;
    }

    // One clock. Returns whether anything moved or is waiting to move.
    bool step() {
        bool active = offer();
        bool tx_ready = !tx_held && !chance(tx_stall);
        set(top.m_axis_tx_tready, CData(tx_ready));
        each_output(top, [&](unsigned stream, auto&, auto& ready, auto&&) {
            set(ready, CData(accept[stream] && !chance(back_end_stall)));
        });
        if (inputs_pending) {
            active |= drive_inputs();
            touched = true;
        }
        settle();
        watch_tx(tx_ready);
        active |= top.m_axis_tx_tvalid && !tx_held;
        active |= collect_outputs();
        bool inputs = inputs_pending;
        bool rx_moves = rx_offered && top.s_axis_rx_tready;
        watch_np_ok();
        each_pulse(top, [&](unsigned pulse, bool high) { pulses[pulse] += high; });
        if (inputs) take_inputs();
        if (rx_moves) accepted();
        rise();
        ++now;
        return active;
    }

    void put_item(uint32_t stream, const uint32_t* words, uint64_t not_before) {
        std::deque<uint32_t>& queue = queues[stream].words;
        queue.push_back(uint32_t(not_before));
        queue.push_back(uint32_t(not_before >> 32));
        queue.insert(queue.end(), words, words + stream_words[stream]);
        inputs_pending = true;
    }

    // A clock with DMA at random.
    void step_with_traffic() {
        traffic.clock(now);
        if (traffic.wants()) traffic.begin([&](uint32_t stream, const uint32_t* words) { put_item(stream, words, now); });
        if (traffic.interrupts())
            traffic.interrupt([&](uint32_t stream, const uint32_t* words) { put_item(stream, words, now); });
        if (posted.size() < 4)
            traffic.complete([&](const std::vector<uint32_t>& words) { send(words.data(), uint32_t(words.size())); });
        step();
    }

    int64_t run(uint32_t quiet, uint64_t limit) {
        uint64_t start = now;
        for (uint32_t still = 0; still < quiet;) {
            if (now - start >= limit) return -1;
            still = step() ? 0 : still + 1;
        }
        return int64_t(now - start);
    }

    void send(const uint32_t* words, uint32_t length) {
        Packet packet = {0, length, sent_number++, 0, 0};
        (is_non_posted(words[0]) ? non_posted : posted).push(packet, words);
    }

    void send_request(const Request& request, uint32_t tag) {
        uint32_t words[5], place = 0;
        bool wide = request.address >> 32;
        words[place++] = uint32_t(wide) << 29 | uint32_t(request.write != 0) << 30 | (tag >> 9 & 1) << 23
                         | (tag >> 8 & 1) << 19 | 1;
        words[place++] = (tag & 0xFF) << 8 | (request.enables & 0xF);
        if (wide) words[place++] = uint32_t(request.address >> 32);
        words[place++] = uint32_t(request.address) & ~uint32_t(3);
        if (request.write) words[place++] = request.data;
        send(words, place);
    }

    // Looks at the newest received TLP: 0 it is not the completion of `request`, 1 it is and was taken
    // away, negative: it is a completion, and wrong.
    int check_completion(const Request& request, uint32_t tag, uint32_t* value) {
        const Packet& packet = received.packets.back();
        const uint32_t* words = received.data(packet);
        if (!is_completion(words[0])) return 0;
        uint32_t enables = request.enables & 0xF;
        uint32_t bytes = enables ? 4 - low_zeros(enables) - high_zeros(enables) : 1;
        uint32_t tag_bits = (tag >> 9 & 1) << 23 | (tag >> 8 & 1) << 19;
        uint32_t lower = (uint32_t(request.address) & 0x7C) + low_zeros(enables);
        uint32_t status = words[1] >> 13 & 7;
        int result = 1;
        if (words[2] != ((tag & 0xFF) << 8 | lower) || (words[1] & 0xFFF) != bytes)
            result = -2;
        else if (status)
            result = -16 - int(status);
        else if (packet.length != 4 || words[0] != (0x4A000001 | tag_bits))
            result = -2;
        else
            *value = words[3];
        received.pop_back();
        return result;
    }
};

constexpr uint64_t PATIENCE = 100000;  // clocks that a register access may take

}  // namespace

extern "C" {

Model* vm_create() { return new Model; }
void vm_destroy(Model* model) {
#ifdef TRACE
    if (model->trace) model->trace->close();
#endif
    model->top.final();
    delete model;
}

uint64_t vm_now(const Model* model) { return model->now; }
void vm_reset(Model* model, uint32_t clocks) { model->reset(clocks); }
void vm_clock(Model* model, uint64_t clocks) {
    while (clocks--) model->step();
}

// Clocks until nothing has moved for `quiet` clocks, or -1 after `limit` clocks.
int64_t vm_run(Model* model, uint32_t quiet, uint64_t limit) { return model->run(quiet, limit); }

// Clocks until `count` received TLPs can be taken, or -1 after `limit` clocks.
int64_t vm_wait(Model* model, uint32_t count, uint64_t limit) {
    uint64_t start = model->now;
    while (model->received.size() < count) {
        if (model->now - start >= limit) return -1;
        model->step();
    }
    return int64_t(model->now - start);
}

void vm_random(Model* model, uint64_t seed, uint32_t rx_gap, uint32_t tx_stall, uint32_t back_end_stall,
               uint32_t back_end_gap) {
    model->random = seed * 0x9E3779B97F4A7C15 | 1;
    model->rx_gap = rx_gap;
    model->tx_stall = tx_stall;
    model->back_end_stall = back_end_stall;
    model->back_end_gap = back_end_gap;
}
void vm_hold_tx(Model* model, int held) { model->tx_held = held; }
void vm_slack(Model* model, uint32_t slack) { model->slack = slack; }
void vm_accept(Model* model, uint32_t stream, int on) { model->accept[stream] = on; }

// Queues `count` TLPs that lie one behind the other.
void vm_send(Model* model, const uint32_t* words, const uint32_t* lengths, uint32_t count) {
    for (uint32_t i = 0; i < count; words += lengths[i++]) model->send(words, lengths[i]);
}
// TLPs queued, or not wholly accepted; and those of them that are posted.
uint32_t vm_unsent(const Model* model) { return uint32_t(model->posted.size() + model->non_posted.size()); }
uint32_t vm_unsent_posted(const Model* model) { return uint32_t(model->posted.size()); }

void vm_log_sent(Model* model, int on) {
    model->log_sent = on;
    model->sent.clear();
}
// Rows of {number, clock of the first offer, clock of the last acceptance} since the last call.
uint32_t vm_sent(Model* model, uint64_t* rows, uint32_t capacity) {
    uint32_t count = uint32_t(model->sent.size() / 3);
    if (count > capacity) count = capacity;
    if (count) memcpy(rows, model->sent.data(), count * 3 * sizeof(uint64_t));
    model->sent.erase(model->sent.begin(), model->sent.begin() + count * 3);
    return count;
}

uint32_t vm_received(const Model* model) { return uint32_t(model->received.size()); }

// Takes as many received TLPs as fit; each has a length and two clocks: first offer, last acceptance.
uint32_t vm_take(Model* model, uint32_t* words, uint32_t word_capacity, uint32_t* lengths, uint64_t* clocks,
                 uint32_t capacity) {
    uint32_t count = 0;
    Packets& received = model->received;
    while (count < capacity && !received.empty()) {
        const Packet packet = received.front();
        if (packet.length > word_capacity) break;
        memcpy(words, received.data(packet), 4 * packet.length);
        words += packet.length;
        word_capacity -= packet.length;
        lengths[count] = packet.length;
        clocks[2 * count] = packet.first;
        clocks[2 * count + 1] = packet.last;
        ++count;
        received.pop();
    }
    return count;
}

// Sends one TLP, runs until `expected` TLPs have come (but not for more than `limit` clocks) and until
// quiet (the same), and takes what came. Negative: not quiet.
int32_t vm_exchange(Model* model, const uint32_t* tlp, uint32_t length, uint32_t expected, uint32_t quiet,
                    uint64_t limit, uint32_t* words, uint32_t word_capacity, uint32_t* lengths,
                    uint64_t* clocks, uint32_t capacity) {
    model->send(tlp, length);
    uint64_t start = model->now;
    while (model->received.size() < expected && model->now - start < limit) model->step();
    if (model->run(quiet, limit) < 0) return -1;
    return int32_t(vm_take(model, words, word_capacity, lengths, clocks, capacity));
}

// Value of a 1-dword read, or negative: -1 no completion, -2 wrong completion, -16 - status.
int64_t vm_read32(Model* model, uint32_t address_low, uint32_t address_high, uint32_t enables) {
    Request request = {address_low | uint64_t(address_high) << 32, 0, uint8_t(enables), 0, 0};
    uint32_t tag = model->sent_number & 0x3FF, value = 0;
    model->send_request(request, tag);
    size_t seen = model->received.size();
    for (uint64_t clock = 0; clock < PATIENCE; ++clock) {
        model->step();
        if (model->received.size() == seen) continue;
        int found = model->check_completion(request, tag, &value);
        if (found) return found < 0 ? found : int64_t(value);
        seen = model->received.size();
    }
    return -1;
}

// Returns when the write has been accepted: 0, or -1.
int32_t vm_write32(Model* model, uint32_t address_low, uint32_t address_high, uint32_t data, uint32_t enables) {
    Request request = {address_low | uint64_t(address_high) << 32, data, uint8_t(enables), 1, 0};
    model->send_request(request, 0);
    for (uint64_t clock = 0; clock < PATIENCE; ++clock) {
        model->step();
        if (model->posted.empty()) return 0;
    }
    return -1;
}

// Register accesses, pipelined; every completion is checked. A write may overtake a read that waits.
// Returns `count`, or -1 - index of the first read without a right completion.
int64_t vm_requests(Model* model, const Request* requests, uint32_t count, uint32_t* values) {
    constexpr uint32_t AHEAD = 256;  // of 1024 tags
    uint32_t next = 0, done = 0;
    for (uint64_t patience = PATIENCE; patience; --patience) {
        for (; next < count && next - done < AHEAD && vm_unsent(model) < 16; ++next)
            model->send_request(requests[next], next & 0x3FF);
        for (; done < next && requests[done].write; ++done) values[done] = 0;
        if (done == count && !vm_unsent(model)) return count;
        size_t seen = model->received.size();
        model->step();
        if (model->received.size() == seen) continue;
        if (done == next) return -1 - int64_t(done);
        int found = model->check_completion(requests[done], done & 0x3FF, &values[done]);
        if (found < 0) return -1 - int64_t(done);
        if (found) {
            ++done;
            patience = PATIENCE;
        }
    }
    return -1 - int64_t(done);
}

// Takes one collected item of an output stream: its clock and its packed words. 0 if there is none.
int32_t vm_stream_take(Model* model, uint32_t stream, uint32_t* words, uint64_t* clock) {
    std::deque<uint32_t>& queue = model->queues[stream].words;
    if (queue.empty()) return 0;
    *clock = queue[0] | uint64_t(queue[1]) << 32;
    for (unsigned i = 0; i < stream_words[stream]; ++i) words[i] = queue[2 + i];
    queue.erase(queue.begin(), queue.begin() + 2 + stream_words[stream]);
    return 1;
}

// Queues one item of an input stream, to be offered `delay` clocks from now at the earliest.
void vm_stream_put(Model* model, uint32_t stream, const uint32_t* words, uint64_t delay) {
    model->put_item(stream, words, model->now + delay);
}

// One bit for every stream (of the first 64) whose queue is not empty.
uint64_t vm_streams(const Model* model) {
    uint64_t found = 0;
    for (unsigned stream = 0; stream < STREAMS && stream < 64; ++stream)
        found |= uint64_t(!model->queues[stream].words.empty()) << stream;
    return found;
}
// Items that wait in a stream's queue.
uint32_t vm_stream_size(const Model* model, uint32_t stream) {
    return uint32_t(model->queues[stream].words.size() / (2 + stream_words[stream]));
}
uint64_t vm_lost(const Model* model) { return model->lost; }

// A scalar output after the last clock edge; clocks in which a pulse was high.
uint64_t vm_output(Model* model, uint32_t index) { return output(model->top, index); }
uint64_t vm_pulses(const Model* model, uint32_t index) { return model->pulses[index]; }

uint64_t vm_violations(const Model* model, uint32_t kind) { return model->violations[kind]; }
uint32_t vm_violation_log(const Model* model, uint64_t* rows, uint32_t capacity) {
    uint32_t count = uint32_t(model->violation_log.size() / 2);
    if (count > capacity) count = capacity;
    if (count) memcpy(rows, model->violation_log.data(), count * 2 * sizeof(uint64_t));
    return count;
}

// Random DMA; see dma.hpp. It goes on until the next reset, in the clocks that vm_dma_run lets pass.
void vm_dma_start(Model* model, const dma::Settings* settings, uint64_t seed) { model->traffic.start(*settings, seed); }
dma::Live* vm_dma_live(Model* model) { return &model->traffic.live; }
const dma::Counts* vm_dma_counts(Model* model) { return &model->traffic.counts; }
uint64_t vm_dma_open(Model* model) { return model->traffic.open(); }
// Runs until so many requests have ended or clocks have passed, or, `expected` being no 0, until so many TLPs can be
// taken; the requests that have ended, or -1 for a failure.
int64_t vm_dma_run(Model* model, uint64_t requests, uint64_t clocks, uint32_t expected) {
    dma::Traffic& traffic = model->traffic;
    uint64_t ended = traffic.ended, end = model->now + clocks;
    while (traffic.ended - ended < requests && model->now < end && traffic.failure.empty()) {
        if (expected && model->received.size() >= expected) break;
        model->step_with_traffic();
    }
    return traffic.failure.empty() ? int64_t(traffic.ended - ended) : -1;
}
// Whether everything that was begun has ended as it should.
int32_t vm_dma_finish(Model* model) {
    model->traffic.finish();
    return model->traffic.failure.empty();
}
const char* vm_dma_failure(Model* model) { return model->traffic.failure.c_str(); }

// Writes waves to a file from now on; 0 if the library was built without.
int32_t vm_trace(Model* model, const char* path) {
#ifdef TRACE
    model->context.traceEverOn(true);
    model->trace = std::make_unique<VerilatedVcdC>();
    model->top.trace(model->trace.get(), 99);
    model->trace->open(path);
    return 1;
#else
    (void)model, (void)path;
    return 0;
#endif
}

}  // extern "C"
