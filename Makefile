# hopmq: `make` builds into build/, `make help` lists the rest.

BUILD ?= build
CC ?= cc
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= /usr/bin/python3
VERSION := 0.1.0

# What the programs and their tests need, as Debian packages; `make deps` installs what is missing.
DEBS := gcc libc6-dev pkg-config libczmq-dev libzmq3-dev libmsgpack-dev libbsd-dev libc-ares-dev \
	libjansson-dev libsqlite3-dev libdeflate-dev sqlite3 libmicrohttpd-dev libcmocka-dev mtr-tiny \
	python3-pytest python3-zmq python3-msgpack util-linux iproute2 procps dnsmasq-base
BENCH_DEBS := scamper traceroute gnuplot-nox
LINT_DEBS := clang clang-format clang-tidy cppcheck mandoc shellcheck libclang-rt-dev

LIBS := libczmq libzmq msgpack libbsd
WARN := -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
# SANITIZE is set by the targets that build the unit tests once more.
SANITIZE ?=
OPTIMIZE ?= -O2
CFLAGS ?= -g
pkg = $(shell pkg-config $(1) $(2) 2>/dev/null)
ALL_CFLAGS := $(CFLAGS) $(OPTIMIZE) $(WARN) -D_GNU_SOURCE -DHOPMQ_VERSION='"$(VERSION)"' -I. \
	-fstack-protector-strong $(SANITIZE) $(call pkg,--cflags,$(LIBS))
ALL_LDLIBS := $(LDLIBS) $(call pkg,--libs,$(LIBS))
CARES := $(call pkg,--libs,libcares)
HTTP := $(call pkg,--libs,libmicrohttpd)
JANSSON := $(call pkg,--libs,jansson)
STORE := $(call pkg,--libs,sqlite3 libdeflate)
RESOLV := -lresolv
BROKER_LDLIBS := $(ALL_LDLIBS) $(STORE) $(HTTP)
WORKER_LDLIBS := $(ALL_LDLIBS) $(HTTP) $(CARES) $(RESOLV)

# Modules without clock, socket or stdio; tests/gates/pure checks that it stays so. Folders that are
# wholly pure are named by wildcards, single modules of the others by name.
PURE_FOLDERS := broker/core worker/session worker/probing common common/protocol
PURE_CLI := gaps item json lines live pong refusal render replay stats_text submission \
	submission_answer submission_places
