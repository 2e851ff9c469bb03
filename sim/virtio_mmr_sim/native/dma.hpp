// A back end that does DMA at random, a root port with memory behind it, and a judge of what passes between them.
//
// Everything follows from one seed. The judge knows the rules of the requester from its contract alone: which packets
// a request may become, what each answer must be, which tags may be used, what may overtake what. It keeps no copy of
// the memory: a byte that is read follows from its address, a byte that is written from its place in its write.
//
// Items of streams are packed words, as glue.cpp has them; `Streams` says which stream is which.

namespace dma {

enum Status : uint32_t { OK, UNSUPPORTED, ABORTED, POISONED, TIMED_OUT, BLOCKED, STATUSES };

// How the root port answers a read. The order is known to dma.py.
enum Fate : uint32_t {
    GOOD, REFUSED, RETRY, RESERVED, ABORT, POISON, SURPLUS, EMPTY, REFUSED_LATER, SHORT, FORGOTTEN, LATE, STRANGER,
    FATES
};

struct Settings {  // known to dma.py
    uint32_t read, read_data, write, write_data, write_done, cause;  // streams
    uint32_t tags, largest, payload, timeout;                 // of the device
    uint32_t most;                                            // bytes of a request
    uint32_t open;                                            // requests that wait for their end
    uint32_t fates[FATES];                                    // probabilities in 1/65536
    uint32_t noise, broken;                                   // the same: completions of nobody, malformed copies
    uint32_t steady;          // 1: reads, 2: writes, all of `most` bytes from whole pages; 0: at random
    uint32_t delay;           // of a steady host
    uint32_t headers, units;  // completions, and 16-byte units of their data, that may be on their way; 0: any number
};

// What software may change at any time; where two values are given, both may hold.
struct Live {  // known to dma.py
    uint32_t payload[2], request[2];  // Max_Payload_Size, Max_Read_Request_Size in bytes
    uint32_t limit;                   // bytes of the largest completion
    uint32_t boundary;                // bytes of the Read Completion Boundary
    uint32_t wide;                    // tags from 32 on may be used
    uint32_t requester, epoch;
    uint32_t may_block, must_block;
    uint32_t paused;                  // hand in nothing new
    uint32_t vectors;                 // interrupt with so many, whose messages go where no DMA does: to MESSAGES
};

struct Counts {  // known to dma.py
    uint64_t reads[STATUSES], writes, writes_blocked;
    uint64_t bytes_read, bytes_written, read_packets, write_packets, completions;
    uint64_t fates[FATES];
    uint64_t malformed, poisoned, unexpected, perhaps_unexpected;
    uint64_t messages;
};

struct Piece {
    uint64_t from, to;    // bytes of its request
    uint32_t allowed;     // statuses, a bit each
    uint64_t seen;        // clock
};

struct Read {
    uint64_t number, address, taken = 0, writes_before = 0;
    uint32_t bytes, owner, context;
    bool hopeless;        // of another epoch or function
    bool accepted = false, answered = false, passed = false;
    uint64_t delivered = 0;
    std::vector<Piece> pieces;
};

struct Write {
    uint64_t number, address, taken = 0, seen = 0;
    uint32_t bytes, context;
    bool report, hopeless;
    // Sent whole; given up, or sent and done with; reported.
    bool left = false, passed = false, reported = false, queued = false;
};

// A reason to interrupt, and how many writes had been handed in by then. It may be lost if the gate was not open.
struct Cause {
    uint64_t writes_before;
    bool perhaps;
};

// Address of the message of vector 0; each has a dword. known to fuzz_dma.py
const uint64_t MESSAGES = uint64_t(1) << 63;
const uint32_t MOST_VECTORS = 8;

// A packet, for the report of a failure.
struct Seen {
    uint64_t clock, from, to;
    bool write;
};

// A read packet that the host has not answered fully.
struct Asked {
    uint32_t tag;
    uint64_t due;
    Fate fate;
    uint32_t headers, units;  // most that it may bring
    std::deque<std::vector<uint32_t>> completions;
};

inline uint32_t mix(uint64_t value) {
    value *= 0x9E3779B97F4A7C15;
    value ^= value >> 29;
    value *= 0xBF58476D1CE4E5B9;
    return uint32_t(value >> 32);
}
inline uint32_t memory(uint64_t dword_address) { return mix(dword_address >> 2); }
inline uint8_t memory_byte(uint64_t address) { return uint8_t(memory(address) >> 8 * (address & 3)); }
inline uint8_t written_byte(uint64_t write, uint32_t place) {
    return uint8_t(mix(write << 13 | place >> 2) >> 8 * (place & 3));
}

struct Traffic {
    bool on = false;
    Settings settings;
    Live live;
    Counts counts;
    std::string failure;
    uint64_t random = 1, now = 0, started = 0, ended = 0;
    uint64_t open_bytes = 0, last_may_block = 0, must_since = ~uint64_t(0);

