# hopmq: `make` builds into build/, `make help` lists the rest.

BUILD ?= build
CC ?= cc
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= /usr/bin/python3
VERSION := 0.1.0

LIBS := libczmq libzmq msgpack libbsd
WARN := -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
# SANITIZE is set by the targets that build the unit tests once more.
SANITIZE ?=
OPTIMIZE ?= -O2
CFLAGS ?= -g
ALL_CFLAGS = $(CFLAGS) $(OPTIMIZE) $(WARN) -D_GNU_SOURCE -DHOPMQ_VERSION='"$(VERSION)"' -I. \
	-fstack-protector-strong $(SANITIZE) $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
ALL_LDLIBS = $(LDLIBS) $(shell pkg-config --libs $(LIBS) 2>/dev/null)
CARES = $(shell pkg-config --libs libcares 2>/dev/null)
JANSSON = $(shell pkg-config --libs jansson 2>/dev/null)

# Modules without clock, socket or stdio; tests/gates/pure checks that it stays so.
PURE := common/addr common/hop common/labels common/mem common/request common/result \
	common/session common/timeline common/trace common/wire \
	worker/agent worker/mtr_line worker/mux worker/tracer \
	$(patsubst %.c,%,$(filter-out broker/main.c broker/daemon.c,$(wildcard broker/*.c)))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
COMMON := $(call obj,$(wildcard common/*.c))
BROKER := $(call obj,$(filter-out broker/main.c,$(wildcard broker/*.c)))
WORKER := $(call obj,$(filter-out worker/main.c,$(wildcard worker/*.c)))
CLIENT := $(call obj,$(filter-out clients/main.c,$(wildcard clients/*.c)))
SIMNET := $(call obj,$(filter-out tests/simnet/simnet.c tests/simnet/test_%.c,$(wildcard tests/simnet/*.c)))
PURE_OBJECTS := $(PURE:%=$(BUILD)/obj/%.o)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c)) \
	$(BUILD)/unit/test_simnet
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
PROGRAMS := $(BUILD)/hopmq-broker $(BUILD)/hopmq-worker $(BUILD)/hopmq

# One line a command; `make V=1` shows them whole.
V ?= 0
say_0 = @printf '  %-4s %s\n' $(1) $(2);
say_1 =
say = $(call say_$(V),$(1),$(2))

.PHONY: all clean help
all: $(PROGRAMS) $(BUILD)/simnet

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/hopmq-broker: $(call obj,broker/main.c) $(BROKER) $(COMMON)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) -o $@
$(BUILD)/hopmq-worker: $(call obj,worker/main.c) $(WORKER) $(COMMON)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) $(CARES) -o $@
$(BUILD)/hopmq: $(call obj,clients/main.c) $(CLIENT) $(COMMON)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) $(JANSSON) -o $@
$(BUILD)/simnet: $(call obj,tests/simnet/simnet.c) $(SIMNET)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@

# ---- unit tests ------------------------------------------------------------------------------
# They link the pure modules only: what needs a socket is tested with the running programs.

.PHONY: unit-programs
unit-programs: $(UNIT_TESTS)
$(BUILD)/unit/test_simnet: $(call obj,tests/simnet/test_simnet.c) $(SIMNET)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -lcmocka -o $@
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(PURE_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) -lcmocka -o $@

clean:
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
