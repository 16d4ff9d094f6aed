# A trace, a broker with workers, a demonstration: what a newcomer types first.

TARGET ?= 127.0.0.1
WITH_HOPMQ := HOPMQ_BIN=$(BUILD) clients/with-hopmq
DEMO_NET := --seed 3 --hops 15-15 --rtt-us 2500 --jitter-us 800 --mpls 20 --silent-router 7

# One worker a core. A network namespace has room for eight: see docs/truth.md, "Slices".
RUN_WORKERS = $(shell n=$$(nproc); [ $$n -le 8 ] && echo $$n || echo 8)

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
	@$(WITH_HOPMQ) -f -n $(RUN_WORKERS)

demo: deps
	@$(MAKE) -s --no-print-directory all
	@HOPMQ_BIN=$(BUILD) tests/simnet/demo $(DEMO_NET)
