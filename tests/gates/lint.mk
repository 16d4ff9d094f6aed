# Layout, static analysis, manual pages, shell scripts; both compilers.

C_FOLDERS := $(foreach top,common broker worker clients tests,$(top) $(top)/*)
C_FILES := $(wildcard $(C_FOLDERS:%=%/*.c))
H_FILES := $(wildcard $(C_FOLDERS:%=%/*.h))
LINTED := $(filter-out tests/%,$(C_FILES)) $(filter-out tests/simnet/test_%.c,$(wildcard tests/simnet/*.c))

.PHONY: lint lint-deps compilers
lint-deps:
	@$(MAKE) -s --no-print-directory deps DEBS="$(DEBS) $(LINT_DEBS)"
lint: lint-deps
	clang-format --dry-run -Werror $(C_FILES) $(H_FILES)
	cppcheck --quiet -D__cppcheck__ --std=c11 --error-exitcode=1 --inline-suppr -I. \
	  --enable=warning,performance,portability --include=/usr/include/bsd/sys/tree.h \
	  --include=/usr/include/bsd/sys/queue.h -DHOPMQ_VERSION='"x"' $(LINTED)
	printf '%s\n' $(LINTED) | \
	  xargs -P 2 -n 4 sh -c 'clang-tidy --quiet "$$@" -- -std=c11 -D_GNU_SOURCE -I. \
	    -DHOPMQ_VERSION="\"x\""' lint
	mandoc -Tlint -Wwarning docs/man/*
	shellcheck clients/with-hopmq .ci/run .ci/install tests/simnet/demo
COMPILED := all unit-programs process-programs sim-program bench-programs
# Both compilers, all warnings; what gcc made is what the tests use.
compilers: lint-deps
	@$(MAKE) --no-print-directory CC=gcc $(COMPILED)
	@$(MAKE) --no-print-directory CC=clang BUILD=$(BUILD)/clang $(COMPILED)