    std::deque<Read> reads;
    std::deque<Write> writes;
    // Numbers of the next to be begun, taken, handed in to the last byte, looked for among the packets.
    uint64_t reads_begun = 0, reads_taken = 0, reads_passed = 0;
    uint64_t writes_begun = 0, writes_taken = 0, writes_handed = 0, writes_passed = 0;
    std::deque<uint64_t> owners[8], reports;
    // Of each vector, what nobody has been told of, and how many messages may still come of what somebody has; causes
    // begun and taken.
    std::deque<Cause> causes[MOST_VECTORS];
    uint32_t again[MOST_VECTORS];
    uint64_t causes_begun = 0, causes_taken = 0;
    std::vector<Asked> asked;
    std::deque<Seen> trail;
    uint64_t tag_free[256];
    bool tag_busy[256];

    uint32_t draw() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return uint32_t(random >> 24);
    }
    uint32_t below(uint32_t limit) { return uint32_t(uint64_t(draw()) * limit >> 32 & 0xFFFFFFFF) % limit; }
    bool chance(uint32_t probability) { return probability && (draw() & 0xFFFF) < probability; }

    void start(const Settings& given, uint64_t seed) {
        on = true;
        settings = given;
        random = seed * 0x9E3779B97F4A7C15 | 1;
        for (int i = 0; i < 8; ++i) draw();
        memset(&live, 0, sizeof live);
        memset(&counts, 0, sizeof counts);
        failure.clear();
        started = ended = open_bytes = last_may_block = 0;
        reads_begun = reads_taken = reads_passed = writes_begun = writes_taken = writes_handed = writes_passed = 0;
        must_since = ~uint64_t(0);
        reads.clear();
        writes.clear();
        reports.clear();
        asked.clear();
        trail.clear();
        for (auto& owner : owners) owner.clear();
        for (auto& vector : causes) vector.clear();
        causes_begun = causes_taken = 0;
        memset(again, 0, sizeof again);
        memset(tag_free, 0, sizeof tag_free);
        memset(tag_busy, 0, sizeof tag_busy);
    }

    __attribute__((format(printf, 2, 3))) void fail(const char* format, ...) {
        if (!failure.empty()) return;
        char text[300];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        failure = "clock " + std::to_string(now) + ": " + text + "\nthe last packets of DMA:";
        for (const Seen& one : trail) {
            snprintf(text, sizeof text, "\n  clock %" PRIu64 ": %s from %#" PRIx64 " to %#" PRIx64, one.clock,
                     one.write ? "write" : "read", one.from, one.to);
            failure += text;
        }
    }

    uint64_t open() const { return started - ended; }
    // So much that the host can answer in time, if it means to.
    bool wants() const {
        return !live.paused && open() < settings.open && open_bytes < uint64_t(settings.timeout) * WIDTH / 64;
    }
    bool hears(uint32_t stream) const { return stream == settings.read_data || stream == settings.write_done; }
    void heard(uint32_t stream, const uint32_t* words) { stream == settings.read_data ? answer(words) : done(words); }

    // --- The back end --------------------------------------------------------------------------------------

