/* Reads the files of a configuration and follows @include, with patterns, relative to the file in
 * which it stands: libconfig 1.5 knows no patterns and looks from the working directory. */
#include "common/config_source.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/config_trust.h"
#include "common/descriptor.h"
#include "common/fault.h"

/* A file that is being read, and the one that includes it. */
struct source_frame {
	const struct source_frame *parent;
	const struct source_file *file;
	size_t unit; /* index: the array moves */
	unsigned depth;
};

static int source_scan(struct source *source, struct source_frame *frame, char around);

void
source_init(struct source *source, struct findings *findings)
{
	*source = (struct source){.findings = findings};
}

static void
source_file_free(struct source_file **file)
{
	if (*file != NULL) {
		free((*file)->name);
		free((*file)->text);
		free(*file);
		*file = NULL;
	}
}

void
source_fini(struct source *source)
{
	for (size_t i = 0; i < source->file_count; i++) {
		source_file_free(&source->files[i]);
	}
	for (size_t i = 0; i < source->unit_count; i++) {
		free(source->units[i].tokens);
	}
	free(source->units);
	source_init(source, NULL);
}

int
source_take_names(struct source *source, char ***names, size_t *count)
{
	char **taken = calloc(source->file_count + 1, sizeof(*taken));

	if (taken == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < source->file_count; i++) {
		taken[i] = source->files[i]->name;
		source->files[i]->name = NULL;
	}
	*names = taken;
	*count = source->file_count;
	return 0;
}

static int
source_add_unit(struct source *source, size_t *index)
{
	struct source_unit *units =
		realloc(source->units, (source->unit_count + 1) * sizeof(*units));

	if (units == NULL) {
		return -ENOMEM;
	}
	source->units = units;
	units[source->unit_count] = (struct source_unit){0};
	*index = source->unit_count++;
	return 0;
}

static int
unit_add_token(struct source_unit *unit, const struct token *token, struct config_origin origin)
{
	if (unit->count == unit->room) {
		size_t room = unit->room == 0 ? 256 : unit->room * 2;
		struct source_token *tokens = realloc(unit->tokens, room * sizeof(*tokens));

		if (tokens == NULL) {
			return -ENOMEM;
		}
		unit->tokens = tokens;
		unit->room = room;
	}
	unit->tokens[unit->count++] = (struct source_token){.token = *token, .origin = origin};
	return 0;
}

/* Takes over what `file` holds, also when it fails. */
static int
source_add_file(struct source *source, const char *name, const struct source_file *read,
	const struct source_file **added)
{
	struct source_file *file = malloc(sizeof(*file));

	if (file == NULL) {
		free(read->text);
		return -ENOMEM;
	}
	*file = *read;
	file->name = strdup(name);
	if (file->name == NULL) {
		source_file_free(&file);
		return -ENOMEM;
	}
	source->files[source->file_count++] = file;
	*added = file;
	return 0;
}

static int
source_read_file(const char *path, struct source_file *file, struct fault *why)
{
	struct stat info;
	int fd = config_trust_open(path, why);
	int result;

	if (fd < 0) {
		return fd;
	}
	result = fstat(fd, &info) < 0 ? -errno : 0;
	if (result == 0) {
		file->device = info.st_dev;
		file->inode = info.st_ino;
		result = descriptor_read_all(fd, SOURCE_FILE_MAX, &file->text, &file->len);
	}
	descriptor_close(&fd);
	if (result == -EFBIG) {
		return fault_say(why, EFBIG, "%s is larger than %d bytes, the most a file may have",
			path, SOURCE_FILE_MAX);
	}
	return result < 0 ? fault_set(why, -result, "cannot read %s", path) : 0;
}

static bool
is_being_read(const struct source_frame *frame, const struct source_file *file)
{
	for (; frame != NULL; frame = frame->parent) {
		if (frame->file->device == file->device && frame->file->inode == file->inode) {
			return true;
		}
	}
	return false;
}

/* Whether one more file may be included. Without a bound a few files that include each other's
 * likes are read millions of times. */
static int
source_check_include(const struct source *source, const struct source_frame *frame,
	const struct source_file *file, const char *path, struct fault *why)
{
	if (is_being_read(frame, file)) {
		return fault_say(
			why, ELOOP, "%s includes itself, directly or through others", path);
	}
	if (frame->depth == SOURCE_NEST_MAX) {
		return fault_say(
			why, ELOOP, "more than %d includes within includes", SOURCE_NEST_MAX);
	}
	if (source->file_count == SOURCE_FILES_MAX) {
		return fault_say(why, EMFILE, "more than %d files", SOURCE_FILES_MAX);
	}
	return 0;
}

/* Read one included file into the unit of `frame`, or at the top level into one of its own. */
static int
source_include_file(struct source *source, struct source_frame *frame,
	const struct config_origin *origin, const char *path, char around)
{
	struct source_frame inner = {
		.parent = frame, .unit = frame->unit, .depth = frame->depth + 1};
	struct source_file file = {0};
	struct fault why;
	int result = source_read_file(path, &file, &why);

	if (result == 0) {
		result = source_check_include(source, frame, &file, path, &why);
	}
	if (result < 0) {
		free(file.text);
		source->is_incomplete = true;
		findings_add(source->findings, FINDING_FILE, origin, "@include: %s", why.text);
		return 0;
	}
	result = source_add_file(source, path, &file, &inner.file);
	if (result == 0 && around == 0) {
		result = source_add_unit(source, &inner.unit);
	}
	return result < 0 ? result : source_scan(source, &inner, around);
}

/* What was written, as seen from the directory of the file in which it stands.
 *  @param is_pattern  that directory's own name is none: its special characters are escaped
 *  @return NULL: no memory; the caller frees it */
