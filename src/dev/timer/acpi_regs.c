/*
 * acpi_regs.c - fixed ACPI hardware (ACPI 6.4, 4.8), as the PIIX4 and the ICH9
 * have it.
 *
 * Intel 82371AB data sheet 290562-001, chapter 7; Intel ICH9 data sheet
 * 316972, 13.8.  Ports 0xb2/0xb3 are the APM control and status; as there is
 * no system management mode, what the SMI handler would do to switch ACPI on
 * and off is done here.
 */
#include "dev/timer/acpi_regs.h"

#include "dev/state.h"
#include "dev/timer/ticks.h"

#define PM_TIMER_HZ 3579545u

#define PM1_TMR	   0x0001
#define PM1_BM	   0x0010
#define PM1_GBL	   0x0020
#define PM1_PWRBTN 0x0100
#define PM1_RTC	   0x0400
#define PM1_RSM	   0x8000
#define PM1_STS_ALL                                                            \
	(PM1_TMR | PM1_BM | PM1_GBL | PM1_PWRBTN | PM1_RTC | PM1_RSM)
#define PM1_EN_ALL     (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_RTC)
#define PM1_SCI_EN     0x0001
#define PM1_SLP_EN     0x2000
#define PM1_CNT_RW     0x1c03
#define PM1_SLP_TYP(v) (((v) >> 10) & 7)

static uint64_t acpi_regs_ticks(const struct acpi_regs *a)
{
	return ticks_of_ns(bus_clock_ns(a->bus), PM_TIMER_HZ);
}

uint32_t acpi_regs_timer(const struct acpi_regs *a)
{
	return acpi_regs_ticks(a) & 0xffffff;
}

/* TMR_STS is set whenever bit 23 of the timer changes. */
static void acpi_regs_look(struct acpi_regs *a)
{
	uint64_t high = acpi_regs_ticks(a) >> 23;

	if (high != a->timer_high)
		a->sts |= PM1_TMR;
	a->timer_high = high;
}

void acpi_regs_update(struct acpi_regs *a)
{
	acpi_regs_look(a);
	if (a->sci)
		bus_irq_set(a->sci, (a->cnt & PM1_SCI_EN) &&
					    ((a->sts & a->en & PM1_EN_ALL) ||
						    (a->gpe_sts & a->gpe_en)));
	if ((a->en & PM1_TMR) && !(a->sts & PM1_TMR))
		bus_timer_arm(&a->overflow,
			ticks_to_ns((a->timer_high + 1) << 23, PM_TIMER_HZ));
	else
		bus_timer_cancel(&a->overflow);
}

static void acpi_regs_overflow(void *opaque)
{
	acpi_regs_update(opaque);
}

void acpi_regs_route(struct acpi_regs *a, const struct bus_irq *sci)
{
	if (a->sci == sci)
		return;
	if (a->sci)
		bus_irq_set(a->sci, false);
	a->sci = sci;
	acpi_regs_update(a);
}

static void acpi_regs_write_cnt(struct acpi_regs *a, uint16_t val)
{
	a->cnt = val & PM1_CNT_RW;
	if ((val & PM1_SLP_EN) && (a->off_types >> PM1_SLP_TYP(val) & 1))
		bus_request(a->bus, BUS_REQ_POWEROFF);
}

uint16_t acpi_regs_get(struct acpi_regs *a, unsigned off)
{
	switch (off) {
	case 0x00: acpi_regs_look(a); return a->sts;
	case 0x02: return a->en;
	case 0x04: return a->cnt;
	case 0x08: return acpi_regs_ticks(a);
	case 0x0a: return acpi_regs_ticks(a) >> 16 & 0xff;
	}
	return 0;
}

void acpi_regs_put(
	struct acpi_regs *a, unsigned off, uint16_t val, uint16_t mask)
{
	switch (off) {
	case 0x00:
		acpi_regs_look(a);
		a->sts &= ~(val & mask & PM1_STS_ALL);
		break;
	case 0x02: a->en = ((a->en & ~mask) | (val & mask)) & PM1_EN_ALL; break;
	case 0x04:
		acpi_regs_write_cnt(a, (a->cnt & ~mask) | (val & mask));
		break;
	}
}

void acpi_regs_power_button(struct acpi_regs *a)
{
	a->sts |= PM1_PWRBTN;
	acpi_regs_update(a);
}

void acpi_regs_gpe(struct acpi_regs *a, unsigned n)
{
	a->gpe_sts |= 1ull << (n & 63);
	acpi_regs_update(a);
}

/* ---- APM ports ---- */

static uint32_t acpi_regs_apm_read(void *opaque, uint16_t port, unsigned size)
{
	struct acpi_regs *a = opaque;

	return port == ACPI_PM_SMI_CMD ? a->apmc : a->apms;
}

static void acpi_regs_apm_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct acpi_regs *a = opaque;

	if (port != ACPI_PM_SMI_CMD) {
		a->apms = val;
		return;
	}
	a->apmc = val;
	if (val == ACPI_PM_ENABLE)
		a->cnt |= PM1_SCI_EN;
	else if (val == ACPI_PM_DISABLE)
		a->cnt &= ~PM1_SCI_EN;
	acpi_regs_update(a);
}

static const struct bus_io_ops acpi_regs_apm_ops = {
	.read = acpi_regs_apm_read,
	.write = acpi_regs_apm_write,
};

/* ---- life ---- */

void acpi_regs_init(struct acpi_regs *a, struct bus *b)
{
	a->bus = b;
	bus_timer_init(&a->overflow, b, acpi_regs_overflow, a);
	bus_io_claim(b, ACPI_PM_SMI_CMD, 2, &acpi_regs_apm_ops, a);
}

void acpi_regs_reset(struct acpi_regs *a)
{
	a->sts = a->en = a->cnt = 0;
	a->gpe_sts = a->gpe_en = 0;
	a->apmc = a->apms = 0;
	a->timer_high = acpi_regs_ticks(a) >> 23;
	acpi_regs_update(a);
}

void acpi_regs_fini(struct acpi_regs *a)
{
	bus_timer_cancel(&a->overflow);
	bus_io_release(a->bus, ACPI_PM_SMI_CMD, 2, a);
}

/* ---- state ---- */

static const struct state_field acpi_regs_fields[] = {
	STATE(struct acpi_regs, sts, .max = PM1_STS_ALL),
	STATE(struct acpi_regs, en, .max = PM1_EN_ALL),
	STATE(struct acpi_regs, cnt, .max = PM1_CNT_RW),
	STATE(struct acpi_regs, gpe_sts),
	STATE(struct acpi_regs, gpe_en),
	STATE(struct acpi_regs, apmc),
	STATE(struct acpi_regs, apms),
	STATE(struct acpi_regs, timer_high),
	STATE_TIMER(struct acpi_regs, overflow),
};

const struct state_list acpi_regs_state =
	STATE_LIST("acpi", struct acpi_regs, 1, acpi_regs_fields);
