# sanitized.sh - sourced by check: the extension, instrumented, within the private server.
#
# PostgreSQL itself isn't built anew, nor are the libraries: AddressSanitizer's and ThreadSanitizer's
# run-time libraries are loaded before the server, by a script in the place of its program.
# Valgrind runs the server as it is.  Reports go to a folder, and all that are about us count.

REPORTS=$SCRATCH/reports
mkdir -p "$REPORTS"
export TE_SANITIZED=$SANITIZE

runtime() { # LIBRARY: where the compiler has it
	local file
	file=$(realpath "$("${CC:-gcc}" -print-file-name="$1")")
	[ -e "$file" ] || die "the compiler has no $1"
	printf '%s\n' "$file"
}

instrumented() { # FLAGS: build the library with them, put it into the server
	make -s -f build.mk -j"$JOBS" O="build/$SANITIZE" SANITIZE_FLAGS="$1" instrumented
	cp "build/$SANITIZE/trading_engine.so" "$("$private_config" --pkglibdir)/trading_engine.so"
}

helper() { # NAME: of test/tools/sanitize, where the server's user can read it
	cp "build/$SANITIZE/$1.so" "$SCRATCH"
	printf '%s\n' "$SCRATCH/$1.so"
}

# Memory that is still in use when a process ends is the server's habit.  Its stack is measured by
# addresses of variables, so these stay on the stack.
case $SANITIZE in
address)
	instrumented "-g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
	run="LD_PRELOAD='$(runtime libasan.so) $(runtime libubsan.so) $(helper begin_early)' \
ASAN_OPTIONS='detect_leaks=0:abort_on_error=1:print_stacktrace=1:detect_stack_use_after_return=0:quarantine_size_mb=16:log_path=$REPORTS/address' \
UBSAN_OPTIONS='print_stacktrace=1:abort_on_error=1'"
	;;
thread)
	instrumented "-g -fno-omit-frame-pointer -fsanitize=thread"
	cp test/tools/sanitize/thread.supp "$SCRATCH"
	run="LD_PRELOAD='$(runtime libtsan.so) $(helper c11_threads)' \
TSAN_OPTIONS='die_after_fork=0:halt_on_error=0:report_signal_unsafe=0:report_thread_leaks=0:suppressions=$SCRATCH/thread.supp:log_path=$REPORTS/thread'"
	;;
valgrind)
	run="valgrind -q --leak-check=no --num-callers=30 --log-file='$REPORTS/valgrind.%p'"
	;;
*) die "SANITIZE is address, thread or valgrind, not $SANITIZE" ;;
esac

mv "$bindir/postgres" "$bindir/postgres.bin"
cat >"$bindir/postgres" <<SERVER
#!/bin/bash
# initdb's calls need no extension.
[ "\$1" = -D ] || exec '$bindir/postgres.bin' "\$@"
exec env $run '$bindir/postgres.bin' "\$@"
SERVER
chmod 755 "$bindir/postgres"

# Of reports that are about the server alone, or a library, nothing is said.  Where both sanitizers
# run, that of undefined behaviour speaks on standard error, which is the server's log.
count_reports() {
	local file found=0
	while read -r file; do
		grep -q 'trading_engine\|te_[a-z]' "$file" || continue
		found=$((found + 1))
		say "-- $file"
		head -n 60 "$file" | cut -c 1-200
	done < <(find "$REPORTS" -type f -size +0)
	while read -r file; do
		found=$((found + 1))
		say "-- $file"
		grep -A 20 -m 3 ': runtime error: ' "$file" | cut -c 1-200
	done < <(find "$SCRATCH/out" -name '*.log' -type f -exec grep -l ': runtime error: ' {} + | sort -u)
	say "== $SANITIZE: $found reports"
	count 0 "$found" 0
}
