/* What was found wrong in one run. A line that does not fit is cut at its end, where the hint
 * stands; what, where and why come first. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/text.h"

static const char *
finding_word(enum finding_kind kind)
{
	return kind == FINDING_WARNING ? "warning" : "error";
}

static void
findings_count(struct findings *findings, enum finding_kind kind)
{
	switch (kind) {
	case FINDING_FILE:
		findings->errors++;
		break;
	case FINDING_WORLD:
		findings->world_errors++;
		break;
	case FINDING_WARNING:
		findings->warnings++;
		break;
	}
}

/* A full list gives its last warning away for an error: what must be mended is never hidden behind
 * what may be. */
static struct finding *
findings_place(struct findings *findings, enum finding_kind kind)
{
	size_t at = findings->count;

	if (findings->count < FINDINGS_MAX) {
		return &findings->items[findings->count++];
	}
	findings->not_shown++;
	if (kind == FINDING_WARNING) {
		return NULL;
	}
	while (at > 0 && findings->items[at - 1].kind != FINDING_WARNING) {
		at--;
	}
	if (at == 0) {
		return NULL;
	}
	memmove(&findings->items[at - 1], &findings->items[at],
		(findings->count - at) * sizeof(findings->items[0]));
	return &findings->items[findings->count - 1];
}

void
findings_add(struct findings *findings, enum finding_kind kind, const struct config_origin *origin,
	const char *format, ...)
{
	struct finding *finding;
	struct text line;
	char sentence[sizeof(finding->text)];
	va_list args;

	findings_count(findings, kind);
	finding = findings_place(findings, kind);
	if (finding == NULL) {
		return;
	}
	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);

	*finding = (struct finding){.kind = kind};
	text_init(&line, finding->text, sizeof(finding->text));
	if (origin != NULL && origin->file != NULL) {
		text_add_printable(&line, origin->file, strlen(origin->file));
		finding->file_len = line.len;
		finding->line = origin->line;
		if (origin->line > 0) {
			text_add(&line, ":%d", origin->line);
		}
		text_add(&line, ": ");
	}
	text_add(&line, "%s: ", finding_word(kind));
	text_add_printable(&line, sentence, strlen(sentence));
}

static bool
is_same_file(const struct finding *a, const struct finding *b)
{
	return a->file_len == b->file_len && memcmp(a->text, b->text, a->file_len) == 0;
}

/* Where the finding that now stands at `from` belongs among those before it. */
static size_t
findings_sorted_place(const struct findings *findings, size_t first, size_t from)
{
	const struct finding *items = findings->items;
	size_t to = from;

	for (size_t i = from; i > first; i--) {
		if (is_same_file(&items[i - 1], &items[from])) {
			if (items[i - 1].line <= items[from].line) {
				return to == from ? i : to;
			}
			to = i - 1;
		}
	}
	return to;
}

void
findings_sort(struct findings *findings, size_t first)
{
	for (size_t i = first + 1; i < findings->count; i++) {
		size_t to = findings_sorted_place(findings, first, i);
		struct finding moved = findings->items[i];

		memmove(&findings->items[to + 1], &findings->items[to],
			(i - to) * sizeof(findings->items[0]));
		findings->items[to] = moved;
	}
}

void
findings_print(const struct findings *findings, FILE *stream)
{
	for (size_t i = 0; i < findings->count; i++) {
		(void)fprintf(stream, "%s\n", findings->items[i].text);
	}
	if (findings->not_shown > 0) {
		(void)fprintf(stream, "and %zu more\n", findings->not_shown);
	}
}
