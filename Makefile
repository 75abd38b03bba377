# trading_engine - builds, installs and tests the extension.
#
#   make                build the shared library and the SQL script
#   make install        install them into the server of PG_CONFIG (as root)
#   make check          install what Debian has, build, and run every test
#   make check-kafka    those that need a Kafka, with Apache Kafka from Maven Central
#   make demo           see it work, in a scratch folder
#
# Variables: PG_CONFIG, CC, WERROR=1 (warnings are errors), KAFKA=no (without
# librdkafka), TESTS (some tests only: make tap TESTS=test/t/010_lanes.pl), and
# those that scripts/check, scripts/demo, bench/run and bench/replay name in
# their first lines.
#
# How things are built is in build.mk, on PGXS.

.PHONY: all install uninstall programs units everything lint clean \
	setup check check-kafka unit regress isolation tap demo bench format sanitize fuzz

all install uninstall programs units everything lint clean:
	@$(MAKE) --no-print-directory -f build.mk $@

setup:
	@scripts/setup

check:
	@scripts/check

check-kafka:
	@scripts/check-kafka $(TESTS)

unit regress isolation tap:
	@scripts/check $@ $(TESTS)

demo:
	@scripts/demo

bench:
	@bench/run
	@bench/replay

format:
	clang-format -i $(wildcard src/*.[ch] src/*/*.[ch] test/*/*.[ch] demo/*.[ch] bench/*.[ch])

sanitize:
	@scripts/sanitize $(TESTS)

fuzz:
	@scripts/fuzz
