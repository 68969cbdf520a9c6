/*
 * verbs.c - the verb table.
 *
 * check-style: table
 */
#include "cli/verb.h"

#include <string.h>

static const char *const run_examples[] = {
	"vmeste run --kernel vmlinuz --initrd initrd.gz --append console=ttyS0",
	"Boot a Linux kernel; its serial console is this terminal",
	"vmeste run --mem 2G --cpus 4 --disk debian.qcow2 --nic user",
	"Boot a disk with four processors and network",
	"vmeste run --disk web.img,snapshot --nic user,forward=tcp:8080:80",
	"Throw changes away at exit; reach the guest's port 80 on 8080",
	"vmeste run --engine interp --kernel memtest.bin --timeout 10m",
	"Use the reference interpreter and give up after ten minutes", NULL};
static const char *const create_examples[] = {
	"vmeste create web --mem 1G --disk 20G --cdrom debian.iso --nic user",
	"A machine with a disk of 20G in its folder; vmeste start web runs it",
	"vmeste create old --disk /var/vm/old.vhd,format=vhd,bus=ide",
	"Around an image that stays where it is", NULL};
static const char *const start_examples[] = {"vmeste start web",
	"Boot it in the background", "vmeste start web && vmeste console web",
	"And look at its console", NULL};
static const char *const restart_examples[] = {"vmeste restart web",
	"Let the guest shut down, then boot it with its settings of now",
	"vmeste restart --now web", "Without asking the guest", NULL};
static const char *const console_examples[] = {"vmeste console web",
	"The first serial port in this terminal; Ctrl-A x leaves",
	"echo uptime | vmeste console web", "Type for a script", NULL};
static const char *const vsock_examples[] = {"vmeste vsock web 1024",
	"Talk with who listens at that port of the guest",
	"tar c . | vmeste vsock web 9000", "Send it something",
	"vmeste vsock --listen web 5000 >log",
	"Wait for a program of the guest's that connects to the host", NULL};
static const char *const show_examples[] = {"vmeste show web",
	"State, folder and settings", "vmeste show -o json web | jq .state",
	"For a program", NULL};
static const char *const edit_examples[] = {"vmeste edit web",
	"machine.xml in $EDITOR; kept if it makes a machine",
	"EDITOR=nano vmeste edit web", "In an editor of one's choice", NULL};
static const char *const rm_examples[] = {"vmeste rm web",
	"After a question, the machine is gone with its disks",
	"vmeste rm --yes web", "In a script", NULL};
static const char *const rename_examples[] = {"vmeste rename web www",
	"Its folder is called so, too",
	"vmeste stop web && vmeste rename web www", "It must not run", NULL};
static const char *const doctor_examples[] = {"vmeste doctor",
	"What this host can do, and how to mend what it cannot",
	"vmeste doctor -o json", "The same for a program", NULL};
static const char *const ls_examples[] = {"vmeste ls",
	"Names, states and engines", "vmeste ls -o name",
	"Only the names, for a script", NULL};
static const char *const stat_examples[] = {"vmeste stat web",
	"Exits by cause, translated code, where time goes",
	"vmeste stat web --watch", "Each second what was counted in it",
	"vmeste stat web -o json | jq '.counters'", "For a program", NULL};
static const char *const set_examples[] = {"vmeste set web engine=interp",
	"Let the reference interpreter go on with the guest",
	"vmeste set web engine=bt", "And the translator again",
	"vmeste set game cpu-limit=5%",
	"Let its processors run a twentieth of the time",
	"vmeste set web balloon=512M",
	"Let the host have what is more than 512 MiB of its memory",
	"vmeste set web disk0.bps=20M", "Leave something of the disk to others",
	NULL};
static const char *const dump_examples[] = {"vmeste dump web web.core",
	"All memory and registers, by physical address",
	"vmeste dump --virtual web k.core && gdb vmlinux k.core",
	"At the kernel's own addresses, with its symbols", NULL};
static const char *const trace_examples[] = {"vmeste trace web",
	"Interrupts, exceptions and accesses to devices of one second",
	"vmeste trace --insns --for 10ms web | tail -1000",
	"The instructions that it is at", NULL};
static const char *const insert_examples[] = {"vmeste insert web cd0 tools.iso",
	"Put a disc into the first CD drive",
	"vmeste insert dos floppy0 disk2.img", "Change the floppy", NULL};
static const char *const eject_examples[] = {"vmeste eject web cd0",
	"Press the eject button of the first CD drive",
	"vmeste eject --force web cd0", "Take a paper clip", NULL};
static const char *const attach_examples[] = {"vmeste attach web stick.img",
	"Plug in a USB stick", "vmeste attach --cdrom web tools.iso",
	"A USB drive with a CD", "vmeste attach web keyboard", "A USB keyboard",
	NULL};
static const char *const detach_examples[] = {
	"vmeste detach web disk1", "Pull it out", NULL};
static const char *const fork_examples[] = {"vmeste fork web",
	"a copy called web-1", "vmeste fork web try1 try2", "two, with names",
	"vmeste fork web --count 10", "ten: web-1 to web-10", NULL};

