/*
 * nictool.c - asks a network driver what ethtool would, inside a guest.
 *
 *	nictool INTERFACE info		driver, link, speed, wired address
 *	nictool INTERFACE test		offline self test: status 0 = passed
 *	nictool INTERFACE stats		the driver's own counters
 *	nictool INTERFACE queues [N]	channels; set them to N
 *	nictool INTERFACE off FEATURE...  turn off gso, tso, sg, rx, tx
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int sock;
static struct ifreq ifr;

static int ask(void *cmd)
{
	ifr.ifr_data = cmd;
	return ioctl(sock, SIOCETHTOOL, &ifr);
}

static unsigned set_size(unsigned set)
{
	struct {
		struct ethtool_sset_info info;
		unsigned n[1];
	} q = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << set}};

	return ask(&q) ? 0 : q.n[0];
}

static struct ethtool_gstrings *names(unsigned set, unsigned n)
{
	struct ethtool_gstrings *s = calloc(1, sizeof(*s) + n * 32);

	s->cmd = ETHTOOL_GSTRINGS;
	s->string_set = set;
	s->len = n;
	ask(s);
	return s;
}

static int info(void)
{
	struct ethtool_drvinfo d = {.cmd = ETHTOOL_GDRVINFO};
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
	struct ethtool_cmd c = {.cmd = ETHTOOL_GSET};
	struct {
		struct ethtool_perm_addr a;
		unsigned char data[32];
	} perm = {.a = {.cmd = ETHTOOL_GPERMADDR, .size = 32}};

	if (ask(&d) == 0)
		printf("driver %s bus %s\n", d.driver, d.bus_info);
	if (ask(&link) == 0)
		printf("link %u\n", link.data);
	if (ask(&c) == 0)
		printf("speed %u duplex %u\n", ethtool_cmd_speed(&c), c.duplex);
	if (ask(&perm) == 0) {
		printf("address ");
		for (unsigned i = 0; i < perm.a.size; i++)
			printf("%s%02x", i ? ":" : "", perm.a.data[i]);
		printf("\n");
	}
	return 0;
}

static int self_test(void)
{
	unsigned n = set_size(ETH_SS_TEST);
	struct ethtool_gstrings *s = names(ETH_SS_TEST, n);
	struct ethtool_test *t = calloc(1, sizeof(*t) + n * 8);

	t->cmd = ETHTOOL_TEST;
	t->flags = ETH_TEST_FL_OFFLINE;
	t->len = n;
	if (ask(t)) {
		perror("self test");
		return 2;
	}
	for (unsigned i = 0; i < n; i++)
		printf("%s: %llu\n", (char *)s->data + i * 32, t->data[i]);
	printf("self test %s\n",
		t->flags & ETH_TEST_FL_FAILED ? "failed" : "passed");
	return !!(t->flags & ETH_TEST_FL_FAILED);
}

static int stats(void)
{
	unsigned n = set_size(ETH_SS_STATS);
	struct ethtool_gstrings *s = names(ETH_SS_STATS, n);
	struct ethtool_stats *t = calloc(1, sizeof(*t) + n * 8);

	t->cmd = ETHTOOL_GSTATS;
	t->n_stats = n;
	if (ask(t))
		return 2;
	for (unsigned i = 0; i < n; i++)
		printf("%s %llu\n", (char *)s->data + i * 32, t->data[i]);
	return 0;
}

static int queues(const char *set)
{
	struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};

	if (ask(&c))
		return 2;
	if (set) {
		c.cmd = ETHTOOL_SCHANNELS;
		c.combined_count = strtoul(set, NULL, 0);
		if (ask(&c))
			return 1;
	}
	printf("queues %u of %u\n", c.combined_count, c.max_combined);
	return 0;
}

static int turn_off(char **feature)
{
	static const struct {
		const char *name;
		unsigned cmd;
	} all[] = {{"gso", ETHTOOL_SGSO}, {"tso", ETHTOOL_STSO},
		{"sg", ETHTOOL_SSG}, {"rx", ETHTOOL_SRXCSUM},
		{"tx", ETHTOOL_STXCSUM}, {"gro", ETHTOOL_SGRO}};
	int rc = 0;

	for (; *feature; feature++)
		for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
			struct ethtool_value v = {.cmd = all[i].cmd};

			if (!strcmp(*feature, all[i].name))
				rc |= ask(&v) != 0;
		}
	return rc;
}

int main(int argc, char **argv)
{
	if (argc < 3 || strlen(argv[1]) >= IFNAMSIZ)
		return 2;
	sock = socket(AF_INET, SOCK_DGRAM, 0);
	strcpy(ifr.ifr_name, argv[1]);
	if (!strcmp(argv[2], "info"))
		return info();
	if (!strcmp(argv[2], "test"))
		return self_test();
	if (!strcmp(argv[2], "stats"))
		return stats();
	if (!strcmp(argv[2], "queues"))
		return queues(argv[3]);
	return !strcmp(argv[2], "off") ? turn_off(argv + 3) : 2;
}