    bool near_border() const {
        auto near = [](uint64_t address) { return address - 0xFFFFE000 < 0x4000; };
        for (const Read& read : reads)
            if (near(read.address)) return true;
        for (const Write& write : writes)
            if (near(write.address)) return true;
        return false;
    }
    uint64_t address() {
        uint64_t page = draw() & 0xFFFFF;
        if (draw() & 1) page |= uint64_t(1 + (draw() & 0x7FFFFFFF)) << 20;
        // Around 4 GiB, one request at a time: packets are told apart by their addresses.
        if (!below(64) && !near_border()) page = (draw() & 1) ? 0xFFFFF : 0x100000;
        if (settings.steady) return (page & 0xFFFFF) << 12;
        uint32_t offset = draw() & 0xFFF;
        switch (below(4)) {
            case 0: offset &= ~uint32_t(0x3F); break;
            case 1: offset = (offset & 0xF80) - (offset & 7); break;
            default: break;
        }
        return page << 12 | (offset & 0xFFF);
    }
    uint32_t size() {
        uint32_t kind = below(32), most = settings.most;
        if (settings.steady) return most;
        uint32_t bytes = kind < 2 ? below(5) : kind < 16 ? 1 + below(64) : kind < 30 ? 1 + below(512) : 1 + below(4096);
        return bytes < most ? bytes : most;
    }

    // Hands in a request, as words for streams.
    template <class Put> void begin(Put&& put) {
        bool hopeless = !settings.steady && !below(40);
        uint32_t function = hopeless && (draw() & 1) ? 1 + below(255) : 0;
        uint32_t epoch = hopeless && !function ? live.epoch + 1 + below(3) & 3 : live.epoch;
        uint64_t where = address();
        uint32_t bytes = size(), context = draw() & 0xFFFF;
        ++started;
        if (settings.steady ? settings.steady == 1 : draw() & 1) {
            Read read{};
            read.number = reads_begun++;
            read.address = where, read.bytes = bytes, read.owner = draw() & 7, read.context = context;
            read.hopeless = hopeless;
            owners[read.owner].push_back(read.number);
            open_bytes += bytes;
            uint32_t words[7] = {function, epoch, uint32_t(where), uint32_t(where >> 32), bytes, read.owner, context};
            reads.push_back(read);
            put(settings.read, words);
            return;
        }
        Write write{};
        write.number = writes_begun++;
        write.address = where, write.bytes = bytes, write.context = context;
        write.report = below(4), write.hopeless = hopeless;
        if (write.report) reports.push_back(write.number);
        uint32_t words[7] = {function, epoch, uint32_t(where), uint32_t(where >> 32), bytes, context, write.report};
        put(settings.write, words);
        uint32_t place = 0;
        do {
            uint32_t beat[LANES + 2], count = bytes - place < 4 * LANES ? bytes - place : 4 * LANES;
            for (uint32_t lane = 0; lane < LANES; ++lane) {
                beat[lane] = 0;
                for (uint32_t i = 0; i < 4; ++i)
                    beat[lane] |= uint32_t(written_byte(write.number, place + 4 * lane + i)) << 8 * i;
            }
            place += count;
            beat[LANES] = count;
            beat[LANES + 1] = place == bytes;
            put(settings.write_data, beat);
        } while (place < bytes);
        writes.push_back(write);
    }
    bool interrupts() { return live.vectors && !live.paused && causes_begun == causes_taken && !below(64); }
    // Gives a reason to interrupt: vector 0 is the configuration's, the others those of queues.
    template <class Put> void interrupt(Put&& put) {
        uint32_t vector = below(live.vectors);
        uint32_t words[4] = {0, live.epoch, vector ? vector - 1 : 0, !vector};
        ++causes_begun;
        put(settings.cause, words);
    }
    // An item was taken by the core.
    void took(uint32_t stream, const uint32_t* words) {
        if (stream == settings.read) {
            Read& read = the_read(reads_taken++);
            read.accepted = true;
            read.taken = now;
            read.writes_before = writes_handed;
        } else if (stream == settings.cause) {
            ++causes_taken;
            causes[words[3] ? 0 : words[2] + 1].push_back({writes_handed, bool(live.may_block)});
        } else if (stream == settings.write) {
            the_write(writes_taken++).taken = now;
        } else if (stream == settings.write_data && words[LANES + 1]) {
            if (!the_write(writes_handed++).report) ++ended;
        }
    }