static const char *const save_examples[] = {"vmeste save web web.state",
	"All of it into a file; then it ends", "vmeste run --state web.state",
	"And goes on where it was", "vmeste save --running web web.state",
	"It hardly notices", NULL};
static const char *const snap_examples[] = {"vmeste snap web",
	"All of it, by the name of Snapshot 1",
	"vmeste snap web 'before SP1' --note 'clean, 3 users'",
	"With a name and what there is to say", NULL};
static const char *const snaps_examples[] = {"vmeste snaps web",
	"Names, times, sizes", "vmeste snaps -o json web", "For a program",
	NULL};
static const char *const snaps_rm_examples[] = {
	"vmeste snaps rm web 'before SP1'",
	"Others keep what they had of its disks",
	"vmeste snaps rm --children web@experiments",
	"With all that was taken after it", NULL};
static const char *const snaps_merge_examples[] = {"vmeste snaps merge web",
	"What was cancelled, or in use",
	"vmeste stop web && vmeste snaps merge web",
	"With the image that it wrote to", NULL};
static const char *const tree_examples[] = {"vmeste tree web",
	"What came of what, and where the machine is now",
	"vmeste tree web | less", "A large one", NULL};
static const char *const back_examples[] = {"vmeste back web 'before SP1'",
	"The machine is again what it was; what was not snapped is lost",
	"vmeste snap web oops && vmeste back web@clean",
	"Keep what there is, then go back", NULL};
static const char *const copy_examples[] = {"vmeste copy web web2",
	"A machine of its own, with all its disks",
	"vmeste copy --linked web@clean test",
	"Beside a snapshot: no time, and room for what differs only", NULL};
static const char *const diff_examples[] = {"vmeste diff web clean",
	"Between that snapshot and now", "vmeste diff web clean 'after SP1'",
	"Between two", NULL};
static const char *const stop_examples[] = {"vmeste stop web",
	"Press the power button and wait until the guest has powered off",
	"vmeste stop --now web", "Pull the plug", NULL};
static const char *const pause_examples[] = {"vmeste pause web",
	"The guest stands still, its clocks too", "vmeste resume web",
	"And goes on", NULL};
static const char *const resume_examples[] = {"vmeste resume web",
	"Go on after vmeste pause",
	"vmeste pause web && sleep 60 && vmeste resume web",
	"A minute that the guest does not notice", NULL};
static const char *const reset_examples[] = {"vmeste reset web",
	"Press the reset button", "vmeste ls -o name | xargs -n1 vmeste reset",
	"Of all machines", NULL};
static const char *const nmi_examples[] = {"vmeste nmi web",
	"Linux prints where its processors are, or panics and dumps itself, as "
	"it is set to",
	NULL};
static const char *const screenshot_examples[] = {
	"vmeste screenshot web web.png", "What its monitor would show",
	"while sleep 1; do vmeste screenshot web web.png; done",
	"Again each second", NULL};
static const char *const type_examples[] = {"vmeste type --enter web root",
	"The name at a login prompt",
	"vmeste wait web --text login: && vmeste type --enter web root",
	"When the prompt is there", NULL};
static const char *const key_examples[] = {"vmeste key web ctrl-alt-del",
	"Three keys at once", "vmeste key web down down ret",
	"One after the other: choose from a menu", NULL};
static const char *const wait_examples[] = {
	"vmeste wait web --text 'login:' --timeout 60s",
	"Until a screen of text shows a prompt",
	"vmeste wait web --text 'GNU GRUB' && vmeste key web ret",
	"Boot the first entry at once", NULL};
static const char *const mouse_examples[] = {"vmeste mouse web 320 200 click",
	"Move there and click", "vmeste mouse web 10 10 press 90 90 release",
	"Drag", NULL};
static const char *const disk_create_examples[] = {"vmeste disk create xp.vhd",
	"A dynamic VHD of 127 GB, which takes no room yet",
	"vmeste disk create --backing xp.vhd clone.vhd",
	"A linked clone: only what differs is written to it",
	"vmeste disk create --backing xp.vhd --count 100 clone.vhd",
	"A hundred of them: clone-1.vhd to clone-100.vhd", NULL};
static const char *const disk_info_examples[] = {"vmeste disk info xp.vhd",
	"Format, sizes, backing file, snapshots inside",
	"vmeste disk info -o json xp.vhd", "The same for a program", NULL};
static const char *const disk_map_examples[] = {"vmeste disk map clone.qcow2",
	"Which stretches are data, and in which file of the chain",
	"vmeste disk map -o json clone.qcow2", "The same for a program", NULL};
static const char *const disk_check_examples[] = {"vmeste disk check xp.vdi",
	"Are its tables sound?", "vmeste disk check --repair xp.qcow2",
	"Mend them; nothing else may use the image meanwhile", NULL};
static const char *const disk_compare_examples[] = {
	"vmeste disk compare xp.vhd xp.qcow2", "Do both show the same disk?",
	"vmeste disk compare a.img b.img && echo same", "In a script", NULL};
