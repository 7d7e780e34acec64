/* One row per option of the configuration. The rows make loading, checking, dumping (-T), the
 * manual page and the example file. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Whose option it is: where it stands in the file and in which struct of common/config.h. */
enum option_scope {
	OPTION_SERVER,          /* top level: struct config */
	OPTION_LISTENER,        /* an element of `listeners`: struct listener_config */
	OPTION_UPSTREAM,        /* an element of `upstreams`: struct upstream_config */
	OPTION_UPSTREAM_SERVER, /* an element of its `servers`: struct upstream_server_config */
	OPTION_SCOPE_COUNT
};

enum option_type {
	OPTION_BOOL,        /* bool */
	OPTION_COUNT,       /* int64_t; a number */
	OPTION_DURATION_MS, /* int64_t; "10m" */
	OPTION_SIZE,        /* int64_t bytes; "64K" */
	OPTION_TEXT,        /* char *; owned by the config */
	OPTION_CHOICE,      /* int; index into choices */
	OPTION_MODE,        /* int64_t; permissions as "0660" */
	OPTION_ADDRESSES,   /* struct address_list: one string or an array of them, "" for none
			     * where that is the default */
	OPTION_ENDPOINT,    /* struct endpoint */
	OPTION_NETWORKS,    /* struct network_list: one string or an array of them */
};

/* When a change by reload takes effect. */
enum option_effect {
	EFFECT_AT_ONCE,         /* for everything from the commit on */
	EFFECT_NEW_CONNECTIONS, /* existing connections keep what they began with */
	EFFECT_NEW_WORKERS,     /* workers that start later; reload names these */
	EFFECT_RESTART,         /* needs a new master; reload refuses the change and says so */
};

struct option_word { /* a word that stands for a number, as "auto" or "none" */
	const char *word;
	int64_t value;
};

struct option {
	enum option_scope scope;
	const char *path; /* as written in the file: "keepalive.idle" */
	enum option_type type;
	size_t offset;        /* of the field in the scope's struct */
	const char *fallback; /* default as written in the file; NULL: must be given */
	int64_t min, max;     /* numbers, durations, sizes; text: longest length */
	struct option_word words[2];
	const char *const *choices; /* NULL-terminated */
	const char *allowed; /* what stands in messages, where the type's own words say too much */
	enum option_effect effect;
	const char *help; /* one sentence, for the manual and the example file */
};

extern const struct option config_schema[];
extern const size_t config_schema_count;
