/* The assembler copies the files of the page into the program; it looks for them below the -I of
 * AM_CCASFLAGS, in the source tree. */

.macro file name, path
	.globl \name
	.globl \name\()_end
	.type \name, %object
	.type \name\()_end, %object
\name:
	.incbin "\path"
\name\()_end:
	.byte 0
	.size \name, \name\()_end - \name
	.size \name\()_end, 1
.endm

	.section .rodata
	file page_html, "monitor/page/page.html"
	file page_css, "monitor/page/page.css"
	file page_js, "monitor/page/page.js"
	file page_icon, "monitor/page/icon.svg"

	/* No code here, so none that wants an executable stack. */
	.section .note.GNU-stack, "", %progbits