static const char *const disk_convert_examples[] = {
	"vmeste disk convert xp.vhd xp.qcow2",
	"The same disk in another format",
	"vmeste disk convert -c big.raw small.qcow2", "Compressed",
	"vmeste disk convert --kind stream xp.vdi xp.vmdk",
	"As OVA files have it", NULL};
static const char *const disk_compact_examples[] = {
	"vmeste disk compact xp.vhd", "Without the blocks that are all zeros",
	"vmeste disk compact -q xp.vdi", "Without a progress bar", NULL};
static const char *const disk_resize_examples[] = {
	"vmeste disk resize xp.vhd 200G", "Let the disk be that large",
	"vmeste disk resize xp.qcow2 +10G", "Or larger by so much", NULL};
static const char *const disk_rebase_examples[] = {
	"vmeste disk rebase --backing new.qcow2 clone.qcow2",
	"Stand on another image, showing the same as before",
	"vmeste disk rebase clone.qcow2",
	"Stand on none: take over all that shone through",
	"vmeste disk rebase --unsafe --backing moved.vhd clone.vhd",
	"The backing file has another name now", NULL};
static const char *const disk_mount_examples[] = {
	"mkdir m && vmeste disk mount xp.vhd m && ls -l m",
	"The disk and its partitions as files",
	"vmeste disk mount --rw data.qcow2 m && debugfs -w m/part1",
	"Change a file system without root",
	"sudo mount -o loop,ro m/part1 /mnt",
	"Let the host's kernel read it (mount with --allow-other)", NULL};
static const char *const disk_unmount_examples[] = {"vmeste disk unmount m",
	"All is written when it returns",
	"vmeste disk unmount m && vmeste disk check data.qcow2",
	"The image is free again", NULL};
static const char *const disk_serve_examples[] = {
	"vmeste disk serve --socket xp.sock xp.vhd",
	"Prints its address, and serves until Ctrl-C",
	"vmeste disk serve --port 10809 --readonly xp.vhd & "
	"nbdcopy nbd://127.0.0.1 xp.raw",
	"By TCP, for programs of this host", NULL};
static const char *const version_examples[] = {"vmeste version",
	"Print the version", "vmeste version | cut -d' ' -f2",
	"Only the number", NULL};
static const char *const help_examples[] = {"vmeste help run",
	"Flags and examples of one verb",
	"vmeste help --man run > vmeste-run.1", "The same as a man page",
	"vmeste help os -o json", "Guest systems and what hardware they get",
	NULL};
static const char *const completion_examples[] = {
	"source <(vmeste completion bash)", "Complete in this shell",
	"vmeste completion fish > ~/.config/fish/completions/vmeste.fish",
	"Complete in every fish from now on", NULL};

