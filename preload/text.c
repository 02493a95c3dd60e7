// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * text.c - the string functions that the library uses, of its own: hidden, so
 * that they are bound when the library is linked.  Each name that the loader
 * has to look up costs every exec 0.3 us.  For short texts, now and then;
 * memcpy and its like, which move whole pages, stay libc's.
 */
#include <string.h>

#include "base.h"

/* Keeps the compiler from making calls of the very functions out of loops. */
#define PLAIN_LOOP() __asm__ volatile("")

HS_START size_t strnlen(const char *text, size_t max)
{
	size_t len = 0;

	while (len < max && text[len] != '\0') {
		PLAIN_LOOP();
		len++;
	}
	return len;
}

HS_START size_t strlen(const char *text)
{
	return strnlen(text, SIZE_MAX);
}

HS_START int strncmp(const char *a, const char *b, size_t max)
{
	size_t i;

	for (i = 0; i < max; i++) {
		PLAIN_LOOP();
		if (a[i] != b[i] || a[i] == '\0')
			return (unsigned char)a[i] - (unsigned char)b[i];
	}
	return 0;
}

HS_START int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

HS_START int memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *x = a, *y = b;
	size_t i;

	for (i = 0; i < size; i++) {
		PLAIN_LOOP();
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}

HS_START void *memchr(const void *block, int byte, size_t size)
{
	const unsigned char *p = block;
	size_t i;

	for (i = 0; i < size; i++) {
		PLAIN_LOOP();
		if (p[i] == (unsigned char)byte)
			return (void *)&p[i];
	}
	return NULL;
}

/* The end counts as a character of the text. */
HS_START char *strchr(const char *text, int c)
{
	return memchr(text, c, strlen(text) + 1);
}

HS_START char *strrchr(const char *text, int c)
{
	char *found = NULL;

	for (; (text = strchr(text, c)) != NULL && *text != '\0'; text++)
		found = (char *)text;
	return text != NULL ? (char *)text : found;
}

/* How much of @text is in @set, or is not. */
static size_t span(const char *text, const char *set, bool in)
{
	size_t len = 0;

	while (text[len] != '\0' && (strchr(set, text[len]) != NULL) == in)
		len++;
	return len;
}

size_t strspn(const char *text, const char *set)
{
	return span(text, set, true);
}

size_t strcspn(const char *text, const char *set)
{
	return span(text, set, false);
}

char *strstr(const char *text, const char *part)
{
	size_t len = strlen(part);

	for (; strncmp(text, part, len) != 0; text++)
		if (*text == '\0')
			return NULL;
	return (char *)text;
}
