# build.mk - how the extension and its programs are built, on PGXS.
# The Makefile runs it; it stays apart because PGXS has a "check" of its own.

EXTENSION := trading_engine
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

# Where objects go: instrumented builds have a folder of their own.
O ?= build
PROTO_OUT := build/proto

PROTOS := $(wildcard proto/*.proto proto/*/*.proto)
PROTO_C := $(PROTOS:proto/%.proto=$(PROTO_OUT)/%.pb-c.c)
PROTO_H := $(PROTO_C:.c=.h)

# KAFKA=no: without librdkafka.  Left to itself, as it is installed.
KAFKA ?= $(shell pkg-config --exists rdkafka 2>/dev/null && echo yes || echo no)
KAFKA_C := $(wildcard src/transport/kafka_*.c test/unit/*_kafka.c)
OTHER_KAFKA_C := $(if $(filter yes,$(KAFKA)),src/transport/kafka_none.c,$(filter-out src/transport/kafka_none.c,$(KAFKA_C)))

PURE_C := $(filter-out $(OTHER_KAFKA_C),$(wildcard src/core/*.c src/wire/*.c src/transport/*.c))
GLUE_C := $(wildcard src/*.c src/engine/*.c src/replay/*.c src/sql/*.c)
UNIT_C := $(filter-out $(OTHER_KAFKA_C),$(wildcard test/unit/*.c))
# Without librdkafka there is nothing to test Kafka with, and nothing to be tested.
TOOLS := te_nats tcp_proxy $(if $(shell pkg-config --exists rdkafka && echo yes),te_kafka kafka_broker te_consumer)
# Programs of the demo, and what they share.
DEMO_MAINS := demo/predictor.c demo/risk_service.c demo/terminal.c
DEMO_PARTS := $(filter-out $(DEMO_MAINS),$(wildcard demo/*.c))
BENCH_C := $(wildcard bench/*.c)
FUZZ_C := $(wildcard test/fuzz/*.c)

PROTO_OBJS := $(PROTO_C:$(PROTO_OUT)/%.c=$(O)/proto/%.o)
PURE_OBJS := $(PURE_C:%.c=$(O)/%.o) $(PROTO_OBJS)
GLUE_OBJS := $(GLUE_C:%.c=$(O)/%.o)

UNIT_PROGRAMS := $(UNIT_C:%.c=$(O)/%)
TOOL_PROGRAMS := $(TOOLS:%=$(O)/bin/%)
DEMO_PROGRAMS := $(DEMO_MAINS:demo/%.c=$(O)/bin/%)
BENCH_PROGRAMS := $(BENCH_C:%.c=$(O)/%)
FUZZ_PROGRAMS := $(FUZZ_C:%.c=$(O)/%)

SQL_PARTS := $(sort $(wildcard sql/[0-9][0-9]_*.sql))
SQL_SCRIPT := sql/$(EXTENSION)--$(EXTVERSION).sql

MODULE_big := $(EXTENSION)
OBJS := $(PURE_OBJS) $(GLUE_OBJS)
DATA_built := $(SQL_SCRIPT)
DATA := $(filter-out $(SQL_SCRIPT),$(wildcard sql/$(EXTENSION)--*--*.sql))
EXTRA_CLEAN := build

# Bitcode for the server's JIT would double the build for nothing: the hot code is not in expressions.
override with_llvm := no

LIBRARIES := libnats libprotobuf-c jansson libcrypto $(if $(filter yes,$(KAFKA)),rdkafka)
TE_LIBS := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null) -lm
SHLIB_LINK := $(TE_LIBS)

ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
else
.PHONY: all install
all install:
	@echo "No PostgreSQL server headers: '$(PG_CONFIG) --pgxs' names no file." >&2
	@echo "Run scripts/setup (installs Debian's packages), or set PG_CONFIG." >&2
	@exit 1
clean:
	rm -rf build $(SQL_SCRIPT) $(MODULE_big).so
endif

# Headers that aren't ours come by -isystem, so that -Wextra speaks of our code only.
TE_INCLUDES := -Isrc -I$(PROTO_OUT) -Itest/tools \
	$(patsubst -I%,-isystem %,$(filter-out -I. -I./ -I$(srcdir),$(CPPFLAGS))) \
	$(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null)) \
	-DTE_VERSION='"$(EXTVERSION)"'
# The server's flags are gcc's, which clang doesn't all know.
FOREIGN_FLAGS := $(if $(findstring clang,$(CC)),-Wno-unknown-warning-option \
	-Wno-ignored-optimization-argument -Wno-unused-command-line-argument -Wno-ignored-attributes)
TE_WARNINGS := -Wall -Wextra -Wno-declaration-after-statement $(if $(WERROR),-Werror) $(FOREIGN_FLAGS)
TE_CFLAGS = $(CFLAGS) $(TE_WARNINGS) $(SANITIZE_FLAGS)

# Decisions are recomputed to the last bit, so no fused multiply-add; and so everywhere, because
# market state and statistics cross the modules.
NUMERIC := -ffp-contract=off

# PostgreSQL's headers use GNU extensions; the inner modules are plain C11.
$(O)/src/core/%.o $(O)/src/wire/%.o $(O)/src/transport/%.o $(O)/test/%.o $(O)/demo/%.o: C_STANDARD := -std=c11
C_STANDARD := -std=gnu11

# One file per set of flags: whatever was built otherwise is built again.  Not with the include
# paths, so that installing into a private copy of the same server builds nothing twice.
FLAGS_FILE := $(O)/.flags
FLAGS_NOW := KAFKA=$(KAFKA) $(CC) $(CFLAGS) $(TE_WARNINGS) $(SANITIZE_FLAGS) $(VERSION) $(EXTVERSION)
$(FLAGS_FILE): FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || \
		printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' > $@

$(O)/%.o: %.c $(FLAGS_FILE) | $(PROTO_H)
	@mkdir -p $(@D)
	$(CC) $(C_STANDARD) $(TE_CFLAGS) $(NUMERIC) -fPIC $(TE_INCLUDES) -MMD -MP -c $< -o $@

$(PROTO_OBJS): $(O)/proto/%.o: $(PROTO_OUT)/%.c $(FLAGS_FILE) | $(PROTO_H)
	@mkdir -p $(@D)
	$(CC) -std=c11 $(CFLAGS) $(SANITIZE_FLAGS) -w -fPIC $(TE_INCLUDES) -MMD -MP -c $< -o $@

# One run makes all of them; the stamp is older than what it stands for.
$(PROTO_OUT)/.generated: $(PROTOS) proto/generate
	@mkdir -p $(@D) && touch $@.new
	proto/generate $(PROTO_OUT)
	@mv $@.new $@

# Somebody has deleted what the stamp stands for.
ifneq ($(filter-out $(wildcard $(PROTO_C) $(PROTO_H)),$(PROTO_C) $(PROTO_H)),)
$(PROTO_OUT)/.generated: FORCE
endif

$(PROTO_C) $(PROTO_H): $(PROTO_OUT)/.generated ;

$(SQL_SCRIPT): $(SQL_PARTS) Makefile $(EXTENSION).control
	@mkdir -p $(@D)
	@{ printf '%s\n' '-- $(EXTENSION) $(EXTVERSION), assembled from sql/ by the Makefile.' \
		'\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; \
	   for part in $(SQL_PARTS); do printf '\n'; cat "$$part"; done; } > $@

LINK = $(CC) $(CFLAGS) $(SANITIZE_FLAGS) -o $@ $(filter %.o,$^) $(LDFLAGS) $(TE_LIBS) -lz -lpthread

$(UNIT_PROGRAMS) $(BENCH_PROGRAMS): %: %.o $(PURE_OBJS)
	$(LINK)

# Each tool is a folder, with those that it shares with others.
TOOL_PARTS_te_nats := nats_client
TOOL_PARTS_te_kafka := kafka_client
TOOL_PARTS_te_consumer := nats_client kafka_client
tool_sources = $(wildcard $(patsubst %,test/tools/%/*.c,common $(TOOL_PARTS_$(1)) $(1)))
define tool_rule
$(O)/bin/$(1): $(patsubst %.c,$(O)/%.o,$(tool_sources)) $(PURE_OBJS)
endef
$(foreach tool,$(TOOLS),$(eval $(call tool_rule,$(tool))))
$(filter-out $(O)/bin/te_nats $(O)/bin/tcp_proxy,$(TOOL_PROGRAMS)): TE_LIBS += $(shell pkg-config --libs rdkafka 2>/dev/null)

# Loaded into a test's server.
$(O)/bin/decoder_fault.so: test/tools/decoder_fault/decoder_fault.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -O1 $(TE_WARNINGS) $(TE_INCLUDES) -fPIC -shared -o $@ $< -ldl

$(TOOL_PROGRAMS):
	@mkdir -p $(@D)
	$(LINK)

$(DEMO_PROGRAMS): $(O)/bin/%: $(O)/demo/%.o $(DEMO_PARTS:%.c=$(O)/%.o) $(PURE_OBJS)
	@mkdir -p $(@D)
	$(LINK)

$(FUZZ_PROGRAMS): %: %.o $(PURE_OBJS)
	$(LINK) -fsanitize=fuzzer

# An instrumented library, beside the one that PGXS makes: scripts/check puts it into its server.
ifneq ($(O),build)
$(O)/$(EXTENSION).so: $(OBJS)
	$(CC) $(CFLAGS) $(SANITIZE_FLAGS) -shared -o $@ $(filter %.o,$^) $(LDFLAGS) $(SHLIB_LINK)

# What is loaded with the sanitizers' libraries, not instrumented itself.
HELPERS := $(O)/c11_threads.so $(O)/begin_early.so
$(HELPERS): $(O)/%.so: test/tools/sanitize/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -O1 -fno-builtin $(TE_WARNINGS) $(TE_INCLUDES) -fPIC -shared $(if $(findstring early,$@),-Wl$(comma)-z$(comma)initfirst) -o $@ $< -lpthread
comma := ,
endif

.PHONY: FORCE proto programs units tools benchmarks everything instrumented fuzzers lint
.SECONDARY:

proto: $(PROTO_C)
units: $(UNIT_PROGRAMS)
tools: $(TOOL_PROGRAMS) $(DEMO_PROGRAMS) $(O)/bin/decoder_fault.so
benchmarks: $(BENCH_PROGRAMS)
programs: units tools benchmarks
everything: all programs
instrumented: $(O)/$(EXTENSION).so $(HELPERS)
fuzzers: $(FUZZ_PROGRAMS)

lint: $(PROTO_C)
	@TE_INCLUDES='$(subst ','\'',$(TE_INCLUDES))' scripts/lint

-include $(shell find $(O)/src $(O)/test $(O)/demo $(O)/bench -name '*.d' 2>/dev/null)
