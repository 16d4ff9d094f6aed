# hopmq: `make` builds into build/, `make help` lists the rest.

BUILD ?= build
CC ?= cc
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= /usr/bin/python3
VERSION := 0.1.0

# All cores are used unless the caller says how many; a make that make called has been told already.
ifeq ($(MAKELEVEL)$(filter -j% --jobs%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

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
PURE_CLI := feed json progress render reply stats_text submission submission_answer submission_item \
	submission_parts text
PURE := $(patsubst %.c,%,$(wildcard $(PURE_FOLDERS:%=%/*.c))) \
	broker/metrics broker/store/batch broker/store/columns broker/store/store_memory \
	broker/store/upkeep \
	worker/metrics worker/host/check $(PURE_CLI:%=clients/cli/%)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
# What only daemons have.
DAEMON := $(call obj,$(patsubst %,common/runtime/%.c,http_status listen process status_tick systemd))
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
	  'make test                the same, then all tests, the long proofs in small' \
	  'make proof               the long proofs at full size' \
	  'make mutants             changes of one line that a test must notice; SAMPLE=12 draws some' \
	  'make demo                a trace and a live stream in a simulated internet, no network needed' \
	  'make run                 a broker and one worker a core, at most eight, until Ctrl-C' \
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

include clients/run.mk tests/tests.mk tests/gates/lint.mk tests/bench/bench.mk docs/install.mk

.PHONY: clean
clean:
	rm -rf $(BUILD)

# Objects of tests are kept, so that a second build has nothing to do.
.SECONDARY:

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
