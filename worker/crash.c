/* Everything here is async-signal-safe: no allocation, no locks, no stdio. backtrace(3) loads
 * libgcc at its first call, so crash_install makes that call. The record is marked as written
 * before the stack is walked, because a damaged stack may kill the walker too. */
#include "build.h"

#include "worker/crash.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "worker/conn.h"
#include "worker/settings.h"
#include "worker/symbols.h"

#define STACK_BYTES    65536
#define HANDLER_FRAMES 8

struct conn *volatile crash_conn;

static struct board_slot *crash_slot;
static volatile sig_atomic_t is_crashing;
static unsigned char crash_stack[STACK_BYTES];
static uintptr_t program_base;

static const int crash_signals[] = {
#ifndef WITH_SANITIZER
	SIGSEGV, SIGBUS, SIGILL, SIGFPE,
#endif
	SIGABRT};

/* A line of text that grows inside a fixed buffer. */
struct line {
	char *at;
	size_t size, len;
};

static void
line_add(struct line *line, const char *text)
{
	while (*text != '\0' && line->len + 1 < line->size) {
		line->at[line->len++] = *text++;
	}
	line->at[line->len] = '\0';
}

static void
line_add_hex(struct line *line, uintptr_t number)
{
	char digits[2 * sizeof(number) + 1];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[number % 16];
		number /= 16;
	} while (number != 0);
	line_add(line, "0x");
	line_add(line, digits + at);
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static void
line_add_place(struct line *line, const char *name, uintptr_t offset)
{
	line_add(line, name);
	line_add(line, "+");
	line_add_hex(line, offset);
}

/* "conn_read+0x1f (acceptd+0x1234)": what a person reads, and what addr2line(1) takes. */
static void
describe_frame(uintptr_t address, char *text, size_t size)
{
	struct line line = {text, size, 0};
	bool is_ours;
	const char *name;
	uintptr_t begin;
	Dl_info info;

	if (dladdr((void *)address, &info) == 0 || info.dli_fname == NULL) {
		line_add_hex(&line, address);
		return;
	}
	is_ours = (uintptr_t)info.dli_fbase == program_base;
	name = is_ours ? symbols_find(address - program_base, &begin) : NULL;
	if (name != NULL) {
		line_add_place(&line, name, address - program_base - begin);
		line_add(&line, " ");
	} else if (info.dli_sname != NULL) {
		line_add_place(&line, info.dli_sname, address - (uintptr_t)info.dli_saddr);
		line_add(&line, " ");
	}
	line_add(&line, "(");
	line_add_place(&line, is_ours ? "acceptd" : base_name(info.dli_fname),
		address - (uintptr_t)info.dli_fbase);
	line_add(&line, ")");
}

/* From the function that was interrupted on: the handler's own frames, which end with the one that
 * it returns to, say nothing. */
static void
record_frames(struct board_crash *crash, const void *handler_returns_to)
{
	void *frames[BOARD_FRAMES_MAX + HANDLER_FRAMES];
	int count = backtrace(frames, (int)ARRAY_LEN(frames)), first = 0;

	for (int i = 0; i < count && i < HANDLER_FRAMES && first == 0; i++) {
		first = frames[i] == handler_returns_to ? i + 1 : 0;
	}
	for (int i = first; i < count && crash->frame_count < BOARD_FRAMES_MAX; i++) {
		describe_frame((uintptr_t)frames[i], crash->frames[crash->frame_count],
			sizeof(crash->frames[0]));
		crash->frame_count++;
	}
}

static void
record_crash(struct board_crash *crash, int signal_number, const siginfo_t *info,
	const void *handler_returns_to)
{
	const struct conn *conn = crash_conn;

	crash->signal = signal_number;
	crash->sender = info->si_code <= 0 ? info->si_pid : 0;
	crash->fault_address = (uint64_t)(uintptr_t)info->si_addr;
	crash->frame_count = 0;
	crash->listener = -1;
	memset(&crash->peer, 0, sizeof(crash->peer));
	if (conn != NULL) {
		crash->peer = conn->peer;
		crash->listener = conn->settings->board_listener;
	}
	atomic_store_explicit(&crash->is_written, 1, memory_order_release);
	record_frames(crash, handler_returns_to);
}

/* SA_RESETHAND has put the default action back: the signal raised here is pending until we return
 * and then ends the process with the status that the fault deserves. */
static void
crash_on_signal(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	if (!is_crashing) {
		is_crashing = 1;
		record_crash(&crash_slot->crash, signal_number, info, __builtin_return_address(0));
	}
	(void)raise(signal_number);
}

int
crash_install(struct board_slot *slot)
{
	stack_t stack = {.ss_sp = crash_stack, .ss_size = sizeof(crash_stack)};
	struct sigaction action;
	Dl_info info;
	void *frame;

	crash_slot = slot;
	symbols_open();
	if (dladdr((void *)(uintptr_t)crash_install, &info) != 0) {
		program_base = (uintptr_t)info.dli_fbase;
	}
	(void)backtrace(&frame, 1);
	if (sigaltstack(&stack, NULL) != 0) {
		return -errno;
	}
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = crash_on_signal;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND;
	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(crash_signals); i++) {
		if (sigaction(crash_signals[i], &action, NULL) != 0) {
			return -errno;
		}
	}
	return 0;
}