    Read& the_read(uint64_t number) { return reads[number - reads.front().number]; }
    Write& the_write(uint64_t number) { return writes[number - writes.front().number]; }

    bool may_be_blocked(uint64_t since, bool hopeless) const { return hopeless || last_may_block >= since; }

    void answer(const uint32_t* words) {
        uint32_t owner = words[0], context = words[1], bytes = words[2 + LANES], last = words[3 + LANES];
        uint32_t status = words[4 + LANES];
        if (owners[owner].empty()) return fail("an answer for owner %u, who asked nothing", owner);
        Read& read = the_read(owners[owner].front());
        if (context != read.context || !read.accepted)
            return fail("owner %u is answered with context %#x; its oldest read has %#x", owner, context, read.context);
        if (status && (bytes || !last)) return fail("a read ends with status %u and data", status);
        if (!last && bytes != 4 * LANES) return fail("a beat of %u bytes in the middle of a read", bytes);
        if (read.delivered + bytes > read.bytes) return fail("a read of %u bytes gets more", read.bytes);
        for (uint32_t i = 0; i < bytes; ++i) {
            uint64_t address = read.address + read.delivered + i;
            uint8_t got = uint8_t(words[2 + i / 4] >> 8 * (i & 3));
            if (got != memory_byte(address))
                return fail("byte %#" PRIx64 " reads %#x, memory holds %#x", address, got, memory_byte(address));
        }
        read.delivered += bytes;
        if (!last) return;
        judge(read, status);
        ++counts.reads[status < STATUSES ? status : 0];
        counts.bytes_read += status ? 0 : read.bytes;
        read.answered = true;
        if (!status) read.passed = true;
        owners[owner].pop_front();
        open_bytes -= read.bytes;
        ++ended;
        tidy();
    }

    void judge(const Read& read, uint32_t status) {
        uint64_t place = 0;
        if (must_since <= read.taken && status != BLOCKED) fail("a read passed a gate that was closed all the time");
        for (const Piece& piece : read.pieces) {
            if (piece.from != place) break;
            if (status && piece.allowed >> status & 1) {
                if (status == TIMED_OUT && now + settings.timeout / 4 < piece.seen + settings.timeout)
                    fail("a read has timed out after %" PRIu64 " clocks", now - piece.seen);
                return;
            }
            if (!(piece.allowed & 1)) return fail("a read of %u bytes ends with status %u; its packet at byte %" PRIu64
                                                  " allows the set %#x", read.bytes, status, piece.from, piece.allowed);
            place = piece.to;
            if (!read.bytes) place = 1;
        }
        if (place >= (read.bytes ? read.bytes : 1)) {
            if (status) fail("a read whose packets all were answered ends with status %u", status);
            if (read.delivered != read.bytes)
                fail("a read of %u bytes gets %" PRIu64, read.bytes, read.delivered);
        } else if (status != BLOCKED || !may_be_blocked(read.taken, read.hopeless)) {
            fail("a read of %u bytes ends with status %u; its byte %" PRIu64 " was never asked for",
                 read.bytes, status, place);
        }
    }

    void done(const uint32_t* words) {
        if (reports.empty()) return fail("a report of a write that nobody wants to know about");
        uint64_t number = reports.front();
        reports.pop_front();
        ++ended;
        Write& write = the_write(number);
        if (words[0] != write.context || number >= writes_handed)
            fail("a report with context %#x; the next to report has %#x", words[0], write.context);
        if (words[1] ? !may_be_blocked(write.taken, write.hopeless) || write.left
                     : (write.passed && !write.left) || write.hopeless || must_since <= write.taken)
            fail("a write is reported with status %u", words[1]);
        write.reported = true;
        write.queued = !words[1];
        tidy();
    }

    // Forget what has ended.
    void tidy() {
        while (!reads.empty() && reads.front().answered && (reads.front().passed || reads_passed > reads.front().number))
            reads.pop_front();
        while (!writes.empty() && writes.front().passed && (writes.front().reported || !writes.front().report))
            writes.pop_front();
    }

