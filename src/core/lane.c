/*
 * lane.c - hashing companies into lanes.
 */
#include "lane.h"

static uint64_t fnv1a(const char *text)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *text != '\0'; text++) {
		h ^= (unsigned char)*text;
		h *= UINT64_C(0x100000001b3);
	}
	return h;
}

static uint64_t mix(uint64_t h)
{
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	h ^= h >> 33;
	return h;
}

uint32_t te_lane_of(const char *company_id, uint32_t lane_count)
{
	return lane_count > 1 ? (uint32_t)(mix(fnv1a(company_id)) % lane_count) : 0;
}
