# The benchmarks. Their figures are in docs/performance.md.

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
.PHONY: bench-programs
bench-programs: $(BENCHES) $(BUILD)/bench-store
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
$(BUILD)/bench-floor: $(call obj,tests/bench/floor.c worker/host/mtr_spawn.c)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) -o $@
$(BUILD)/bench-load: $(call obj,tests/bench/load.c) $(COMMON)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) -o $@

.PHONY: bench-store
bench-store: deps
	@$(MAKE) -s --no-print-directory $(BUILD)/bench-store
	@$(BUILD)/bench-store $(BUILD)
$(BUILD)/bench-store: $(call obj,tests/store/bench.c tests/store/sample.c) $(STORE_OBJECTS)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(ALL_LDLIBS) $(STORE) -o $@