PURE := $(patsubst %.c,%,$(wildcard $(PURE_FOLDERS:%=%/*.c))) \
	broker/metrics broker/store/batch broker/store/outline broker/store/shelf \
	worker/metrics worker/host/doctor $(PURE_CLI:%=clients/cli/%)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
# What only daemons have.
DAEMON := $(call obj,$(patsubst %,common/runtime/%.c,listen metrics notify process vitals))
COMMON := $(filter-out $(DAEMON),$(call obj,$(wildcard common/*.c common/*/*.c)))
BROKER := $(call obj,$(filter-out broker/main.c,$(wildcard broker/*.c broker/*/*.c)))
WORKER := $(call obj,$(filter-out worker/main.c,$(wildcard worker/*.c worker/*/*.c)))
CLIENT := $(call obj,$(filter-out clients/cli/main.c,$(wildcard clients/cli/*.c)))
SIMNET := $(call obj,$(filter-out tests/simnet/simnet.c tests/simnet/test_%.c,$(wildcard tests/simnet/*.c)))
STORE_OBJECTS := $(filter-out $(call obj,broker/daemon.c),$(BROKER)) $(COMMON)
PURE_OBJECTS := $(PURE:%=$(BUILD)/obj/%.o)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c)) \
	$(BUILD)/unit/test_simnet
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
UNPROTECTED := $(BUILD)/tests/hopmq-worker-unprotected
WALLCLOCK := $(BUILD)/tests/wallclock.so
PROGRAMS := $(BUILD)/hopmq-broker $(BUILD)/hopmq-worker $(BUILD)/hopmq

# One line a command; `make V=1` shows them whole.
V ?= 0
say_0 = @printf '  %-4s %s\n' $(1) $(2);
say_1 =
say = $(call say_$(V),$(1),$(2))

.PHONY: all clean help
all: $(PROGRAMS) $(BUILD)/simnet

help:
	@printf '%s\n' \
	  'make                     build into build/' \
	  'make trace TARGET=HOST   install what is missing, build, trace, leave nothing running' \
	  'make test                the same, then all tests' \
	  'make demo                a trace and a live stream in a simulated internet, no network needed' \
	  'make run                 a broker and one worker a core, until Ctrl-C' \
	  'make deps                install what is missing (Debian, apt-get)' \
	  'make bench               against floors and Debian peers, interleaved; writes bench.json' \
	  'make bench-quick         a few ratios beside the recorded ones; QUICK=--record records them' \
	  'make bench-growth        what a trace costs as work grows; writes docs/growth.json and .svg' \
	  'make soak                SOAK_MINUTES=30 at 80 % load: memory, descriptors, latency stay' \
	  'make sim                 simulated schedules of faults, SEEDS=1-1000000' \
	  'make fuzz                run the fuzzers, FUZZ_SECONDS=60 each' \
	  'make lint compilers      clang-format, clang-tidy, cppcheck; gcc and clang with all warnings' \
	  'make install             into DESTDIR and PREFIX=/usr/local, with man pages and systemd units'

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/hopmq-broker: $(call obj,broker/main.c) $(BROKER) $(DAEMON) $(COMMON)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(BROKER_LDLIBS) -o $@
$(BUILD)/hopmq-worker: $(call obj,worker/main.c) $(WORKER) $(DAEMON) $(COMMON)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(WORKER_LDLIBS) -o $@
$(BUILD)/hopmq: $(call obj,clients/cli/main.c) $(CLIENT) $(COMMON)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) $(JANSSON) -o $@
$(BUILD)/simnet: $(call obj,tests/simnet/simnet.c) $(SIMNET)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@

# ---- the two commands, and their relatives -----------------------------------------------------

TARGET ?= 127.0.0.1
WITH_HOPMQ := HOPMQ_BIN=$(BUILD) clients/with-hopmq
DEMO_NET := --seed 3 --hops 15-15 --rtt-us 2500 --jitter-us 800 --mpls 20 --silent-router 7

.PHONY: deps trace run demo
deps:
	@missing=; for deb in $(DEBS); do \
	  dpkg-query -W -f '$${Status}' $$deb 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$deb"; \
	done; \
	[ -z "$$missing" ] || .ci/install $$missing

trace: deps
	@$(MAKE) -s --no-print-directory all
	@$(WITH_HOPMQ) $(BUILD)/hopmq trace $(TARGET)

run: deps
	@$(MAKE) -s --no-print-directory all
	@$(WITH_HOPMQ) -f -n "$$(nproc)"

demo: deps
	@$(MAKE) -s --no-print-directory all
	@HOPMQ_BIN=$(BUILD) tests/simnet/demo $(DEMO_NET)

# ---- tests -------------------------------------------------------------------------------------
# Unit tests link the pure modules only, that of the reactor the reactor too: what needs a socket is
# tested with the running programs.

SANITIZED := $(BUILD)/sanitized
SAN_FLAGS := BUILD=$(SANITIZED) OPTIMIZE=-O1 \
	SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

.PHONY: test unit-programs replay-programs
test: deps
	@$(MAKE) --no-print-directory all unit-programs $(UNPROTECTED) $(STORE_TESTS) $(WALLCLOCK) \
	  sim-program
	@$(MAKE) --no-print-directory $(SAN_FLAGS) unit-programs replay-programs sim-program
	@PURE_OBJECTS="$(PURE_OBJECTS)" $(PYTHON) tests/run $(BUILD) $(SANITIZED)

unit-programs: $(UNIT_TESTS)
$(BUILD)/unit/test_simnet: $(call obj,tests/simnet/test_simnet.c) $(SIMNET)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -lcmocka -o $@
$(BUILD)/unit/test_reactor: $(call obj,common/runtime/reactor.c)
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(PURE_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) $(JANSSON) $(RESOLV) -lcmocka -o $@

# A worker that shares nothing with its neighbours: what it finds, the real one must not.
$(UNPROTECTED): $(call obj,worker/main.c tests/process/unprotected_berth.c) \
		$(filter-out $(call obj,worker/host/berth.c),$(WORKER)) $(DAEMON) $(COMMON)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(WORKER_LDLIBS) -o $@

# The store on disks that fail, and driven by hand; tests/process/test_store.py runs them.
STORE_TESTS := $(BUILD)/tests/store-faults $(BUILD)/tests/store-drive
$(BUILD)/tests/store-faults: $(call obj,tests/store/faults.c tests/store/fault_vfs.c)
$(BUILD)/tests/store-drive: $(call obj,tests/store/drive.c)
$(STORE_TESTS): $(call obj,tests/store/rig.c tests/store/sample.c) $(STORE_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) $(STORE) -o $@

# The real cores on a simulated store, network and clock; `make sim SEEDS=1-1000000` runs more. The
# simulation has a mux of its own, which only takes its time.
SIM := $(BUILD)/tests/sim
SIM_PURE := $(filter common/% broker/%,$(PURE)) \
	$(patsubst %,worker/session/%,agent fit lease responders) worker/probing/mtr_line
SIM_OBJECTS := $(call obj,$(wildcard tests/sim/*.c)) $(SIM_PURE:%=$(BUILD)/obj/%.o)
SEEDS ?= 1-1000000
.PHONY: sim sim-program sim-mutants
sim-program: $(SIM)
$(SIM): $(SIM_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) -o $@
sim: $(SIM)
	$(SIM) --seeds $(SEEDS)
sim-mutants: $(SIM)
	$(PYTHON) tests/sim/mutants.py $(BUILD)
$(WALLCLOCK): tests/process/wallclock.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) -shared -fPIC $< -o $@

# The fuzzers' corpus as an ordinary test, without clang.
replay-programs: $(FUZZERS:%=$(BUILD)/replay/%)
$(BUILD)/replay/%: $(BUILD)/obj/tests/fuzz/%.o $(call obj,tests/fuzz/replay.c) $(PURE_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) $(JANSSON) $(RESOLV) -o $@

# `make fuzz` runs each fuzzer for FUZZ_SECONDS and keeps what it finds in the corpus.
FUZZ_SECONDS ?= 60
FUZZ_CFLAGS = $(CFLAGS) -O1 -std=c11 -D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all $(call pkg,--cflags,$(LIBS))
.PHONY: fuzz
fuzz: lint-deps $(FUZZERS:%=$(BUILD)/fuzz/%)
	@for f in $(FUZZERS); do \
	  new=$(BUILD)/fuzz/new/$$f corpus=tests/fuzz/corpus/$${f#fuzz_}; mkdir -p $$new; \
	  ASAN_OPTIONS=allocator_may_return_null=1 $(BUILD)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) \
	    -timeout=10 -print_final_stats=1 $$new $$corpus && \
	  $(BUILD)/fuzz/$$f -merge=1 -use_counters=0 $$corpus $$new || exit 1; \
	done
$(BUILD)/fuzz/%: tests/fuzz/%.c $(PURE:%=%.c)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)clang $(FUZZ_CFLAGS) $^ $(ALL_LDLIBS) $(JANSSON) $(RESOLV) -o $@

# To check metrics with. Its package is none of DEBS, since that would start a server.
$(BUILD)/promtool:
	@mkdir -p $@.deb
	cd $@.deb && apt-get download -qq prometheus && dpkg -x prometheus_*.deb .
	mv $@.deb/usr/bin/promtool $@ && rm -r $@.deb

# ---- lint --------------------------------------------------------------------------------------

C_FOLDERS := $(foreach top,common broker worker clients tests,$(top) $(top)/*)
C_FILES := $(wildcard $(C_FOLDERS:%=%/*.c))
H_FILES := $(wildcard $(C_FOLDERS:%=%/*.h))
LINTED := $(filter-out tests/%,$(C_FILES)) $(filter-out tests/simnet/test_%.c,$(wildcard tests/simnet/*.c))

.PHONY: lint lint-deps compilers
lint-deps:
	@$(MAKE) -s --no-print-directory deps DEBS="$(DEBS) $(LINT_DEBS)"
lint: lint-deps
	clang-format --dry-run -Werror $(C_FILES) $(H_FILES)
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -I. \
	  --enable=warning,performance,portability --include=/usr/include/bsd/sys/tree.h \
	  --include=/usr/include/bsd/sys/queue.h -DHOPMQ_VERSION='"x"' $(LINTED)
	printf '%s\n' $(LINTED) | \
	  xargs -P 2 -n 4 sh -c 'clang-tidy --quiet "$$@" -- -std=c11 -D_GNU_SOURCE -I. \
	    -DHOPMQ_VERSION="\"x\""' lint
	mandoc -Tlint -Wwarning docs/man/*
	shellcheck clients/with-hopmq .ci/run .ci/install tests/simnet/demo
# Both compilers, all warnings; what gcc made is what the tests use.
compilers: lint-deps
	@$(MAKE) --no-print-directory CC=gcc all unit-programs
	@$(MAKE) --no-print-directory CC=clang BUILD=$(BUILD)/clang all unit-programs

# ---- benchmark ---------------------------------------------------------------------------------

# A peer that cannot be had is left out, and said so. BENCH="--only tracing --rounds 1" is quicker.
.PHONY: bench bench-deps bench-growth bench-quick soak
bench-deps: deps
	@for deb in $(BENCH_DEBS); do $(MAKE) -s --no-print-directory deps DEBS=$$deb || true; done
	@$(MAKE) -s --no-print-directory $(BUILD)/peers/beanstalkd || true
bench: bench-deps
	@$(MAKE) -s --no-print-directory all $(BENCHES)
	@HOPMQ_BUILD=$(BUILD) exec $(PYTHON) tests/bench/bench.py $(BENCH)
# Unpacked, not installed: that would start a server.
$(BUILD)/peers/beanstalkd:
	@mkdir -p $@.deb
	cd $@.deb && apt-get download -qq beanstalkd && dpkg -x beanstalkd_*.deb .
	mv $@.deb/usr/bin/beanstalkd $@ && rm -r $@.deb

BENCH_LOADS := $(BUILD)/bench-broker $(BUILD)/bench-beanstalk $(BUILD)/bench-crowd $(BUILD)/bench-codec
BENCH_SHARED := $(call obj,tests/bench/peer.c tests/bench/zmtp.c)
BENCHES := $(BENCH_LOADS) $(BUILD)/bench-floor $(BUILD)/bench-load
# beanstalkd is all that it needs of the peers.
bench-quick: deps
	@$(MAKE) -s --no-print-directory $(BUILD)/peers/beanstalkd || true
	@$(MAKE) -s --no-print-directory all $(BENCHES)
	@HOPMQ_BUILD=$(BUILD) exec $(PYTHON) tests/bench/quick.py $(QUICK)
bench-growth: bench-deps
	@$(MAKE) -s --no-print-directory all $(BENCHES)
	@HOPMQ_BUILD=$(BUILD) exec $(PYTHON) tests/bench/growth.py
SOAK_MINUTES ?= 30
soak: bench-deps
	@$(MAKE) -s --no-print-directory all
	@HOPMQ_BUILD=$(BUILD) exec $(PYTHON) tests/bench/soak.py --minutes $(SOAK_MINUTES)
$(BENCH_LOADS): $(BUILD)/bench-%: $(BUILD)/obj/tests/bench/%.o $(BENCH_SHARED) $(COMMON)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) -o $@
$(BUILD)/bench-floor: $(call obj,tests/bench/floor.c worker/host/child.c)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) -o $@
$(BUILD)/bench-load: $(call obj,tests/bench/load.c) $(COMMON)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) -o $@

.PHONY: bench-store
bench-store: deps
	@$(MAKE) -s --no-print-directory $(BUILD)/bench-store
	@$(BUILD)/bench-store $(BUILD)
$(BUILD)/bench-store: $(call obj,tests/store/bench.c tests/store/sample.c) $(STORE_OBJECTS)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) $(STORE) -o $@

# ---- install -----------------------------------------------------------------------------------

BINDIR := $(DESTDIR)$(PREFIX)/bin
MANDIR := $(DESTDIR)$(PREFIX)/share/man
UNITDIR := $(DESTDIR)$(PREFIX)/lib/systemd/system

.PHONY: install uninstall
install: $(PROGRAMS)
	install -d $(BINDIR) $(MANDIR)/man1 $(MANDIR)/man8 $(UNITDIR)
	install -m 755 $(PROGRAMS) $(BINDIR)
	install -m 644 docs/man/*.1 $(MANDIR)/man1
	install -m 644 docs/man/*.8 $(MANDIR)/man8
	for unit in broker/hopmq-broker.service worker/hopmq-worker@.service; do \
	  sed 's|@PREFIX@|$(PREFIX)|g' $$unit > $(UNITDIR)/$${unit#*/}; \
	done
uninstall:
	rm -f $(PROGRAMS:$(BUILD)/%=$(BINDIR)/%) $(MANDIR)/man1/hopmq.1 $(MANDIR)/man8/hopmq-*.8 \
	  $(UNITDIR)/hopmq-broker.service $(UNITDIR)/hopmq-worker@.service


.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
