/* SPDX-License-Identifier: ISC */
#include "lib/mail/charsettables.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/utf8.h"

enum {
	GB18030_ROW = 1260, /* four-byte characters whose first two bytes are the same */
	CELLS_MAX = GB18030_ROW,
	CELL_BYTES_MAX = 5,     /* with the line's end */
	COMPOSITIONS_MAX = 512, /* glibc: 193 and 37 */
	WIDE_FIRST = 0xd800,    /* the codes from here on are no characters */
	WIDE_MAX = 0xe000 - WIDE_FIRST,
	RANGES_MAX = 512, /* glibc: 212 */
};

static const char *const byte_sets[] = {
	"iso-8859-2",   "iso-8859-3",   "iso-8859-4",   "iso-8859-5",   "iso-8859-6",
	"iso-8859-7",   "iso-8859-8",   "iso-8859-9",   "iso-8859-10",  "iso-8859-13",
	"iso-8859-14",  "iso-8859-15",  "iso-8859-16",  "windows-1250", "windows-1251",
	"windows-1253", "windows-1254", "windows-1255", "windows-1256", "windows-1257",
	"windows-1258", "koi8-r",       "koi8-u",       "tis-620",
};

enum { BYTE_SETS = sizeof byte_sets / sizeof byte_sets[0], NAMES_MAX = 2 };

/* The first name's word counts; where it has none, the second, which mailers mean by the first just
 * as often: vendors' rows and the users' own (the WHATWG's Encoding Standard says the same). */
static const struct {
	const char *names[NAMES_MAX];
	char prefix; /* before each pair */
} pair_sets[PAIR_SETS] = {
	[PAIRS_JIS_X_0208] = { { "euc-jp", "euc-jp-ms" }, 0 },
	[PAIRS_JIS_X_0212] = { { "euc-jp", "euc-jp-ms" }, '\x8f' },
	[PAIRS_SHIFT_JIS] = { { "shift_jis", "cp932" }, 0 },
	[PAIRS_KOREAN] = { { "uhc", "euc-kr" }, 0 },
	[PAIRS_BIG5] = { { "big5", NULL }, 0 },
	[PAIRS_GB18030] = { { "gb18030", NULL }, 0 },
};

struct composition {
	uint16_t first, composed;
	unsigned char set, mark;
	bool second;
};

/* A run of characters: code + (linear - first); code 0: none of them is assigned. */
struct range {
	uint16_t first, code;
};

struct tables {
	struct byte_table bytes[BYTE_SETS];
	struct composition compositions[COMPOSITIONS_MAX];
	size_t composition_count;
	struct pair_table pairs[PAIR_SETS];
	uint32_t wide[WIDE_MAX]; /* what takes two bytes and is beyond 16 bits */
	size_t wide_count;
	struct range ranges[RANGES_MAX];
	size_t range_count;
};

static struct tables *tables;

/* ---- asking ---- */

/* What is between two line ends is one character, or it is no answer (0). */
static void read_answers(struct view utf8, uint32_t *codes, size_t count)
{
	struct view one;
	uint32_t code;

	for (size_t i = 0; i < count && view_cut(&utf8, '\n', &one); i++)
		codes[i] = one.len > 0 && utf8_get(one, &code) == one.len ? code : 0;
}

/* Asks for many at once: `count` cells of `width` bytes, a line's end the last of each.
 * codes[i] is 0 where a cell is broken or is not one character. */
static void ask_cells(iconv_t handle, char *cells, size_t width, size_t count, uint32_t *codes)
{
	char utf8[CELLS_MAX * CELL_BYTES_MAX * 3], *from = cells, *to = utf8;
	size_t left = width * count, room = sizeof utf8;

	memset(codes, 0, count * sizeof *codes);
	iconv(handle, NULL, NULL, NULL, NULL);
	while (left > 0 && iconv(handle, &from, &left, &to, &room) == (size_t)-1) {
		size_t broken = (size_t)(from - cells) / width;

		if (errno == E2BIG || room < 2)
			return;
		/* Whatever there is of the cell is no character with this behind it. */
		*to++ = '\xff';
		*to++ = '\n';
		room -= 2;
		iconv(handle, NULL, NULL, NULL, NULL);
		from = cells + (broken + 1) * width;
		left = (count - broken - 1) * width;
	}
	read_answers((struct view){ utf8, (size_t)(to - utf8) }, codes, count);
}

