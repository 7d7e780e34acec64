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

	finding->kind = kind;
	text_init(&line, finding->text, sizeof(finding->text));
	if (origin != NULL && origin->file != NULL) {
		text_add(&line, "%s:", origin->file);
		if (origin->line > 0) {
			text_add(&line, "%d:", origin->line);
		}
		text_add(&line, " ");
	}
	text_add(&line, "%s: %s", finding_word(kind), sentence);
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
