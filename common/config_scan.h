/* The words of a configuration file: what stands before libconfig and finds what its 1.5 reads
 * wrongly or explains badly (integers it cuts to 32 bits, octal that is none, strings and brackets
 * that never end, values without quotes), with line numbers. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

struct fault;

#define SCAN_DEPTH_MAX 32 /* brackets within brackets */

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_EQUALS, /* "=" or ":" */
	TOKEN_TEXT,   /* "…" */
	TOKEN_INTEGER,
	TOKEN_FLOAT,
	TOKEN_BOOL,
	TOKEN_BROKEN, /* about which a fault was given; it stands where a value stands */
	TOKEN_JUNK,   /* about which a fault was given; best left out */
	TOKEN_OPEN,   /* { ( [ */
	TOKEN_CLOSE,
	TOKEN_SEPARATOR, /* ; , */
	TOKEN_INCLUDE,   /* @include "…": the part between the quotes */
};

struct token {
	enum token_kind kind;
	const char *start; /* as written, in the text that is scanned; with the quotes */
	size_t len;
	int64_t number; /* of an integer */
	int line;
};

struct scan {
	const char *start, *at, *end;
	int line;
	bool is_line_start; /* only blanks since the line began */
	bool expects_value; /* after "=", or where an element of a list may stand */
	bool is_lost;       /* the brackets do not match: nothing after makes sense */
	char around;        /* bracket in which the whole text stands, for an included part */
	size_t depth;
	struct {
		char mark;
		int line;
	} open[SCAN_DEPTH_MAX];
};

/** Begin at the first word of `text`: terminated (text[len] is 0), borrowed for the life of the
 * scan.
 *  @param around  '{', '(' or '[' when the text is included inside one; 0: top level */
void scan_init(struct scan *scan, const char *text, size_t len, char around);
/** The innermost bracket that is open, the enclosing one included; 0: top level. */
char scan_inside(const struct scan *scan);
/** Take the next token; TOKEN_END at the end and for ever after.
 *  @return 0; -EINVAL with a sentence about the token, which is then one that scanning can go on
 *          with */
int scan_next(struct scan *scan, struct token *token, struct fault *why) MUST_CHECK;
/** What a TOKEN_TEXT says: without its quotes, escapes resolved. @return NULL: no memory; the
 * caller frees it */
char *scan_unescape(const struct token *token) MUST_CHECK;