/* A byte alone: its code, 0: it begins something longer, U+FFFD: it is broken. */
static uint32_t ask_byte(iconv_t handle, unsigned char c)
{
	char byte = (char)c, utf8[16], *from = &byte, *to = utf8;
	size_t left = 1, room = sizeof utf8;
	uint32_t code;

	iconv(handle, NULL, NULL, NULL, NULL);
	if (iconv(handle, &from, &left, &to, &room) == (size_t)-1)
		return errno == EINVAL ? 0 : UTF8_REPLACEMENT;
	/* A letter that waits for its mark. */
	iconv(handle, NULL, NULL, &to, &room);
	if (to == utf8 || utf8_get((struct view){ utf8, (size_t)(to - utf8) }, &code) == 0 ||
	    code > UINT16_MAX)
		return UTF8_REPLACEMENT;
	return code;
}

/* ---- single bytes ---- */

static uint32_t byte_code(const struct byte_table *t, unsigned c)
{
	return c < 0x80 ? c : t->high[c - 0x80];
}

/* Unicode's combining marks of Latin, points of Hebrew. */
static bool is_mark(uint32_t code)
{
	return (code >= 0x300 && code <= 0x36f) || (code >= 0x591 && code <= 0x5c7);
}

/* Asks for what `letters`, one and perhaps a mark, and each mark are together (0: nothing); `code`
 * is what the letters alone are. */
static void ask_marks(iconv_t handle, struct byte_table *t, uint32_t code, struct view letters,
                      uint32_t together[128])
{
	char cells[128 * CELL_BYTES_MAX], *cell = cells;
	uint32_t codes[128];
	size_t count = 0;

	for (unsigned m = 0; m < 128; m++) {
		if (!t->mark[m])
			continue;
		memcpy(cell, letters.data, letters.len);
		cell[letters.len] = (char)(m + 0x80);
		cell[letters.len + 1] = '\n';
		cell += letters.len + 2;
		count++;
	}
	ask_cells(handle, cells, letters.len + 2, count, codes);
	count = 0;
	for (unsigned m = 0; m < 128; m++) {
		unsigned char mark = (unsigned char)(m + 0x80);

		together[m] = t->mark[m] ? codes[count++] : 0;
		if (together[m] == 0 || together[m] > UINT16_MAX ||
		    tables->composition_count == COMPOSITIONS_MAX ||
		    byte_table_composed(t, code, mark, letters.len > 1) != 0)
			continue;
		tables->compositions[tables->composition_count++] = (struct composition){
			.first = (uint16_t)code,
			.composed = (uint16_t)together[m],
			.set = t->index,
			.mark = mark,
			.second = letters.len > 1,
		};
	}
}

/* A letter takes a second mark too (shin, with its point and with dagesh). */
static void ask_compositions(iconv_t handle, struct byte_table *t)
{
	for (unsigned m = 0; m < 128; m++)
		t->mark[m] = is_mark(t->high[m]);
	for (unsigned c = 1; c < 256; c++) {
		char letters[2] = { (char)c };
		uint32_t once[128], twice[128];

		if (c == '\n' || byte_code(t, c) == UTF8_REPLACEMENT)
			continue;
		ask_marks(handle, t, byte_code(t, c), (struct view){ letters, 1 }, once);
		for (unsigned m = 0; m < 128; m++) {
			letters[1] = (char)(m + 0x80);
			if (once[m] != 0)
				ask_marks(handle, t, once[m], (struct view){ letters, 2 }, twice);
		}
	}
}

