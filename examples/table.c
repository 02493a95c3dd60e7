/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.c - an in-memory table, as a cache or a database has one: loaded,
 * queried, changed and snapshotted by fork.
 *
 *   table [ROWS]
 *
 * Knows nothing of huge pages.  Run it as it is, then with libhugeshim.so
 * preloaded, and compare: it prints a line "LABEL: NUMBER UNIT" a phase.  The
 * contents and the checksum are the same in every run with as many rows; the
 * snapshot is read back and must hold what the table held at the fork.
 *
 * Exit status: 0, 1 when the snapshot is wrong, 2 when something else failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_ROWS 3000000ul
#define MAX_TEXT 96

struct row {
	struct row *next;
	uint64_t key;
	uint64_t value;
	uint32_t text_bytes;
	char text[];
};

struct table {
	struct row **buckets;
	size_t mask;
	size_t nr_rows;
};

/* What a snapshot has of a row, its text behind it. */
struct saved_row {
	uint64_t key;
	uint64_t value;
	uint32_t text_bytes;
};

static void die(const char *what)
{
	fprintf(stderr, "table: %s: %s\n", what, strerror(errno));
	exit(2);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* splitmix64: the same numbers everywhere. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t key_of(size_t i)
{
	return mix(i ^ 0x7461626c65);
}

/* --- the table ----------------------------------------------------------- */

static void table_create(struct table *table, size_t rows)
{
	size_t nr_buckets = 1;

	while (nr_buckets < rows)
		nr_buckets *= 2;
	table->buckets = calloc(nr_buckets, sizeof(*table->buckets));
	if (!table->buckets)
		die("no memory for the table");
	table->mask = nr_buckets - 1;
	table->nr_rows = 0;
}

static struct row **table_find(const struct table *table, uint64_t key)
{
	struct row **row = &table->buckets[key & table->mask];

	while (*row && (*row)->key != key)
		row = &(*row)->next;
	return row;
}

static void table_insert(struct table *table, uint64_t key, uint64_t value)
{
	uint32_t text_bytes = 16 + mix(key) % (MAX_TEXT - 16);
	struct row **place = table_find(table, key);
	struct row *row = malloc(sizeof(*row) + text_bytes);

	if (!row)
		die("no memory for a row");
	row->next = *place;
	row->key = key;
	row->value = value;
	row->text_bytes = text_bytes;
	memset(row->text, 'a' + key % 26, text_bytes);
	*place = row;
	table->nr_rows++;
}

static void table_remove(struct table *table, uint64_t key)
{
	struct row **place = table_find(table, key);
	struct row *row = *place;

	if (!row)
		return;
	*place = row->next;
	free(row);
	table->nr_rows--;
}

static uint64_t row_sum(uint64_t key, uint64_t value, const char *text,
			uint32_t text_bytes)
{
	uint64_t sum = mix(key) ^ value;

	for (uint32_t i = 0; i < text_bytes; i += 8)
		sum = mix(sum + (unsigned char)text[i]);
	return sum;
}

/* Does not depend on the order of the rows. */
static uint64_t table_sum(const struct table *table)
{
	uint64_t sum = 0;

	for (size_t i = 0; i <= table->mask; i++)
		for (struct row *row = table->buckets[i]; row; row = row->next)
			sum += row_sum(row->key, row->value, row->text,
				       row->text_bytes);
	return sum;
}

/* --- the snapshot -------------------------------------------------------- */

static int snapshot_open(void)
{
	const char *directory = getenv("TMPDIR");
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/table-XXXXXX",
		 directory ? directory : "/tmp");
	fd = mkstemp(path);
	if (fd < 0)
		die(path);
	unlink(path);
	return fd;
}

static void save_row(FILE *file, const struct row *row)
{
	struct saved_row saved = { row->key, row->value, row->text_bytes };

	if (fwrite(&saved, sizeof(saved), 1, file) != 1 ||
	    fwrite(row->text, row->text_bytes, 1, file) != 1)
		_exit(1);
}

/* In the child: every row as it was at the fork. */
static void snapshot_write(const struct table *table, int fd)
{
	FILE *file = fdopen(fd, "w");

	if (!file)
		_exit(1);
	for (size_t i = 0; i <= table->mask; i++)
		for (struct row *row = table->buckets[i]; row; row = row->next)
			save_row(file, row);
	_exit(fclose(file) ? 1 : 0);
}

