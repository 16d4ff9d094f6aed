# What `make test` and `make proof` run, the simulation, the fuzzers and the mutants.
#
# `make test` runs everything, the long proofs in small; `make proof` runs those at full size.
# Unit tests link the pure modules only, that of the reactor the reactor too: what needs a socket is
# tested with the running programs.

SANITIZED := $(BUILD)/sanitized
SAN_FLAGS := BUILD=$(SANITIZED) OPTIMIZE=-O1 \
	SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

# The pure modules that tests link: their objects, or with SHARED=1 one library of them.
PURE_LIBRARY := $(BUILD)/libpure.so
PURE_LINKED := $(if $(SHARED),$(PURE_LIBRARY),$(PURE_OBJECTS))
$(PURE_LIBRARY): $(PURE_OBJECTS)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$@ $^ $(ALL_LDLIBS) \
	  $(JANSSON) $(RESOLV) -o $@

.PHONY: test proof test-programs unit-programs process-programs replay-programs
test: test-programs
	@PURE_OBJECTS="$(PURE_OBJECTS)" $(PYTHON) tests/run test $(BUILD) $(SANITIZED)
proof: test-programs
	@$(MAKE) --no-print-directory mutant-programs mutant-process-programs
	@$(PYTHON) tests/run proof $(BUILD) $(SANITIZED)
test-programs: deps
	@$(MAKE) -s --no-print-directory $(BUILD)/promtool || echo 'promtool is not to be had here'
	@$(MAKE) --no-print-directory all unit-programs process-programs sim-program
	@$(MAKE) --no-print-directory $(SAN_FLAGS) unit-programs replay-programs sim-program

unit-programs: $(UNIT_TESTS)
$(BUILD)/unit/test_simnet: $(call obj,tests/simnet/test_simnet.c) $(SIMNET)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -lcmocka -o $@
# Its clock is the test's.
$(BUILD)/unit/test_reactor: $(call obj,common/runtime/reactor.c)
$(BUILD)/unit/test_reactor: private LDFLAGS += -Wl,--wrap=clock_gettime -Wl,--wrap=clock_nanosleep \
	-Wl,--wrap=timerfd_settime -Wl,--wrap=zmq_poll
$(filter $(BUILD)/unit/test_mux%,$(UNIT_TESTS)): $(call obj,tests/unit/mux_rig.c)
$(filter $(BUILD)/unit/test_tracer%,$(UNIT_TESTS)): $(call obj,tests/unit/tracer_rig.c)
$(BUILD)/unit/test_mux: $(call obj,tests/unit/world.c)
$(BUILD)/unit/test_agent $(BUILD)/unit/test_lease: $(call obj,tests/unit/agent_rig.c)
$(patsubst %,$(BUILD)/unit/test_%,broker_metrics core core_kept counters): $(call obj,tests/unit/core_rig.c)
$(patsubst %,$(BUILD)/unit/test_%,bounds queue queue_model quarantine): $(call obj,tests/unit/queue_rig.c)
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(PURE_LINKED)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(filter %.o,$^) $(filter-out %.o,$^) $(ALL_LDLIBS) $(JANSSON) $(RESOLV) -lcmocka -o $@

# A worker that shares nothing with its neighbours: what it finds, the real one must not.
$(UNPROTECTED): $(call obj,worker/main.c tests/process/unprotected_slices.c) \
		$(filter-out $(call obj,worker/host/slices.c),$(WORKER)) $(DAEMON) $(COMMON)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(WORKER_LDLIBS) -o $@

# tests/process/test_store.py runs these.
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
	$(patsubst %,worker/session/%,agent capabilities lease responders) worker/probing/mtr_line
SIM_OBJECTS := $(call obj,$(wildcard tests/sim/*.c)) \
	$(if $(SHARED),$(PURE_LIBRARY),$(SIM_PURE:%=$(BUILD)/obj/%.o))
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
process-programs: $(UNPROTECTED) $(STORE_TESTS) $(WALLCLOCK)
$(WALLCLOCK): tests/process/wallclock.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) -shared -fPIC $< -o $@

# The fuzzers' corpus as an ordinary test, without clang.
replay-programs: $(FUZZERS:%=$(BUILD)/replay/%)
$(BUILD)/replay/fuzz_tracer: $(call obj,tests/unit/world.c)
$(BUILD)/replay/%: $(BUILD)/obj/tests/fuzz/%.o $(call obj,tests/fuzz/replay.c) $(PURE_LINKED)
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
$(BUILD)/fuzz/fuzz_tracer: tests/unit/world.c
$(BUILD)/fuzz/%: tests/fuzz/%.c $(PURE:%=%.c)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)clang $(FUZZ_CFLAGS) $^ $(ALL_LDLIBS) $(JANSSON) $(RESOLV) -o $@

# To check metrics with. Its package is none of DEBS, since that would start a server.
$(BUILD)/promtool:
	@mkdir -p $@.deb
	cd $@.deb && { apt-get download -qq prometheus || \
	  { apt-get update -qq && apt-get download -qq prometheus; }; } && dpkg -x prometheus_*.deb .
	mv $@.deb/usr/bin/promtool $@ && rm -r $@.deb

# Mutants: tests/mutants/run.py says how. All programs of tests are built with sanitizers, linked to
# one library of the pure modules, which it builds again for each mutant.
MUTANTS := $(BUILD)/mutants
MUTANT_FLAGS := BUILD=$(MUTANTS) SHARED=1 OPTIMIZE=-O1 SANITIZE="-fPIC -fsanitize=address,undefined \
	-fno-sanitize-recover=all"
.PHONY: mutants mutant-programs mutant-library mutant-process-programs
mutants: deps
	@$(MAKE) -s --no-print-directory mutant-programs mutant-process-programs
	@$(PYTHON) tests/mutants/run.py $(MUTANTS) $(if $(SAMPLE),--sample $(SAMPLE)) $(MUTATED)
mutant-programs:
	@$(MAKE) --no-print-directory $(MUTANT_FLAGS) unit-programs replay-programs sim-program
mutant-library:
	@$(MAKE) --no-print-directory $(MUTANT_FLAGS) $(MUTANTS)/libpure.so
mutant-process-programs:
	@$(MAKE) --no-print-directory BUILD=$(MUTANTS)/programs all process-programs