static void make_bytes(size_t set)
{
	struct byte_table *t = &tables->bytes[set];
	iconv_t handle = iconv_open("UTF-8", byte_sets[set]);

	if (handle == (iconv_t)-1)
		return;
	t->index = (unsigned char)set;
	for (unsigned c = 0; c < 128; c++) {
		uint32_t code = ask_byte(handle, (unsigned char)(c + 0x80));

		t->high[c] = code != 0 ? (uint16_t)code : UTF8_REPLACEMENT;
	}
	if (view_equal(view_of(byte_sets[set]), VIEW("windows-1255")) ||
	    view_equal(view_of(byte_sets[set]), VIEW("windows-1258")))
		ask_compositions(handle, t);
	iconv_close(handle);
	t->made = true;
}

/* ---- pairs ---- */

static uint16_t short_code(uint32_t code)
{
	if (code <= UINT16_MAX)
		return (uint16_t)code;
	if (tables->wide_count == WIDE_MAX)
		return 0;
	tables->wide[tables->wide_count] = code;
	return (uint16_t)(WIDE_FIRST + tables->wide_count++);
}

static void fill_row(struct pair_table *t, iconv_t handle, char prefix, unsigned lead)
{
	char cells[PAIR_TRAILS * CELL_BYTES_MAX], *cell = cells;
	uint32_t codes[PAIR_TRAILS];
	uint16_t *row = t->code[lead - PAIR_LEAD_MIN];

	for (unsigned i = 0; i < PAIR_TRAILS; i++) {
		if (prefix)
			*cell++ = prefix;
		*cell++ = (char)lead;
		*cell++ = (char)(PAIR_TRAIL_MIN + i);
		*cell++ = '\n';
	}
	ask_cells(handle, cells, prefix ? 4 : 3, PAIR_TRAILS, codes);
	for (unsigned i = 0; i < PAIR_TRAILS; i++)
		if (row[i] == 0 && codes[i] != 0)
			row[i] = short_code(codes[i]);
}

static bool is_lead(unsigned c)
{
	return c >= PAIR_LEAD_MIN && c <= PAIR_LEAD_MAX;
}

static void fill_pairs(struct pair_table *t, iconv_t handle, char prefix)
{
	for (unsigned c = 0x80; c <= 0xff; c++) {
		uint16_t *alone = &t->high[c - 0x80];

		if (*alone == UTF8_REPLACEMENT) {
			uint32_t code = ask_byte(handle, (unsigned char)c);

			if (code != 0 || is_lead(c))
				*alone = (uint16_t)code;
		}
		if (*alone == 0)
			fill_row(t, handle, prefix, c);
	}
}

static void make_pairs(enum pair_set set)
{
	struct pair_table *t = &tables->pairs[set];

	for (size_t i = 0; i < 128; i++)
		t->high[i] = UTF8_REPLACEMENT;
	for (size_t i = 0; i < NAMES_MAX && pair_sets[set].names[i] != NULL; i++) {
		iconv_t handle = iconv_open("UTF-8", pair_sets[set].names[i]);

		if (handle == (iconv_t)-1)
			continue;
		fill_pairs(t, handle, pair_sets[set].prefix);
		iconv_close(handle);
		t->made = true;
	}
}

/* ---- the four bytes of GB18030 ---- */

/* false: more ranges than there is room for. */
static bool add_range(uint32_t linear, uint32_t code)
{
	const struct range *last =
		tables->range_count > 0 ? &tables->ranges[tables->range_count - 1] : NULL;

	if (code > UINT16_MAX)
		code = 0;
	if (last != NULL &&
	    (code == 0 ? last->code == 0
	               : last->code != 0 && last->code + (linear - last->first) == code))
		return true;
	if (tables->range_count == RANGES_MAX)
		return false;
	tables->ranges[tables->range_count++] = (struct range){ (uint16_t)linear, (uint16_t)code };
	return true;
}

static bool ask_ranges(iconv_t handle)
{
	char cells[GB18030_ROW * CELL_BYTES_MAX];
	uint32_t codes[GB18030_ROW];

	for (uint32_t first = 0; first < GB18030_BASIC_MAX; first += GB18030_ROW) {
		char *cell = cells;

		for (uint32_t i = first; i < first + GB18030_ROW; i++) {
			*cell++ = (char)(0x81 + i / (10 * GB18030_ROW));
			*cell++ = (char)('0' + i / GB18030_ROW % 10);
			*cell++ = (char)(0x81 + i / 10 % (GB18030_ROW / 10));
			*cell++ = (char)('0' + i % 10);
			*cell++ = '\n';
		}
		ask_cells(handle, cells, CELL_BYTES_MAX, GB18030_ROW, codes);
		for (uint32_t i = 0; i < GB18030_ROW && first + i < GB18030_BASIC_MAX; i++)
			if (!add_range(first + i, codes[i]))
				return false;
	}
	return true;
}

