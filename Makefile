# rtm: `make` builds, `make check` tests, `make help` lists the rest.
#
# Every folder of C files becomes one archive, every program links its folder's main.c with the
# archives it needs, every tests/unit/test_*.c becomes one test program. A new file needs no line here.

BUILD   ?= build
SAN     ?=
PREFIX  ?= /usr/local
V       ?=
Q       := $(if $(V),,@)
VERSION := $(shell sed -n 's/^\#\# \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md 2>/dev/null | head -n 1)
VERSION := $(or $(VERSION),0.1.0)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 -Werror
OPT  := -O2 -g -fno-plt
# make's own default for CC is `cc`
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(SAN),asan)
OPT  := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SAN),tsan)
OPT  := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
else ifeq ($(SAN),fuzz)
CC   := clang
OPT  := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

MSGPACK := $(shell pkg-config --exists msgpack-c && echo msgpack-c || echo msgpack)
PKGS    := libczmq libzmq libcurl libxml-2.0 libpq sqlite3 libpcre2-8 libxxhash libmicrohttpd $(MSGPACK) yyjson
CFLAGS_ALL  := -std=c11 -D_GNU_SOURCE -DRTM_VERSION='"$(VERSION)"' -I. $(WARN) $(OPT) -MMD -MP -pthread \
               $(filter-out -I/usr/include,$(shell pkg-config --cflags $(PKGS))) $(CFLAGS)
# lexbor is linked statically: stable Debian has no run-time package for it.
LIBS    := -Wl,--as-needed $(shell pkg-config --libs $(PKGS)) -l:liblexbor_static.a -lz -lm -pthread

