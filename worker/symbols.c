/* The file is the one that we run, but it may have been damaged on disk since: every offset is
 * checked against its size before it is followed. */
#include "worker/symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef ElfW(Ehdr) elf_header;  /* the system's own macros make these types, */
typedef ElfW(Shdr) elf_section; /* and they have no struct names that hold */
typedef ElfW(Sym) elf_symbol;   /* for 32 and 64 bits */

static const unsigned char *file;
static size_t file_size;

void
symbols_open(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *mapped;

	if (fd < 0) {
		return;
	}
	if (fstat(fd, &status) == 0 && status.st_size > 0) {
		mapped = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (mapped != MAP_FAILED) {
			file = mapped;
			file_size = (size_t)status.st_size;
		}
	}
	close(fd);
}

static bool
is_within(uint64_t offset, uint64_t size)
{
	return offset <= file_size && size <= file_size - offset;
}

static const elf_section *
section_at(const elf_header *header, unsigned index)
{
	uint64_t offset = header->e_shoff + (uint64_t)index * sizeof(elf_section);

	if (index >= header->e_shnum || !is_within(offset, sizeof(elf_section))) {
		return NULL;
	}
	return (const elf_section *)(const void *)(file + offset);
}

static const elf_section *
find_symbol_table(const elf_header *header)
{
	for (unsigned i = 0; i < header->e_shnum; i++) {
		const elf_section *section = section_at(header, i);

		if (section != NULL && section->sh_type == SHT_SYMTAB &&
			is_within(section->sh_offset, section->sh_size)) {
			return section;
		}
	}
	return NULL;
}

static const char *
name_at(const elf_section *names, uint64_t offset)
{
	const char *name = (const char *)file + names->sh_offset + offset;

	if (!is_within(names->sh_offset, names->sh_size) || offset >= names->sh_size ||
		memchr(name, '\0', names->sh_size - offset) == NULL) {
		return NULL;
	}
	return name;
}

static bool
is_elf(void)
{
	return file_size >= sizeof(elf_header) && memcmp(file, ELFMAG, SELFMAG) == 0 &&
	       ((const elf_header *)(const void *)file)->e_shentsize == sizeof(elf_section);
}

const char *
symbols_find(uintptr_t offset, uintptr_t *begin)
{
	const elf_header *header = (const elf_header *)(const void *)file;
	const elf_section *table, *names;

	if (file == NULL || !is_elf() || (table = find_symbol_table(header)) == NULL ||
		(names = section_at(header, table->sh_link)) == NULL) {
		return NULL;
	}
	for (uint64_t i = 0; i < table->sh_size / sizeof(elf_symbol); i++) {
		const elf_symbol *symbol =
			(const elf_symbol *)(const void *)(file + table->sh_offset) + i;

		if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && offset >= symbol->st_value &&
			offset - symbol->st_value < symbol->st_size) {
			*begin = (uintptr_t)symbol->st_value;
			return name_at(names, symbol->st_name);
		}
	}
	return NULL;
}