static void make_ranges(void)
{
	iconv_t handle = iconv_open("UTF-8", pair_sets[PAIRS_GB18030].names[0]);

	if (handle == (iconv_t)-1)
		return;
	tables->pairs[PAIRS_GB18030].made = ask_ranges(handle);
	iconv_close(handle);
}

/* ---- all ---- */

static void make_all(void)
{
	for (size_t i = 0; i < BYTE_SETS; i++)
		make_bytes(i);
	for (size_t i = 0; i < PAIR_SETS; i++)
		make_pairs((enum pair_set)i);
	make_ranges();
}

void charset_tables_make(void)
{
	void *memory;
	pid_t child;

	if (tables != NULL)
		return;
	memory = mmap(NULL, sizeof *tables, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	if (memory == MAP_FAILED)
		return;
	tables = memory;
	/* By a child: the libraries end with it (glibc keeps some of those that were closed), and
	 * so does what they leave in the heap. */
	child = fork();
	if (child <= 0)
		make_all();
	if (child == 0)
		_exit(0);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	mprotect(memory, sizeof *tables, PROT_READ);
}

static bool is_named(const char *set, struct view name)
{
	static const struct {
		struct view other, usual;
	} fronts[] = { { VIEW("cp"), VIEW("windows-") }, { VIEW("iso8859-"), VIEW("iso-8859-") } };

	if (view_equal_nocase(name, view_of(set)))
		return true;
	for (size_t i = 0; i < sizeof fronts / sizeof fronts[0]; i++)
		if (view_starts_nocase(name, fronts[i].other) &&
		    view_starts(view_of(set), fronts[i].usual) &&
		    view_equal(view_skip(name, fronts[i].other.len),
		               view_skip(view_of(set), fronts[i].usual.len)))
			return true;
	return false;
}

const struct byte_table *byte_table_find(struct view name)
{
	for (size_t i = 0; tables != NULL && i < BYTE_SETS; i++)
		if (tables->bytes[i].made && is_named(byte_sets[i], name))
			return &tables->bytes[i];
	return NULL;
}

uint32_t byte_table_composed(const struct byte_table *t, uint32_t code, unsigned char mark,
                             bool second)
{
	if (mark < 0x80 || !t->mark[mark - 0x80])
		return 0;
	for (size_t i = 0; i < tables->composition_count; i++) {
		const struct composition *c = &tables->compositions[i];

		if (c->set == t->index && c->first == code && c->mark == mark &&
		    c->second == second)
			return c->composed;
	}
	return 0;
}

const struct pair_table *pair_table(enum pair_set set)
{
	return tables != NULL && tables->pairs[set].made ? &tables->pairs[set] : NULL;
}

uint32_t pair_code(const struct pair_table *t, unsigned char lead, unsigned char trail)
{
	uint32_t code;

	if (!is_lead(lead) || trail < PAIR_TRAIL_MIN || trail > PAIR_TRAIL_MAX)
		return 0;
	code = t->code[lead - PAIR_LEAD_MIN][trail - PAIR_TRAIL_MIN];
	return code >= WIDE_FIRST && code < WIDE_FIRST + WIDE_MAX ? tables->wide[code - WIDE_FIRST]
	                                                          : code;
}

uint32_t gb18030_basic_code(uint32_t linear)
{
	size_t low = 0, high = tables->range_count;

	/* The last range that begins at or before it; the first one begins at 0. */
	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (tables->ranges[middle].first <= linear)
			low = middle;
		else
			high = middle;
	}
	if (tables->ranges[low].code == 0)
		return 0;
	return tables->ranges[low].code + (linear - tables->ranges[low].first);
}
