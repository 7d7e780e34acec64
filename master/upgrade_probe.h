/* The check before an upgrade: the new program is executed as a child that gets everything the real
 * one would get, reads it with the same code, and says whether it could go on with it. Nothing
 * waits for it; a child that takes too long is killed. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/defs.h"
#include "common/loop.h"

struct child_report;
struct fault;
struct text;
struct upgrade_state;

#define UPGRADE_WORDS_MAX 16384

struct upgrade_probe {
	pid_t pid; /* 0: none runs */
	int words; /* what it writes to its standard streams; -1 */
	ev_io watcher;
	bool is_late;
	int64_t timeout_ms;
	struct loop_timer patience;
	struct child_report *report;
	char said[UPGRADE_WORDS_MAX]; /* the end of it, when it is too much */
	size_t said_len;
};

/** @param probe  zeroed once before; may be started again after it has ended
 *  @param program  what to execute; borrowed, as the memory with the written state
 *  @return 0, or negative errno with the sentence */
int upgrade_probe_start(struct upgrade_probe *probe, struct ev_loop *loop, int program, int memory,
	const struct upgrade_state *state, int64_t timeout_ms, struct fault *why) MUST_CHECK;
/** End it soon; its death comes as any other's. */
void upgrade_probe_kill(struct upgrade_probe *probe);
/** It has ended. `probe->said` is what it said, terminated and without the word.
 *  @param sentence  why it may not take over @return true when it may */
bool upgrade_probe_end(
	struct upgrade_probe *probe, struct ev_loop *loop, int status, struct text *sentence);
void upgrade_probe_close(struct upgrade_probe *probe, struct ev_loop *loop);

/** Let every descriptor of a state, and its memory, pass an exec, or not any more. Can be called
 *  after fork. @return 0 or negative errno */
int upgrade_let_through(const struct upgrade_state *state, int memory, bool passes) MUST_CHECK;
