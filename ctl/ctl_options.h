/* The command line of acceptctl. Pure. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "common/defs.h"

struct fault;

#define CTL_WORDS_MAX 16

/* Exit status. */
enum ctl_exit {
	CTL_OK,
	CTL_NEGATIVE,    /* bad news, or it was tried and failed */
	CTL_USAGE,       /* the command line is wrong; of doctor: it will not hold */
	CTL_UNREACHABLE, /* there is no server, or it has no time */
	CTL_REFUSED,     /* this user may not */
};

struct ctl_options {
	const char *socket; /* -s; NULL: as the configuration says */
	const char *config; /* -f; NULL: the usual one */
	const char
		*words[CTL_WORDS_MAX]; /* the command and its arguments, as they go to the server */
	int word_count;
	bool as_json;
	bool no_colour;
	bool once;         /* queue: not again and again */
	bool follows;      /* events -f */
	char mark[48];     /* up to which events were shown */
	const char *write; /* doctor --write FILE */
	bool wants_help;   /* -h: without asking a server */
	bool wants_version;
};

/** @return 0; or -EINVAL with a sentence. What a command means is for the server to judge */
int ctl_options_parse(
	int argc, char *const *argv, struct ctl_options *options, struct fault *why) MUST_CHECK;
void ctl_options_print_help(FILE *stream);
/** The request as one line with its end, or -EINVAL when a word cannot be part of one.
 *  @param width  of the terminal, 0: none */
int ctl_options_write_request(const struct ctl_options *options, bool with_colour, int width,
	char *line, size_t size, struct fault *why) MUST_CHECK;