# -- archives and programs ------------------------------------------------------------------------
DIRS     := common proto miner/read miner broker sink ctl bench/site tests/sim
sources   = $(filter-out $(1)/main.c,$(wildcard $(1)/*.c))
objects   = $(patsubst %.c,$(BUILD)/%.o,$(1))
archive   = $(BUILD)/lib$(subst /,-,$(1)).a
PROGRAMS := rtm-broker rtm-miner rtm-sink rtm-ctl

# a program's archives, users before what they use
ARCH_rtm-broker := broker miner/read proto common
ARCH_rtm-miner  := miner miner/read proto common
ARCH_rtm-sink   := sink proto common
ARCH_rtm-ctl    := ctl miner miner/read proto common
ARCH_bench-site := bench/site common
ARCH_sim        := tests/sim broker proto common
ARCH_ALL        := broker miner sink ctl bench/site miner/read proto common
MAIN_rtm-broker := broker
MAIN_rtm-miner  := miner
MAIN_rtm-sink   := sink
MAIN_rtm-ctl    := ctl
MAIN_bench-site := bench/site
MAIN_sim        := tests/sim

UNIT  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
FUZZ  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH := $(patsubst bench/%.c,$(BUILD)/bench-%,$(wildcard bench/*.c))

SEEDS ?= 2000
ROUNDS ?= 200
ITEMS ?= 3600000
TIME  ?= 60
.PHONY: all check unit sim mutations system faults outage asan tsan fuzz fuzz-programs lint format install clean help bench-programs
all: $(PROGRAMS:%=$(BUILD)/%) $(BUILD)/bench-site

define archive_rule
$(call archive,$(1)): $(call objects,$(call sources,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach d,$(DIRS),$(eval $(call archive_rule,$(d))))

define program_rule
$(BUILD)/$(1): $(BUILD)/$(MAIN_$(1))/main.o $(foreach d,$(ARCH_$(1)),$(call archive,$(d)))
	$(if $(V),,@echo "  LINK $$@")
	$(Q)$$(CC) $$(OPT) -o $$@ $$^ $$(LDFLAGS) $$(LIBS)
endef
$(foreach p,$(PROGRAMS) bench-site sim,$(eval $(call program_rule,$(p))))

X86_64 := $(filter x86_64-%,$(shell $(CC) -dumpmachine))
ifeq ($(SAN),)
# All time that a document takes goes by here. Tuned for the processors of today, it runs on all; aligned, a function is as
# fast whatever stands before it.
$(BUILD)/miner/read/%.o: CFLAGS_ALL += -O3 -falign-functions=64 $(if $(X86_64),-mtune=skylake)
endif
$(BUILD)/miner/read/identity_avx2.o: CFLAGS_ALL += $(if $(X86_64),-mavx2)
# the sink's migrations are embedded
$(BUILD)/sink/migrate.o: CFLAGS_ALL += -I$(BUILD)
$(BUILD)/sink/migrate.o: $(BUILD)/sink/migrations.inc
$(BUILD)/sink/migrations.inc: $(wildcard sink/migrations/*.sql) scripts/embed-migrations
	@mkdir -p $(@D)
	scripts/embed-migrations sink/migrations >$@

# the Makefile has the flags
$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC   $<")
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

# A unit test links only the archives of the modules that it names in its first line,
# `// needs: miner/read proto common` (users before what they use).
.SECONDEXPANSION:
needs = $(or $(shell sed -n '1s,^// needs: *,,p' $(1)),proto common)
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $$(foreach d,$$(call needs,tests/unit/$$*.c),$$(call archive,$$d))
	$(if $(V),,@echo "  LINK $@")
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDFLAGS) $(LIBS) -lcmocka
$(BUILD)/bench-%: $(BUILD)/bench/%.o $$(foreach d,$$(call needs,bench/$$*.c),$$(call archive,$$d))
	$(if $(V),,@echo "  LINK $@")
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDFLAGS) $(LIBS)
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $$(foreach d,$$(call needs,tests/fuzz/$$*.c),$$(call archive,$$d))
	$(if $(V),,@echo "  LINK $@")
	$(Q)$(CC) $(OPT) -fsanitize=fuzzer -o $@ $^ $(LDFLAGS) $(LIBS)
.SECONDARY:

# -- tests ----------------------------------------------------------------------------------------
# System tests mostly wait, so there is one process of them more than cores.
WORKERS ?= $(shell n=$$(($$(nproc) + 1)); echo $$((n < 8 ? n : 8)))
unit: $(UNIT)
	@scripts/run-unit $(UNIT)
bench-programs: $(BENCH)
system: all $(BENCH)
	RTM_BUILD=$(abspath $(BUILD)) /usr/bin/python3 -m pytest -q -m "not alone" -n $(WORKERS) --dist loadfile tests/system
	RTM_BUILD=$(abspath $(BUILD)) /usr/bin/python3 -m pytest -q -m alone tests/system
sim: $(BUILD)/sim
	$(BUILD)/sim --seeds $(SEEDS)
mutations:
	tests/sim/mutations $(BUILD) $(SEEDS)
faults: all
	RTM_BUILD=$(abspath $(BUILD)) RTM_FAULT_ROUNDS=$(ROUNDS) /usr/bin/python3 -m pytest -q -s tests/system/test_faults.py
outage: all
	RTM_BUILD=$(abspath $(BUILD)) RTM_OUTAGE_ITEMS=$(ITEMS) /usr/bin/python3 -m pytest -q -s tests/system/test_outage.py -k an_hour
check: unit sim system
asan:
	$(MAKE) BUILD=$(BUILD)-asan SAN=asan SEEDS=100 check
tsan:
	$(MAKE) BUILD=$(BUILD)-tsan SAN=tsan unit
fuzz:
	$(MAKE) BUILD=$(BUILD)-fuzz SAN=fuzz fuzz-programs
	@scripts/run-fuzz $(TIME) $(FUZZ:$(BUILD)/%=$(BUILD)-fuzz/%)
fuzz-programs: $(FUZZ)

# -- tidiness -------------------------------------------------------------------------------------
C_FILES = $(shell git ls-files '*.c' '*.h')
lint:
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,performance,portability \
	    --suppress=missingIncludeSystem -I. $(filter-out tests/%,$(filter %.c,$(C_FILES)))
	printf '%s\n' $(filter-out tests/%,$(filter %.c,$(C_FILES))) | \
	    xargs -P 2 -n 1 sh -c 'clang-tidy --quiet "$$@" -- -std=c11 -D_GNU_SOURCE -DRTM_VERSION=\"0\" -I. -I$(BUILD) $(filter-out -I/usr/include,$(shell pkg-config --cflags $(PKGS))) || exit 1' tidy
format:
	clang-format -i $(C_FILES)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/rtm/templates
	install -m 755 $(PROGRAMS:%=$(BUILD)/%) $(DESTDIR)$(PREFIX)/bin
	install -m 644 templates/*.json $(DESTDIR)$(PREFIX)/share/rtm/templates
clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz
help:
	@printf '%s\n' 'make            build all programs into $(BUILD)/' \
	  'make check      unit and system tests' 'make faults     ROUNDS=200 of kills, freezes, full disks' \
	  'make outage     an hour of Postgres away at 1,000 items a second' 'make sim        seeded worlds of the broker (SEEDS=2000)' \
	  'make mutations  whether the simulator finds bugs put in on purpose' 'make asan       the same under ASan and UBSan' \
	  'make tsan       unit tests under ThreadSanitizer' \
	  'make fuzz       each fuzzer for TIME=60 seconds' 'make lint       clang-format, cppcheck, clang-tidy' \
	  'make format     clang-format -i' 'make install    to PREFIX ($(PREFIX)), DESTDIR is honoured' \
	  'make clean      remove what was built' 'make V=1        shows the commands'

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