    // --- The root port ---------------------------------------------------------------------------------------

    void packet(const uint32_t* words, uint32_t length) {
        bool wide = words[0] >> 29 & 1, write = words[0] >> 30 & 1;
        uint32_t header = wide ? 4 : 3, dwords = words[0] & 0x3FF ? words[0] & 0x3FF : 1024;
        uint64_t start = wide ? uint64_t(words[2]) << 32 | words[3] : words[2];
        uint32_t first = words[1] & 0xF, last = words[1] >> 4 & 0xF;
        if ((words[0] >> 24 & 0x1F) || (words[0] & 0x9FFC00)) return fail("a request with header %#x", words[0]);
        if (words[1] >> 16 != live.requester) return fail("a request of %#x", words[1] >> 16);
        if (wide && !(start >> 32)) return fail("a long header below 4 GiB");
        if (start & 3) return fail("reserved bits of an address are set");
        if (write && start >= MESSAGES) return message(uint32_t(start - MESSAGES) / 4);
        if (live.must_block) return fail("a request leaves while the gate is closed");
        if ((start & 0xFFF) + 4 * dwords > 4096) return fail("a request crosses 4 KiB");
        bool empty = !first && dwords == 1;
        // Enables without gaps: from the first byte to the last of the packet.
        uint32_t low = low_zeros(first), high = high_zeros(dwords > 1 ? last : first);
        uint32_t want_first = 0xF << low & 0xF, want_last = 0xF >> high;
        bool right = dwords > 1 ? first == want_first && last == want_last
                                : last == 0 && (empty || first == (want_first & want_last));
        if (!right) return fail("byte enables %#x %#x", first, last);
        uint64_t from = empty ? start : start + low, to = empty ? start : start + 4 * dwords - high;
        trail.push_back({now, from, to, write});
        if (trail.size() > 8) trail.pop_front();
        if (write) {
            ++counts.write_packets;
            if (length != header + dwords) return fail("a write of %u dwords for %u", length - header, dwords);
            written(from, to, empty, words + header, start);
        } else {
            ++counts.read_packets;
            read(from, to, empty, words[1] >> 8 & 0xFF, start, dwords);
        }
    }

    // Whether writes handed in before the one with this number have left; with `lenient`, or may never leave.
    bool left(uint64_t number, bool lenient) {
        for (uint64_t i = writes_passed; i < number; ++i) {
            const Write& write = the_write(i);
            if (!write.left && !(lenient && !write.queued && may_be_blocked(write.taken, write.hopeless))) return false;
        }
        return true;
    }

    // A message tells of the oldest cause, and of later ones if they came in time. Of all whose writes have left a driver
    // knows now; if these are several, messages may still come of the later ones: one on offer, one pending.
    void message(uint32_t vector) {
        if (vector >= live.vectors) return fail("vector %u interrupts, of %u", vector, live.vectors);
        ++counts.messages;
        std::deque<Cause>& waiting = causes[vector];
        uint32_t known = 0;
        for (; !waiting.empty() && (waiting.front().perhaps || left(waiting.front().writes_before, false)); ++known)
            waiting.pop_front();
        uint32_t told = known + again[vector];
        if (!told && !waiting.empty()) {
            if (!left(waiting.front().writes_before, true))
                return fail("the interrupt of vector %u has overtaken a write", vector);
            waiting.pop_front();
        }
        // What waits for writes that may never leave may have been told.
        for (Cause& cause : waiting) cause.perhaps |= left(cause.writes_before, true);
        again[vector] = told < 2 ? 0 : told > 3 ? 2 : told - 1;
    }

    // Whether a packet from here to there is what one of two sizes makes of a request that ends at `end`.
    static bool cut(uint64_t from, uint64_t to, uint64_t end, const uint32_t* sizes, uint32_t most) {
        for (int i = 0; i < 2; ++i) {
            uint64_t size = sizes[i] < most ? sizes[i] : most, border = (from / size + 1) * size;
            if (to == (border < end ? border : end)) return true;
        }
        return false;
    }

