/* The main() of a fuzzer without libFuzzer: tests/fuzz/fuzz_NAME runs once over each file of
 * tests/fuzz/corpus/NAME, so that what was found once is never lost again. */
#include <dirent.h>
#include <limits.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1 << 20)

/* libFuzzer brings a main of its own. */
#ifndef WITH_LIBFUZZER

static void
run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	uint8_t *input = malloc(INPUT_MAX);
	size_t size;

	if (file == NULL || input == NULL) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	size = fread(input, 1, INPUT_MAX, file);
	fclose(file);
	/* Exactly as large as the input: a byte too far is seen by the address sanitizer. */
	data = malloc(size > 0 ? size : 1);
	if (data == NULL) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	memcpy(data, input, size);
	free(input);
	printf("%s\n", path);
	fflush(stdout); /* the last one named is the one that broke a promise */
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int
main(int count, char **arguments)
{
	const char *source = getenv("srcdir"); /* automake sets it for tests */
	const char *name = count > 0 ? strstr(arguments[0], "fuzz_") : NULL;
	char path[PATH_MAX];
	struct dirent **files;
	int i, found, inputs = 0;

	if (name == NULL) {
		fprintf(stderr, "not called fuzz_NAME\n");
		return EXIT_FAILURE;
	}
	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", source == NULL ? "." : source,
		name + strlen("fuzz_"));
	found = scandir(path, &files, NULL, alphasort);
	for (i = 0; i < found; i++) {
		if (files[i]->d_name[0] != '.') {
			char file[2 * PATH_MAX];

			snprintf(file, sizeof(file), "%s/%s", path, files[i]->d_name);
			run_file(file);
			inputs++;
		}
		free(files[i]);
	}
	if (inputs == 0) {
		fprintf(stderr, "no corpus in %s\n", path);
		return EXIT_FAILURE;
	}
	free(files);
	/* in the words of Check, for tools/tally */
	printf("100%%: Checks: %d, Failures: 0, Errors: 0\n", inputs);
	return EXIT_SUCCESS;
}

#endif
