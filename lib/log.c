/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.c - bounded formatting without stdio, and one write(2) a line.
 */
#include "log.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "sys.h"

#define PREFIX "libhugeshim: "
#define STDERR_FD 2

static _Atomic int log_level HS_EARLY = HS_LOG_ERROR;
static _Atomic bool log_guarded;

HS_START void hs_log_set_level(int level)
{
	atomic_store_explicit(&log_level, level, memory_order_relaxed);
}

int hs_log_level(void)
{
	return atomic_load_explicit(&log_level, memory_order_relaxed);
}

void hs_log_guard(bool guarded)
{
	atomic_store_explicit(&log_guarded, guarded, memory_order_relaxed);
}

struct out {
	char *buf;
	size_t size;
	size_t used;
};

static void put(struct out *out, const char *text, size_t len)
{
	size_t room = out->size - 1 - out->used;

	if (len > room)
		len = room;
	memcpy(out->buf + out->used, text, len);
	out->used += len;
}

static void put_char(struct out *out, char c)
{
	put(out, &c, 1);
}

/* One conversion: "%[0][width][l|ll|z]c". */
struct spec {
	bool zero;
	unsigned width;
	unsigned longs; /* number of l; z counts as one */
	char conversion;
};

/* strchrnul() for '%' */
static const char *find_percent(const char *text)
{
	while (*text && *text != '%')
		text++;
	return text;
}

static void put_padding(struct out *out, char c, unsigned width, size_t len)
{
	for (; len < width; len++)
		put_char(out, c);
}

static void put_number(struct out *out, const struct spec *spec,
		       unsigned long long value, const char *sign,
		       unsigned base)
{
	char digits[24];
	char *first = digits + sizeof(digits);
	size_t sign_len = strlen(sign);
	size_t len;

	do {
		*--first = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	len = (size_t)(digits + sizeof(digits) - first);
	if (!spec->zero)
		put_padding(out, ' ', spec->width, sign_len + len);
	put(out, sign, sign_len);
	if (spec->zero)
		put_padding(out, '0', spec->width, sign_len + len);
	put(out, first, len);
}

/* Returns the character after the conversion; spec->conversion is 0 when it
 * is none that is known. */
static const char *parse_spec(const char *fmt, struct spec *spec)
{
	memset(spec, 0, sizeof(*spec));
	if (*fmt == '0') {
		spec->zero = true;
		fmt++;
	}
	for (; *fmt >= '0' && *fmt <= '9'; fmt++)
		if (spec->width < HS_LOG_LINE_MAX)
			spec->width = spec->width * 10 + (unsigned)(*fmt - '0');
	if (*fmt == 'z') {
		spec->longs = 1;
		fmt++;
	}
	for (; *fmt == 'l' && spec->longs < 2; fmt++)
		spec->longs++;
	if (*fmt && strchr("%scdiuxp", *fmt))
		spec->conversion = *fmt++;
	return fmt;
}

static long long take_signed(va_list *ap, unsigned longs)
{
	if (longs == 0)
		return va_arg(*ap, int);
	return longs == 1 ? va_arg(*ap, long) : va_arg(*ap, long long);
}

static unsigned long long take_unsigned(va_list *ap, unsigned longs)
{
	if (longs == 0)
		return va_arg(*ap, unsigned);
	return longs == 1 ? va_arg(*ap, unsigned long)
			  : va_arg(*ap, unsigned long long);
}

static void put_signed(struct out *out, const struct spec *spec,
		       long long value)
{
	unsigned long long magnitude = (unsigned long long)value;

	put_number(out, spec, value < 0 ? 0 - magnitude : magnitude,
		   value < 0 ? "-" : "", 10);
}

static void put_string(struct out *out, const struct spec *spec,
		       const char *text)
{
	size_t len;

	if (!text)
		text = "(null)";
	len = strnlen(text, out->size);
	put_padding(out, ' ', spec->width, len);
	put(out, text, len);
}

static void put_conversion(struct out *out, const struct spec *spec,
			   va_list *ap)
{
	switch (spec->conversion) {
	case '%':
		put_char(out, '%');
		break;
	case 'c':
		put_char(out, (char)va_arg(*ap, int));
		break;
	case 's':
		put_string(out, spec, va_arg(*ap, const char *));
		break;
	case 'd':
	case 'i':
		put_signed(out, spec, take_signed(ap, spec->longs));
		break;
	case 'u':
		put_number(out, spec, take_unsigned(ap, spec->longs), "", 10);
		break;
	case 'x':
		put_number(out, spec, take_unsigned(ap, spec->longs), "", 16);
		break;
	case 'p':
		put_number(out, spec, (uintptr_t)va_arg(*ap, void *), "0x", 16);
		break;
	}
}

size_t hs_log_vformat(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out out = { .buf = buf, .size = size, .used = 0 };
	va_list args;

	if (size == 0)
		return 0;
	va_copy(args, ap);
	while (*fmt) {
		const char *percent = find_percent(fmt);
		struct spec spec;
		const char *end;

		put(&out, fmt, (size_t)(percent - fmt));
		if (!*percent)
			break;
		end = parse_spec(percent + 1, &spec);
		if (spec.conversion)
			put_conversion(&out, &spec, &args);
		else
			put(&out, percent, (size_t)(end - percent));
		fmt = end;
	}
	va_end(args);
	buf[out.used] = '\0';
	return out.used;
}

size_t hs_log_format(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	len = hs_log_vformat(buf, size, fmt, ap);
	va_end(ap);
	return len;
}

static ssize_t write_once(int fd, const char *buf, size_t len)
{
	ssize_t ret;
	int tries = 8;

	do
		ret = hs_sys.write(fd, buf, len);
	while (ret == -EINTR && --tries > 0);
	return ret;
}

/*
 * A line to a pipe whose reader is gone must not kill a program that would
 * not have written: the SIGPIPE, which is the thread's own, is taken back.
 */
static ssize_t write_guarded(int fd, const char *buf, size_t len)
{
	static const struct timespec at_once;
	uint64_t pipe_set = UINT64_C(1) << (SIGPIPE - 1);
	uint64_t old_set = 0;
	ssize_t ret;

	if (hs_sys.sigprocmask(SIG_BLOCK, &pipe_set, &old_set) != 0)
		return write_once(fd, buf, len);
	ret = write_once(fd, buf, len);
	if (ret == -EPIPE && !(old_set & pipe_set))
		hs_sys.sigtimedwait(&pipe_set, NULL, &at_once);
	hs_sys.sigprocmask(SIG_SETMASK, &old_set, NULL);
	return ret;
}

ssize_t hs_log_write(int fd, const char *buf, size_t len)
{
	if (atomic_load_explicit(&log_guarded, memory_order_relaxed))
		return write_guarded(fd, buf, len);
	return write_once(fd, buf, len);
}

static void print_line(const char *fmt, va_list ap)
{
	char line[HS_LOG_LINE_MAX];
	size_t len = sizeof(PREFIX) - 1;

	memcpy(line, PREFIX, len);
	len += hs_log_vformat(line + len, sizeof(line) - len - 1, fmt, ap);
	line[len++] = '\n';
	hs_log_write(STDERR_FD, line, len);
}

void hs_log(enum hs_log_level level, const char *fmt, ...)
{
	va_list ap;

	if ((int)level > hs_log_level())
		return;
	va_start(ap, fmt);
	print_line(fmt, ap);
	va_end(ap);
}

void hs_log_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(fmt, ap);
	va_end(ap);
	hs_sys_abort();
}