    void written(uint64_t from, uint64_t to, bool empty, const uint32_t* payload, uint64_t start) {
        for (; writes_passed < writes_taken; ++writes_passed) {
            Write& write = the_write(writes_passed);
            uint64_t next = write.address + write.seen;
            bool fits = !write.hopeless && !write.left
                        && (write.bytes ? !empty && from == next && to <= write.address + write.bytes
                                        : empty && from == (write.address & ~uint64_t(3)));
            if (!fits) {
                if (!pass(write)) return fail("a write from %#" PRIx64 " to %#" PRIx64 "; %#" PRIx64 " is next of %u bytes%s",
                                              from, to, next, write.bytes, write.hopeless ? ", never to leave" : "");
                continue;
            }
            if (!empty && !cut(from, to, write.address + write.bytes, live.payload, settings.payload))
                return fail("a write from %#" PRIx64 " to %#" PRIx64 " is cut wrongly", from, to);
            for (uint64_t address = from; address < to; ++address) {
                uint8_t got = uint8_t(payload[(address - start) / 4] >> 8 * (address & 3));
                if (got != written_byte(write.number, uint32_t(address - write.address)))
                    return fail("byte %#" PRIx64 " is written wrongly", address);
            }
            counts.bytes_written += to - from;
            write.seen += to - from;
            write.left = write.seen >= write.bytes;
            if (write.left && write.reported && !write.queued) fail("a write leaves that was reported as blocked");
            if (write.left && write.number >= writes_handed) fail("a write leaves before its last byte was handed in");
            return;
        }
        fail("a write to %#" PRIx64 " that nobody handed in", from);
    }

    // The oldest write will send nothing more: whether that can be.
    bool pass(Write& write) {
        bool blocked = !write.queued && write.number < writes_handed && may_be_blocked(write.taken, write.hopeless);
        if (!write.left && !blocked) return false;
        ++(write.left ? counts.writes : counts.writes_blocked);
        write.passed = true;
        return true;
    }

    void read(uint64_t from, uint64_t to, bool empty, uint32_t tag, uint64_t start, uint32_t dwords) {
        Read* found = nullptr;
        for (; reads_passed < reads_taken; ++reads_passed) {
            if (reads.front().number > reads_passed) continue;
            Read& read = the_read(reads_passed);
            uint64_t next = read.pieces.empty() ? 0 : read.pieces.back().to;
            uint64_t place = from - read.address;
            bool inside = !read.hopeless && (read.bytes
                ? !empty && from >= read.address + next && to <= read.address + read.bytes && next < read.bytes
                  && (place == next || !(from & 127))
                  && (place == next && !may_be_blocked(read.taken, false)
                      || may_be_blocked(read.taken, false)
                         && cut(from, to, read.address + read.bytes, live.request, settings.largest))
                : empty && from == (read.address & ~uint64_t(3)) && read.pieces.empty());
            if (inside) {
                found = &read;
                break;
            }
            bool complete = read.bytes ? next == read.bytes : !read.pieces.empty();
            if (!complete && !may_be_blocked(read.taken, read.hopeless))
                return fail("a read from %#" PRIx64 " to %#" PRIx64 "; %#" PRIx64 " is next of %u bytes, %s",
                            from, to, read.address + next, read.bytes, read.answered ? "answered" : "not answered");
        }
        if (!found) return fail("a read from %#" PRIx64 " that nobody handed in", from);
        Read& read = *found;
        if (!empty && !cut(from, to, read.address + read.bytes, live.request, settings.largest))
            return fail("a read from %#" PRIx64 " to %#" PRIx64 " is cut wrongly", from, to);
        for (; writes_passed < read.writes_before; ++writes_passed)
            if (!pass(the_write(writes_passed))) return fail("a read from %#" PRIx64 " has overtaken a write", from);
        if (tag >= settings.tags || (!live.wide && tag >= 32)) return fail("tag %u may not be used", tag);
        if (tag_busy[tag]) return fail("tag %u is in use", tag);
        if (tag_free[tag] > now) return fail("tag %u must rest until clock %" PRIu64, tag, tag_free[tag]);
        Fate fate = GOOD;
        uint32_t dice = draw() & 0xFFFF;
        for (uint32_t i = 1; i < FATES; ++i) {
            if (dice < settings.fates[i]) {
                fate = Fate(i);
                break;
            }
            dice -= settings.fates[i];
        }
        if (fate == LATE && 4 * dwords > live.limit) fate = FORGOTTEN;
        ++counts.fates[fate];
        static const uint32_t allowed[FATES] = {
            1 << OK, 1 << UNSUPPORTED, 1 << UNSUPPORTED, 1 << UNSUPPORTED, 1 << ABORTED, 1 << POISONED, 1 << ABORTED,
            1 << ABORTED, 1 << UNSUPPORTED, 1 << TIMED_OUT, 1 << TIMED_OUT, 1 << OK | 1 << TIMED_OUT, 1 << TIMED_OUT};
        read.pieces.push_back({from - read.address, empty ? 0 : to - read.address, allowed[fate], now});
        if (empty) read.pieces.back().from = 0;
        ask(tag, fate, from, empty ? from : to, start, dwords);
    }

