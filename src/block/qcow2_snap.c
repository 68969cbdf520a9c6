/*
 * qcow2_snap.c - the list of snapshots inside a qcow2 image.
 */
#include <string.h>

#include "block/bytes.h"
#include "block/qcow2.h"

#define COUNT_MAX 65536
#define EXTRA_MAX 1024
#define L1_MAX	  (32u << 20) /* bytes */
#define FIXED	  40	      /* bytes of an entry before extra, id, name */

/* One entry at byte `at` of the file; its length, or 0. */
static uint64_t load_one(struct qcow2 *q, uint64_t at)
{
	struct qcow2_snapshot s = {0};
	uint8_t f[FIXED], extra[16] = {0};
	uint32_t id, name, more;

	if (blk_pread(q->lower, f, FIXED, at))
		return 0;
	id = get_be16(f + 12);
	name = get_be16(f + 14);
	more = get_be32(f + 36);
	s.l1_off = get_be64(f);
	s.l1_n = get_be32(f + 8);
	s.date_s = get_be32(f + 16);
	s.state_bytes = get_be32(f + 32);
	s.size = q->blk.size;
	if (more > EXTRA_MAX || s.l1_n > L1_MAX / 8 || s.l1_off % q->cluster ||
		blk_pread(q->lower, extra, MIN(more, 16), at + FIXED))
		return 0;
	if (more >= 8 && get_be64(extra))
		s.state_bytes = get_be64(extra);
	if (more >= 16)
		s.size = get_be64(extra + 8) & ~511ull;
	s.id = g_malloc0(id + 1);
	s.name = g_malloc0(name + 1);
	at += FIXED + more;
	if (s.size > INT64_MAX || blk_pread(q->lower, s.id, id, at) ||
		blk_pread(q->lower, s.name, name, at + id)) {
		g_free(s.id);
		g_free(s.name);
		return 0;
	}
	g_array_append_val(q->snapshots, s);
	return (FIXED + more + id + name + 7) & ~7u;
}

bool qcow2_snapshots_load(struct qcow2 *q)
{
	uint64_t at = q->head.snapshots_off;

	q->snapshots = g_array_new(FALSE, TRUE, sizeof(struct qcow2_snapshot));
	if (q->head.nb_snapshots > COUNT_MAX ||
		(q->head.nb_snapshots && at % q->cluster))
		return false;
	for (uint32_t i = 0; i < q->head.nb_snapshots; i++) {
		uint64_t n = load_one(q, at);
		uint64_t per = (uint64_t)q->cluster << q->l2_bits;
		const struct qcow2_snapshot *s;

		if (!n)
			return false;
		s = &g_array_index(q->snapshots, struct qcow2_snapshot, i);
		if (s->size && (s->size - 1) / per >= s->l1_n)
			return false;
		at += n;
	}
	q->snapshots_bytes = at - q->head.snapshots_off;
	return true;
}

void qcow2_snapshots_free(struct qcow2 *q)
{
	for (guint i = 0; q->snapshots && i < q->snapshots->len; i++) {
		struct qcow2_snapshot *s =
			&g_array_index(q->snapshots, struct qcow2_snapshot, i);

		g_free(s->id);
		g_free(s->name);
	}
	if (q->snapshots)
		g_array_free(q->snapshots, TRUE);
	q->snapshots = NULL;
}

const struct qcow2_snapshot *qcow2_snapshot_find(
	const struct qcow2 *q, const char *name)
{
	for (unsigned by_name = 0; by_name < 2; by_name++)
		for (guint i = 0; i < q->snapshots->len; i++) {
			const struct qcow2_snapshot *s = &g_array_index(
				q->snapshots, struct qcow2_snapshot, i);

			if (!strcmp(by_name ? s->name : s->id, name))
				return s;
		}
	return NULL;
}