/* clang-format off */
const struct cli_verb cli_verbs[] = {
	{
		.name = "run",
		.args = "[FLAGS] [NAME]",
		.summary = "start a machine and attach to it",
		.text = "Starts a transient machine, gone at exit, from "
			"--kernel, --disk, --cdrom or --floppy. With NAME, the "
			"machine that vmeste create has made: flags are for "
			"this run only; if there is none of that name, it is "
			"made with them.\n"
			"With --serial stdio (the default) standard output "
			"carries exactly the guest's bytes; everything else "
			"goes to standard error. On a terminal, Ctrl-A x "
			"leaves, Ctrl-A c opens a small monitor, Ctrl-A Ctrl-A "
			"sends a Ctrl-A.\n"
			"Sizes are written 512M or 2G, times 60s or 10m. The "
			"exit status is 0 if the guest powered off.",
		.flags = cli_run_flags,
		.first = "os",
		.examples = run_examples,
		.new_ctx = cli_run_new,
		.free_ctx = cli_run_free,
		.positional = cli_run_positional,
		.flag = cli_run_flag,
		.run = cli_run,
	},
	{
		.name = "create",
		.args = "[FLAGS] NAME",
		.summary = "make a machine that stays",
		.text = "Makes a folder with the machine's settings, which are the flags of vmeste run but those of a single run. --disk SIZE makes a new disk of that size in the folder. docs/machines.md tells what is in it.",
		.flags = cli_run_flags,
		.flags_of = "run",
		.examples = create_examples,
		.new_ctx = cli_create_new,
		.free_ctx = cli_create_free,
		.positional = cli_create_positional,
		.flag = cli_create_flag,
		.run = cli_create,
	},
	{
		.name = "start",
		.args = "[FLAGS] NAME",
		.summary = "run a machine in the background",
		.text = "Boots a machine that has a folder, or lets it go on if it was saved, and returns when its guest runs. Its first serial port is vmeste console, unless its settings say otherwise. What it has to say goes to logs/vmeste.log in its folder.",
		.flags = cli_start_flags,
		.examples = start_examples,
		.new_ctx = cli_stored_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_start,
	},
	{
		.name = "restart",
		.args = "[--now] NAME",
		.summary = "stop a machine and start it again",
		.text = "As vmeste stop and vmeste start, so changed settings count. A machine that does not run is started.",
		.flags = cli_stop_flags,
		.examples = restart_examples,
		.new_ctx = cli_running_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_restart,
	},
	{
		.name = "console",
		.args = "NAME",
		.summary = "use the serial port of a machine in the background",
		.text = "Connects this terminal with the first serial port of a machine that vmeste start runs. Ctrl-A x leaves, Ctrl-A Ctrl-A sends a Ctrl-A. One at a time may use it.",
		.examples = console_examples,
		.new_ctx = cli_console_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_console,
	},
	{
		.name = "vsock",
		.args = "[--listen] NAME PORT",
		.summary = "join standard input and output to a socket of the guest",
		.text = "Connects to a port (AF_VSOCK) at which a program of the guest listens, and carries bytes both ways until the guest closes its end; the end of standard input is passed on. The machine needs --vsock. Other programs can do the same by its Unix socket: docs/vsock.md.",
		.flags = cli_vsock_flags,
		.examples = vsock_examples,
		.new_ctx = cli_vsock_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_vsock,
	},
	{
		.name = "show",
		.args = "[FLAGS] NAME",
		.summary = "show a machine's settings and state",
		.text = "Shows the settings of a machine that has a folder, whether it runs, and how it ended last.",
		.flags = cli_show_flags,
		.examples = show_examples,
		.new_ctx = cli_stored_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_show,
	},
	{
		.name = "edit",
		.args = "NAME",
		.summary = "change a machine's settings in an editor",
		.text = "Opens a copy of machine.xml in $VISUAL or $EDITOR (else vi) and keeps it if it makes a machine. It counts from the next start.",
		.examples = edit_examples,
		.new_ctx = cli_stored_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_edit,
	},
	{
		.name = "rename",
		.args = "NAME NEWNAME",
		.summary = "give a machine another name",
		.text = "Renames the folder and what machine.xml says. The machine must not run.",
		.examples = rename_examples,
		.new_ctx = cli_stored_new2,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_rename,
	},
	{
		.name = "rm",
		.args = "[--yes] NAME",
		.summary = "remove a machine with its disks",
		.text = "Removes the folder of a machine and all that is in it; images elsewhere stay. The machine must not run.",
		.flags = cli_rm_flags,
		.examples = rm_examples,
		.new_ctx = cli_stored_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_rm,
	},
	{
		.name = "ls",
		.args = "[FLAGS]",
		.summary = "list machines",
		.text = "Lists the machines of this user: those that have a folder (vmeste create) and those that run and have a name (vmeste run --name). A machine whose process was killed is crashed; one whose settings cannot be used is broken.",
		.flags = cli_ls_flags,
		.examples = ls_examples,
		.new_ctx = cli_ls_new,
		.free_ctx = g_free,
		.run = cli_ls,
	},
	{
		.name = "stat",
		.args = "[FLAGS] NAME",
		.summary = "count what a running machine does",
		.text = "Shows the counters of a running machine: exits by cause, exceptions, TLB misses, instructions by operation that were interpreted, translated code and its cache, and the share of time that processors spend in guest code, in the engine (emulation, translation, devices) and outside (halted or stopped), sampled meanwhile. With a memory balloon (vmeste run --balloon) also how much memory the guest has, and what it says of it.",
		.flags = cli_stat_flags,
		.examples = stat_examples,
		.new_ctx = cli_stat_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_stat,
	},
	{
		.name = "dump",
		.args = "[--virtual] NAME FILE",
		.summary = "write the memory of a running machine to a file",
		.text = "Writes an ELF core file that gdb opens: the registers of each processor (threads), and RAM. The guest stands still meanwhile. Pages of zeroes take no room. FILE is replaced only when all is written.",
		.flags = cli_dump_flags,
		.examples = dump_examples,
		.new_ctx = cli_dump_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_dump,
	},
	{
		.name = "trace",
		.args = "[FLAGS] NAME",
		.summary = "show what the processors of a running machine do",
		.text = "Records for a while and prints, in the order of time: ticks of the host's TSC since the first line, processor and privilege level, instruction pointer, event. Events are interrupts, exceptions, writes of control registers, MSRs, CPUID, HLT, ports and memory-mapped devices. A machine started with --trace prints what it has recorded.",
		.flags = cli_trace_flags,
		.examples = trace_examples,
		.new_ctx = cli_trace_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_trace,
	},
	{
		.name = "set",
		.args = "NAME KEY=VALUE",
		.summary = "change a machine",
		.text = "KEY is a flag of vmeste run that may be given once; a machine with a folder keeps the value, and an empty one is the default. It counts from the next start. Of a running machine these change at once: engine=bt, engine=interp or engine=kvm makes another engine go on with the guest, which does not notice. For engine=kvm, and from it, the machine must have been started with --engine E,change=on.\n"
			"mem=SIZE asks the guest of a machine that was started "
			"with --mem SIZE,max=SIZE for more or less memory, "
			"between these; docs/machines.md says what the guest "
			"needs for it, vmeste ls how much it has.\n"
			"cpu-limit=SHARE gives each processor so much of the "
			"time, cpu-limit=off all of it.\n"
			"balloon=SIZE is how much of its memory the guest may "
			"keep, balloon=on all of it: the rest goes back to the "
			"host as soon as the guest has freed it. vmeste stat "
			"says how far it is.\n"
			"disk0.iops=N and disk0.bps=SIZE are the most requests "
			"and bytes that a drive (disk0, cd0, floppy0) may do "
			"in a second, or off; disk0.burst=TIME for how long "
			"what it did not do may be made up for.\n"
			"joystick=X,Y or joystick=X,Y,BUTTONS moves the stick "
			"of a machine with --gameport on: 0 to 255, the middle "
			"is 128; buttons 1 to 4 are bits of a number.",
		.examples = set_examples,
		.new_ctx = cli_running_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_set,
	},
	{
		.name = "insert",
		.args = "[--force] NAME DRIVE FILE",
		.summary = "put a disc into a drive of a running machine",
		.text = "DRIVE is cd0, cd1, floppy0 or floppy1, in the "
			"order of the flags of vmeste run. FILE takes the "
			"options format=raw|qcow2|... and readonly. What was in "
			"the drive comes out. A guest that uses the disc has "
			"the drive locked: it is asked to let it go, and "
			"status is 4.",
		.flags = cli_media_flags,
		.examples = insert_examples,
		.new_ctx = cli_media_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_insert,
	},
	{
		.name = "eject",
		.args = "[--force] NAME DRIVE",
		.summary = "take the disc out of a drive of a running machine",
		.text = "Presses the eject button of the drive. A guest that "
			"uses the disc has the drive locked: it is asked to "
			"let it go, and status is 4; --force takes the disc "
			"away at once.",
		.flags = cli_media_flags,
		.examples = eject_examples,
		.new_ctx = cli_media_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_eject,
	},
	{
		.name = "attach",
		.args = "[--cdrom] NAME FILE|keyboard|mouse|tablet",
		.summary = "plug a device into a running machine",
		.text = "FILE is the image of a disk, or of a CD with "
			"--cdrom, and takes the options format=, readonly, "
			"serial= and bus=usb0, usb1, ... (the controller; "
			"else where it is fastest). Prints what the device "
			"is called. The machine needs a USB controller: "
			"--usb. With bus=virtio a disk goes into one of the "
			"four slots that the board q35 has for them.",
		.flags = cli_attach_flags,
		.examples = attach_examples,
		.new_ctx = cli_media_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_attach,
	},
	{
		.name = "detach",
		.args = "NAME DEVICE",
		.summary = "pull a device out of a running machine",
		.text = "DEVICE is disk1, cd0, ... as vmeste attach printed "
			"it, or in the order of the flags of vmeste run; "
			"keyboard, mouse or tablet. A USB device is gone at "
			"once: tell the guest before. A disk in a slot is "
			"gone when the guest has let go of it, which takes "
			"Linux five seconds.",
		.examples = detach_examples,
		.new_ctx = cli_media_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_detach,
	},
	{
		.name = "stop",
		.args = "[--now] NAME",
		.summary = "power a running machine off",
		.text = "Presses the power button and waits until the guest has powered off, which it may refuse; --now ends the machine at once, as if the plug were pulled.",
		.flags = cli_stop_flags,
		.examples = stop_examples,
		.new_ctx = cli_running_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_stop,
	},
	{
		.name = "pause",
		.args = "NAME",
		.summary = "let a running machine stand still",
		.text = "Stops all processors and the clocks of the guest until vmeste resume.",
		.examples = pause_examples,
		.new_ctx = cli_running_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_pause,
	},
	{
		.name = "resume",
		.args = "NAME",
		.summary = "let a paused machine go on",
		.text = "Ends vmeste pause; the clocks of the guest go on where they stopped. A machine that vmeste save has put into its folder is started, and goes on.",
		.examples = resume_examples,
		.new_ctx = cli_running_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_resume,
	},
	{
		.name = "reset",
		.args = "NAME",
		.summary = "reset a running machine",
		.text = "Presses the reset button: the guest starts anew without saving anything.",
		.examples = reset_examples,
		.new_ctx = cli_running_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_reset,
	},
	{
		.name = "nmi",
		.args = "NAME",
		.summary = "send a running machine a non-maskable interrupt",
		.text = "As the diagnostic button of a server does. What the guest makes of it is its own affair; it may hold such interrupts back.",
		.examples = nmi_examples,
		.new_ctx = cli_running_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_nmi,
	},
	{
		.name = "save",
		.args = "[FLAGS] NAME [FILE]",
		.summary = "write a running machine into a file and end it",
		.flags = cli_save_flags,
		.text = "Without FILE, a machine that has a folder keeps the state there, and vmeste start goes on from it. The file has its memory, processors, devices and settings; vmeste run --state FILE goes on from there, with the same disks. The guest's clock catches up with the time that has passed. Whoever can write the file decides what the machine does: keep it as you keep its disks.",
		.examples = save_examples,
		.new_ctx = cli_save_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_save,
	},
	{
		.name = "snap",
		.args = "[FLAGS] NAME [SNAPSHOT]",
		.summary = "take a snapshot of a machine",
		.text = "Keeps what the machine is at this moment: disks, settings, UEFI's variables and, if it runs or is saved, its memory and devices. It goes on; it stands for a moment only. Without a name it is called Snapshot 1, 2, and so on. docs/snapshots.md tells more.",
		.flags = cli_snap_flags,
		.examples = snap_examples,
		.new_ctx = cli_snap_new,
		.free_ctx = cli_snap_free,
		.positional = cli_words_positional,
		.run = cli_snap,
	},
	{
		.name = "snaps",
		.args = "[FLAGS] NAME",
		.summary = "list the snapshots of a machine",
		.text = "Parents come before what was taken after them. SIZE is what the snapshot's own files take up on the host. (current): what the machine of now comes of.",
		.flags = cli_snaps_flags,
		.examples = snaps_examples,
		.new_ctx = cli_snaps_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_snaps,
	},
	{
		.name = "snaps rm",
		.args = "[FLAGS] NAME SNAPSHOT",
		.summary = "delete a snapshot",
		.text = "What was taken after it stays as it is: its disks become part of those, also while the machine runs, which stands for some milliseconds then.",
		.flags = cli_snaps_rm_flags,
		.examples = snaps_rm_examples,
		.new_ctx = cli_snaps_rm_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_snaps_rm,
	},
	{
		.name = "snaps merge",
		.args = "NAME",
		.summary = "merge images that no snapshot needs",
		.text = "Makes images that are left of deleted snapshots part of those beside them, which takes room back and makes the disks faster. vmeste snaps rm does so itself; this is for what was cancelled, was in use by others, or waits until the machine is off.",
		.examples = snaps_merge_examples,
		.new_ctx = cli_stored_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_snaps_merge,
	},
	{
		.name = "tree",
		.args = "NAME",
		.summary = "draw the snapshots of a machine",
		.text = "What was taken after what, how much memory was kept, and where the machine of now stands, with how much was written since.",
		.examples = tree_examples,
		.new_ctx = cli_snaps_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_tree,
	},
	{
		.name = "back",
		.args = "[FLAGS] NAME SNAPSHOT",
		.summary = "go back to a snapshot",
		.text = "The machine is again what it was: disks, settings, UEFI's variables, memory. What it was until now is lost unless there is a snapshot of it. One that ran runs on from there, one that was paused stands there; one that did not run is saved then, and vmeste start goes on.",
		.flags = cli_back_flags,
		.examples = back_examples,
		.new_ctx = cli_back_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_back,
	},
	{
		.name = "copy",
		.args = "[--linked] NAME[@SNAPSHOT] NEW",
		.summary = "make a machine out of another",
		.text = "Settings, UEFI's variables and disks, not memory: it is off. Hardware addresses that were stated are left out. Each disk becomes one image; with --linked it is an empty one on top of the snapshot's, which both machines have then, whatever becomes of the other.",
		.flags = cli_copy_flags,
		.examples = copy_examples,
		.new_ctx = cli_copy_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_copy,
	},
	{
		.name = "diff",
		.args = "[FLAGS] NAME SNAPSHOT [SNAPSHOT]",
		.summary = "show in what two states of a machine differ",
		.text = "Settings, blocks of disks and pages of memory. Without a second snapshot, or with current, the machine as it is now; its disks can be read while it is off only.",
		.flags = cli_diff_flags,
		.examples = diff_examples,
		.new_ctx = cli_diff_new,
		.free_ctx = cli_words_free,
		.positional = cli_words_positional,
		.run = cli_diff,
	},
	{
		.name = "fork",
		.args = "[FLAGS] NAME [NEW...]",
		.summary = "let copies of a running machine go on beside it",
		.flags = cli_fork_flags,
		.text = "Each copy is a machine of its own, in a folder of its own if NAME has one, that begins where NAME is now. Memory is shared until somebody changes it, and so are disks. A copy has other network addresses, its own NAT without forwarded ports, and another generation id, by which guests that know it make themselves new random numbers. The names of the copies are printed.",
		.examples = fork_examples,
		.new_ctx = cli_fork_new,
		.free_ctx = cli_fork_free,
		.positional = cli_fork_positional,
		.run = cli_fork,
	},
	{
		.name = "screenshot",
		.args = "NAME FILE",
		.summary = "save what a running machine's screen shows",
		.text = "Writes a PNG picture of what a monitor would show.",
		.examples = screenshot_examples,
		.new_ctx = cli_screen_new,
		.free_ctx = cli_screen_free,
		.positional = cli_screen_positional,
		.run = cli_screenshot,
	},
	{
		.name = "type",
		.args = "[FLAGS] NAME TEXT...",
		.summary = "type text on a running machine's keyboard",
		.text = "Presses the keys that give the text on a US keyboard, each when the guest has read the one before, and returns when it has read the last. A line end in the text is Enter.",
		.flags = cli_type_flags,
		.examples = type_examples,
		.new_ctx = cli_screen_new,
		.free_ctx = cli_screen_free,
		.positional = cli_screen_positional,
		.run = cli_type,
	},
	{
		.name = "key",
		.args = "[FLAGS] NAME KEY...",
		.summary = "press keys of a running machine's keyboard",
		.text = "Keys joined by - are held together. They are named by what a US keyboard has there: letters, digits and signs; ret, esc, tab, spc, backspace, minus, up, down, left, right, home, end, pgup, pgdn, insert, delete, f1 to f12, print, pause, scroll, caps, num, menu, less; shift, ctrl, alt, meta and on the right shift_r, ctrl_r, alt_r, meta_r; kp_0 to kp_9, kp_enter, kp_add, kp_subtract, kp_multiply, kp_divide, kp_decimal.",
		.flags = cli_key_flags,
		.examples = key_examples,
		.new_ctx = cli_screen_new,
		.free_ctx = cli_screen_free,
		.positional = cli_screen_positional,
		.run = cli_key,
	},
	{
		.name = "wait",
		.args = "[FLAGS] NAME",
		.summary = "wait until a running machine's screen shows a text",
		.text = "Reads text modes directly, and pictures by looking for the 8x16 font of the display card's BIOS, which Linux consoles use too, or that of UEFI. Waits up to 5 seconds for the machine, too. Exits 0 when the text is there, 6 if it was not in time.",
		.flags = cli_wait_flags,
		.examples = wait_examples,
		.new_ctx = cli_screen_new,
		.free_ctx = cli_screen_free,
		.positional = cli_screen_positional,
		.run = cli_wait,
	},
	{
		.name = "mouse",
		.args = "NAME [X Y] [ACTION]...",
		.summary = "move and click a running machine's mouse",
		.text = "X and Y are pixels of the screen from its upper left corner. Actions, in order: click, double, right, middle, press, release, up, down (the wheel). A PS/2 mouse tells the guest how far it moved only: where the guest accelerates it, the pointer goes elsewhere. With --pointer tablet it goes there.",
		.examples = mouse_examples,
		.new_ctx = cli_screen_new,
		.free_ctx = cli_screen_free,
		.positional = cli_screen_positional,
		.run = cli_mouse,
	},
	{
		.name = "disk create",
		.args = "[FLAGS] FILE [SIZE]",
		.summary = "make a disk image",
		.text = "The format is what FILE ends with: .vhd, .vhdx, .vdi, .vmdk, .qcow2, or raw. SIZE is written 20G; a VHD that states none has 127 GB. With --backing the new image shows what that one shows and takes up what is written; its name is stored as given, relative to the new image.",
		.flags = cli_disk_create_flags,
		.examples = disk_create_examples,
		.new_ctx = cli_disk_new_2,
		.free_ctx = cli_disk_ctx_free,
		.positional = cli_words_positional,
		.run = cli_disk_create,
	},
	{
		.name = "disk info",
		.args = "[FLAGS] FILE",
		.summary = "tell what a disk image is",
		.text = "Looks at the file itself, not at its backing files. Without --format the format is guessed from the file's bytes, for the eye only: machines and all other verbs go by the name or what is stated.",
		.flags = cli_disk_info_flags,
		.examples = disk_info_examples,
		.new_ctx = cli_disk_new_1,
		.free_ctx = cli_disk_ctx_free,
		.positional = cli_words_positional,
		.run = cli_disk_info,
	},
	{
		.name = "disk map",
		.args = "[FLAGS] FILE",
		.summary = "list which parts of a disk image hold data",
		.text = "One line per stretch: start and length, how many backing files down it lies (0: in FILE), and where in that file.",
		.flags = cli_disk_map_flags,
		.examples = disk_map_examples,
		.new_ctx = cli_disk_new_1,
		.free_ctx = cli_disk_ctx_free,
		.positional = cli_words_positional,
		.run = cli_disk_map,
	},
	{
		.name = "disk check",
		.args = "[--repair] FILE",
		.summary = "check a disk image's tables and mend them",
		.text = "Errors can cost data and exit with status 1; blocks that nothing uses only cost room. --repair mends both. What a power cut leaves is room at worst.",
		.flags = cli_disk_check_flags,
		.examples = disk_check_examples,
		.new_ctx = cli_disk_new_1,
		.free_ctx = cli_disk_ctx_free,
		.positional = cli_words_positional,
		.run = cli_disk_check,
	},
	{
		.name = "disk compare",
		.args = "[FLAGS] FILE FILE",
		.summary = "compare what two disk images show",
		.text = "Status 1 and the first byte that differs, if one does. A longer disk is the same if its further bytes are zeros.",
		.flags = cli_disk_compare_flags,
		.examples = disk_compare_examples,
		.new_ctx = cli_disk_new_2,
		.free_ctx = cli_disk_ctx_free,
		.positional = cli_words_positional,
		.run = cli_disk_compare,
	},
	{
		.name = "disk convert",
		.args = "[FLAGS] SOURCE FILE",
		.summary = "copy a disk image into another format",
		.text = "Reads through the source's backing files and leaves zeros out. FILE has its name only when all is done; what is broken off leaves nothing.",
		.flags = cli_disk_convert_flags,
		.examples = disk_convert_examples,
		.new_ctx = cli_disk_new_2,
		.free_ctx = cli_disk_ctx_free,
		.positional = cli_words_positional,
		.run = cli_disk_convert,
	},
	{
		.name = "disk compact",
		.args = "[FLAGS] FILE",
		.summary = "give back what a disk image does not need",
		.text = "Writes the image anew beside itself, without blocks that are all zeros, and puts it in the old one's place; a child stays a child. The image gets a new identity: children of it need vmeste disk rebase --unsafe.",
		.flags = cli_disk_compact_flags,
		.examples = disk_compact_examples,
		.new_ctx = cli_disk_new_1,
		.free_ctx = cli_disk_ctx_free,
		.positional = cli_words_positional,
		.run = cli_disk_compact,
	},
	{
		.name = "disk resize",
		.args = "[FLAGS] FILE [+]SIZE",
		.summary = "make a disk larger or smaller",
		.text = "In place where the format can, else by writing the image anew. The guest's partitions stay as they are.",
		.flags = cli_disk_resize_flags,
		.examples = disk_resize_examples,
		.new_ctx = cli_disk_new_2,
		.free_ctx = cli_disk_ctx_free,
		.positional = cli_words_positional,
		.run = cli_disk_resize,
	},
	{
		.name = "disk rebase",
		.args = "[FLAGS] FILE",
		.summary = "let a disk image stand on another backing file",
		.text = "Copies into FILE what would look different, then changes the name. --unsafe changes the name only: for a backing file that was moved, or whose content is known to be the same.",
		.flags = cli_disk_rebase_flags,
		.examples = disk_rebase_examples,
		.new_ctx = cli_disk_new_1,
		.free_ctx = cli_disk_ctx_free,
		.positional = cli_words_positional,
		.run = cli_disk_rebase,
	},
	{
		.name = "doctor",
		.args = "[FLAGS]",
		.summary = "check what this host can do and how to mend it",
		.text = "Checks the processor, the engines and their speed, "
			"firmware, memory, limits and the mechanisms of the "
			"jail. Exits 0 if machines can run here.",
		.flags = cli_doctor_flags,
		.examples = doctor_examples,
		.new_ctx = cli_doctor_new,
		.free_ctx = g_free,
		.run = cli_doctor,
	},
	{
		.name = "disk mount",
		.args = "[FLAGS] FILE DIR",
		.summary = "show a disk image as files in a folder",
		.text = "The folder has the whole disk as the file disk, its "
			"partitions as part1, part2, ... (numbered as Linux "
			"does), and the snapshots inside the image in "
			"snapshots/NAME. It is read-only unless --rw is given; "
			"then what is written goes to the image, and a sync "
			"reaches the medium. Partitions are those that there "
			"were at the start. It needs neither root nor a "
			"service, but /dev/fuse and fusermount3. A process in "
			"the background serves the folder until it is "
			"unmounted; whatever ends it unmounts the folder.",
		.flags = cli_disk_mount_flags,
		.examples = disk_mount_examples,
		.new_ctx = cli_disk_mount_new,
		.free_ctx = cli_disk_mount_free,
		.positional = cli_words_positional,
		.run = cli_disk_mount,
	},
	{
		.name = "disk unmount",
		.args = "DIR",
		.summary = "end vmeste disk mount",
		.text = "Waits until all is written and the image is free.",
		.examples = disk_unmount_examples,
		.new_ctx = cli_disk_mount_new,
		.free_ctx = cli_disk_mount_free,
		.positional = cli_words_positional,
		.run = cli_disk_unmount,
	},
	{
		.name = "disk serve",
		.args = "[FLAGS] FILE",
		.summary = "serve a disk image by NBD",
		.text = "Lends an image of any format, with all that is below "
			"it, to programs that speak the NBD protocol (nbdcopy, "
			"qemu, nbd-client, ...). Prints the address when it "
			"can be used, and serves up to 16 clients at once "
			"until Ctrl-C. A flush of theirs reaches the medium. "
			"There is no password and no encryption: whoever gets "
			"to the socket may use the disk.",
		.flags = cli_disk_serve_flags,
		.examples = disk_serve_examples,
		.new_ctx = cli_disk_serve_new,
		.free_ctx = cli_disk_serve_free,
		.positional = cli_words_positional,
		.run = cli_disk_serve,
	},
	{
		.name = "version",
		.args = "",
		.summary = "print the version",
		.text = "Prints the name and the version.",
		.examples = version_examples,
		.new_ctx = cli_help_new,
		.free_ctx = g_free,
		.run = cli_version,
	},
	{
		.name = "help",
		.args = "[FLAGS] [VERB | os]",
		.summary = "print help, of one verb or of all",
		.text = "Prints the list of verbs, or the flags and examples "
			"of one verb. os: the guest systems that --os knows, and "
			"the hardware that each gets.",
		.flags = cli_help_flags,
		.examples = help_examples,
		.new_ctx = cli_help_new,
		.free_ctx = g_free,
		.positional = cli_help_positional,
		.run = cli_help,
	},
	{
		.name = "completion",
		.args = "bash|zsh|fish",
		.summary = "print a completion script for a shell",
		.text = "Prints a script that completes verbs, flags and "
			"their words.",
		.examples = completion_examples,
		.new_ctx = cli_help_new,
		.free_ctx = g_free,
		.positional = cli_help_positional,
		.run = cli_completion,
	},
	{NULL},
};
/* clang-format on */

const struct cli_verb *cli_verb_find(const char *name)
{
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		if (!strcmp(v->name, name))
			return v;
	}
	return NULL;
}