    // Makes the completions of a read.
    void ask(uint32_t tag, Fate fate, uint64_t from, uint64_t to, uint64_t start, uint32_t dwords) {
        Asked one;
        one.tag = tag, one.fate = fate;
        one.headers = uint32_t((start + 4 * uint64_t(dwords) - 1) / live.boundary - start / live.boundary) + 1;
        one.units = uint32_t((start + 4 * uint64_t(dwords) - 1) / 16 - start / 16) + 1;
        one.due = now + (settings.steady ? settings.delay : below(below(8) ? 40 : 400));
        uint32_t id = live.requester;
        if (fate == STRANGER) id ^= 1u << below(16);
        auto head = [&](uint32_t count, uint32_t status, uint32_t bytes, uint32_t lower) {
            return std::vector<uint32_t>{(count ? 0x4A000000 : 0x0A000000) | (count & 0x3FF),
                                         status << 13 | (bytes & 0xFFF), id << 16 | tag << 8 | (lower & 0x7F)};
        };
        uint32_t count = from == to ? 1 : uint32_t(to - from);
        if (fate == REFUSED || fate == RETRY || fate == RESERVED || fate == ABORT) {
            static const uint32_t said[] = {0, 1, 2, 3, 4};
            one.completions.push_back(head(0, said[fate], count, uint32_t(from)));
        } else if (fate == EMPTY) {
            one.completions.push_back(head(0, 0, count, uint32_t(from)));
        } else if (fate != FORGOTTEN) {
            uint64_t at = start, end = start + 4 * uint64_t(dwords);
            bool merge = settings.steady || (draw() & 1);
            while (at < end) {
                uint64_t stop = (at / live.boundary + 1) * live.boundary;
                while (merge && stop + live.boundary <= at + live.limit && (settings.steady || below(8))) stop += live.boundary;
                if (fate == LATE) stop = end;
                if (stop > end) stop = end;
                uint32_t part = uint32_t(stop - at) / 4;
                std::vector<uint32_t> words = head(part, 0, count, uint32_t(at == start ? from : at));
                for (uint64_t dword = at; dword < stop; dword += 4) words.push_back(memory(dword));
                if (!settings.steady && !below(16)) {
                    words[0] |= 1 << 15;
                    words.push_back(draw());
                }
                count -= uint32_t(stop - (at == start ? from : at)) < count ? uint32_t(stop - (at == start ? from : at)) : 0;
                one.completions.push_back(words);
                at = stop;
            }
            std::vector<uint32_t>& end_of_it = one.completions.back();
            if (fate == POISON) one.completions[below(uint32_t(one.completions.size()))][0] |= 1 << 14;
            if (fate == SHORT) one.completions.pop_back();
            if (fate == REFUSED_LATER) end_of_it = head(0, 1, count, 0);
            if (fate == SURPLUS) {
                uint32_t held = (end_of_it[0] & 0x3FF) + 1;
                if (4 * held > live.limit) {
                    end_of_it = head(0, 0, count, 0);
                } else {
                    end_of_it.resize(3 + held - 1);
                    end_of_it.push_back(draw());
                    end_of_it[0] = 0x4A000000 | held;
                }
            }
        }
        uint64_t out = settings.timeout;
        if (fate == FORGOTTEN || fate == SHORT || fate == STRANGER) {
            tag_free[tag] = now + 2 * out - out / 4;
            tag_busy[tag] = false;
        } else {
            tag_busy[tag] = true;
        }
        if (fate == LATE) one.due = now + out + out / 4 + below(uint32_t(out / 2));
        if (one.completions.empty()) return;
        asked.push_back(one);
        uint32_t headers = 0, units = 0;
        for (const Asked& each : asked)
            if (each.fate != LATE && each.fate != SHORT && each.fate != STRANGER)
                headers += each.headers, units += each.units;
        if (settings.headers && (headers > settings.headers || units > settings.units))
            fail("%u completions and %u units of data may come; there is room for %u and %u", headers, units,
                 settings.headers, settings.units);
    }