/* The checksum of what is in the file, and how many rows. */
static uint64_t snapshot_read(int fd, size_t *nr_rows)
{
	struct saved_row saved;
	char text[MAX_TEXT];
	uint64_t sum = 0;
	FILE *file;

	if (lseek(fd, 0, SEEK_SET) < 0 || !(file = fdopen(fd, "r")))
		die("snapshot");
	*nr_rows = 0;
	while (fread(&saved, sizeof(saved), 1, file) == 1) {
		if (saved.text_bytes > MAX_TEXT ||
		    fread(text, saved.text_bytes, 1, file) != 1)
			break;
		sum += row_sum(saved.key, saved.value, text, saved.text_bytes);
		++*nr_rows;
	}
	fclose(file);
	return sum;
}

/* --- the phases ---------------------------------------------------------- */

static void load(struct table *table, size_t rows)
{
	double start = now_s();

	for (size_t i = 0; i < rows; i++)
		table_insert(table, key_of(i), i);
	printf("load %zu rows: %.2f s\n", rows, now_s() - start);
}

static uint64_t query(const struct table *table, size_t rows)
{
	size_t nr_queries = rows;
	double start = now_s();
	uint64_t sum = 0;

	for (size_t i = 0; i < nr_queries; i++) {
		struct row *row = *table_find(table, key_of(mix(i) % rows));

		sum += row->value + row->text[row->text_bytes - 1];
	}
	printf("random queries: %.2f M/s\n",
	       nr_queries / (now_s() - start) / 1e6);
	return sum;
}

/* One row in eight goes, and as many others come. */
static void change(struct table *table, size_t rows)
{
	double start = now_s();

	for (size_t i = 0; i < rows / 8; i++) {
		table_remove(table, key_of(mix(i) % rows));
		table_insert(table, key_of(rows + i), i);
	}
	printf("rows replaced: %.2f M/s\n", rows / 8 / (now_s() - start) / 1e6);
}

/* Goes on writing while the child saves; the slowest single write. */
static double update(struct table *table, size_t rows)
{
	double slowest = 0, last = now_s();

	for (size_t i = 0; i < rows / 4; i++) {
		struct row *row = *table_find(table, key_of(mix(~i) % rows));
		double now;

		if (row)
			row->value += i;
		now = now_s();
		if (now - last > slowest)
			slowest = now - last;
		last = now;
	}
	return slowest;
}

static int snapshot(struct table *table, size_t rows)
{
	uint64_t sum = table_sum(table);
	size_t nr_rows = table->nr_rows, nr_saved;
	int fd = snapshot_open(), child_fd = dup(fd), status;
	double start, forked, updated, slowest;
	pid_t child;

	fflush(stdout);
	start = now_s();
	child = fork();
	if (child < 0)
		die("fork");
	if (!child)
		snapshot_write(table, child_fd);
	forked = now_s();
	slowest = update(table, rows);
	updated = now_s();
	if (waitpid(child, &status, 0) != child || status)
		die("the child could not write the snapshot");
	printf("fork: %.2f ms\n", (forked - start) * 1e3);
	printf("writes during the snapshot: %.2f M/s\n",
	       rows / 4 / (updated - forked) / 1e6);
	printf("slowest write during the snapshot: %.0f us\n", slowest * 1e6);
	printf("snapshot, fork to end: %.2f s\n", now_s() - start);
	close(child_fd);
	return snapshot_read(fd, &nr_saved) != sum || nr_saved != nr_rows;
}

int main(int argc, char **argv)
{
	size_t rows = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_ROWS;
	double start = now_s();
	struct table table;
	uint64_t sum;

	if (!rows || argc > 2) {
		fprintf(stderr, "usage: table [ROWS]\n");
		return 2;
	}
	table_create(&table, rows);
	load(&table, rows);
	sum = query(&table, rows);
	change(&table, rows);
	if (snapshot(&table, rows)) {
		printf("the snapshot is WRONG\n");
		return 1;
	}
	printf("in all: %.2f s\n", now_s() - start);
	printf("checksum: %" PRIu32 " sum\n",
	       (uint32_t)mix(sum + table_sum(&table)));
	return 0;
}