static char *
source_full_path(const char *file, const struct token *written, bool is_pattern)
{
	const char *slash = strrchr(file, '/');
	size_t dir_len = slash == NULL || written->start[0] == '/' ? 0 : (size_t)(slash - file) + 1;
	char *path = malloc(2 * dir_len + written->len + 1);
	char *at = path;

	if (path == NULL) {
		return NULL;
	}
	for (size_t i = 0; i < dir_len; i++) {
		if (is_pattern && strchr("*?[]\\", file[i]) != NULL) {
			*at++ = '\\';
		}
		*at++ = file[i];
	}
	memcpy(at, written->start, written->len);
	at[written->len] = '\0';
	return path;
}

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
has_pattern(const struct token *written)
{
	for (size_t i = 0; i < written->len; i++) {
		if (strchr("*?[", written->start[i]) != NULL) {
			return true;
		}
	}
	return false;
}

/* Sorted by bytes, not by the language of whoever starts the server. No match is no error: an empty
 * conf.d is ordinary; one that is missing or cannot be read is not. */
static int
source_include_pattern(struct source *source, struct source_frame *frame,
	const struct config_origin *origin, const char *pattern, char around)
{
	glob_t found = {0};
	int result;

	errno = 0;
	result = glob(pattern, GLOB_ERR | GLOB_NOSORT, NULL, &found);
	if (result == GLOB_ABORTED) {
		source->is_incomplete = true;
		findings_add(source->findings, FINDING_FILE, origin,
			"@include: cannot read the directory of %s: %s", pattern, strerror(errno));
	}
	if (result == 0) {
		qsort(found.gl_pathv, found.gl_pathc, sizeof(*found.gl_pathv), compare_paths);
	}
	result = result == GLOB_NOSPACE ? -ENOMEM : 0;
	for (size_t i = 0; i < found.gl_pathc && result == 0; i++) {
		result = source_include_file(source, frame, origin, found.gl_pathv[i], around);
	}
	globfree(&found);
	return result;
}

static int
source_include(
	struct source *source, struct source_frame *frame, const struct token *token, char around)
{
	const struct config_origin origin = {frame->file->name, token->line};
	bool is_pattern = has_pattern(token);
	char *path;
	int result;

	if (source->is_memory) {
		source->is_incomplete = true;
		findings_add(source->findings, FINDING_FILE, &origin,
			"@include: only a file can include others");
		return 0;
	}
	path = source_full_path(frame->file->name, token, is_pattern);
	if (path == NULL) {
		return -ENOMEM;
	}
	if (is_pattern) {
		result = source_include_pattern(source, frame, &origin, path, around);
	} else {
		result = source_include_file(source, frame, &origin, path, around);
	}
	free(path);
	return result;
}

/* Report what is wrong with a token. */
static void
source_complain(struct source *source, struct source_frame *frame, const struct token *token,
	const struct fault *why)
{
	const struct config_origin origin = {frame->file->name, token->line};

	findings_add(source->findings, FINDING_FILE, &origin, "%s", why->text);
	if (token->kind != TOKEN_BROKEN) {
		source->units[frame->unit].is_damaged = true;
	}
}

/* A bracket is never closed: what stands in it may belong anywhere, and would only give more
 * faults. Put a broken value in its place. */
static void
source_cut_open_bracket(struct source_unit *unit)
{
	size_t closed = 0;

	for (size_t i = unit->count; i > 0; i--) {
		struct token *token = &unit->tokens[i - 1].token;

		if (token->kind == TOKEN_CLOSE) {
			closed++;
		} else if (token->kind == TOKEN_OPEN && closed > 0) {
			closed--;
		} else if (token->kind == TOKEN_OPEN) {
			token->kind = TOKEN_BROKEN;
			unit->count = i;
			return;
		}
	}
}

static int
source_scan(struct source *source, struct source_frame *frame, char around)
{
	struct scan scan;
	struct token token;
	struct fault why;
	int result = 0;

	scan_init(&scan, frame->file->text, frame->file->len, around);
	do {
		if (scan_next(&scan, &token, &why) < 0) {
			source_complain(source, frame, &token, &why);
		}
		if (token.kind == TOKEN_INCLUDE) {
			result = source_include(source, frame, &token, scan_inside(&scan));
		} else if (token.kind != TOKEN_JUNK && token.kind != TOKEN_END) {
			const struct config_origin origin = {frame->file->name, token.line};

			result = unit_add_token(&source->units[frame->unit], &token, origin);
		}
	} while (result == 0 && token.kind != TOKEN_END);
	if (scan.is_lost && scan.depth > 0) {
		source_cut_open_bracket(&source->units[frame->unit]);
	}
	return result;
}

/* The file that is not included by any other. */
static int
source_scan_main(struct source *source, const char *name, const struct source_file *file)
{
	struct source_frame frame = {0};
	int result = source_add_file(source, name, file, &frame.file);

	if (result == 0) {
		result = source_add_unit(source, &frame.unit);
	}
	return result < 0 ? result : source_scan(source, &frame, 0);
}

int
source_read(struct source *source, const char *path)
{
	const struct config_origin origin = {path, 0};
	struct source_file file = {0};
	struct fault why;

	if (source_read_file(path, &file, &why) < 0) {
		source->is_incomplete = true;
		findings_add(source->findings, FINDING_FILE, &origin, "%s", why.text);
		return 0;
	}
	return source_scan_main(source, path, &file);
}

int
source_read_text(struct source *source, const char *text, const char *name)
{
	struct source_file file = {.text = strdup(text), .len = strlen(text)};

	source->is_memory = true;
	return file.text == NULL ? -ENOMEM : source_scan_main(source, name, &file);
}