    // A completion that comes now, or nothing.
    template <class Send> void complete(Send&& send) {
        if (chance(settings.noise)) {
            uint32_t count = below(3) ? below(6) : 0;
            std::vector<uint32_t> words = {
                (count ? 0x4A000000u : 0x0A000000u) | count, below(5) << 13 | 4,
                (live.requester ^ 1u << below(16)) << 16 | (draw() & 0xFF) << 8};
            if (!below(4)) words[2] = live.requester << 16 | (settings.tags < 256 ? 0xFF : 0) << 8;
            if (settings.tags == 256 && words[2] >> 16 == live.requester) words[0] |= 1 << 24;
            for (uint32_t i = 0; i < count; ++i) words.push_back(draw());
            ++counts.unexpected;
            send(words);
            return;
        }
        if (asked.empty() || (!settings.steady && (draw() & 3) == 0)) return;
        size_t begin = settings.steady ? 0 : below(uint32_t(asked.size()));
        for (size_t i = 0; i < asked.size(); ++i) {
            Asked& one = asked[(begin + i) % asked.size()];
            if (one.due > now) continue;
            if (chance(settings.broken)) {
                std::vector<uint32_t> words = one.completions.front();
                words.push_back(draw());
                ++counts.malformed;
                send(words);
                return;
            }
            std::vector<uint32_t> words = one.completions.front();
            one.completions.pop_front();
            ++counts.completions;
            counts.poisoned += one.fate != STRANGER && (words[0] >> 14 & 1);
            counts.unexpected += one.fate == STRANGER;
            counts.perhaps_unexpected += one.fate == LATE;
            send(words);
            if (one.completions.empty()) {
                if (one.fate != SHORT && one.fate != STRANGER) tag_busy[one.tag] = false;
                if (one.fate == SURPLUS || one.fate == EMPTY)
                    tag_free[one.tag] = now + settings.timeout - settings.timeout / 4;
                asked.erase(asked.begin() + (begin + i) % asked.size());
            }
            return;
        }
    }

    // --- Time --------------------------------------------------------------------------------------------------

    void clock(uint64_t clock) {
        now = clock;
        if (live.may_block) {
            last_may_block = now;
            for (auto& vector : causes)
                for (Cause& cause : vector) cause.perhaps = true;
        }
        if (!live.must_block)
            must_since = ~uint64_t(0);
        else if (must_since > now)
            must_since = now;
    }

    // Everything that was begun has ended as it should.
    void finish() {
        for (; writes_passed < writes_handed; ++writes_passed)
            if (!pass(the_write(writes_passed)))
                return fail("a write to %#" PRIx64 " has not left", the_write(writes_passed).address);
        if (open()) fail("%" PRIu64 " requests have not ended", open());
        if (!asked.empty()) fail("%zu reads still see completions", asked.size());
        for (uint32_t vector = 0; vector < MOST_VECTORS; ++vector)
            for (const Cause& cause : causes[vector])
                if (!cause.perhaps) return fail("nobody was told of a cause of vector %u behind its writes", vector);
    }
};

}  // namespace dma
