/* The files of the page as they are in monitor/page, part of the program. */
#pragma once

extern const char page_html[], page_html_end[];
extern const char page_css[], page_css_end[];
extern const char page_js[], page_js_end[];
extern const char page_icon[], page_icon_end[];
