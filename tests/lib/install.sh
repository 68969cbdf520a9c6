#!/bin/sh
# First program of the installation medium of tests/features/P01-install: puts
# a Debian on the first disk and switches off.  mirror=URL and secret=WORD
# (root's password) stand on the kernel's command line.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
export DEBIAN_FRONTEND=noninteractive
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /run /tmp
mount -t devpts pts /dev/pts
for word in $(cat /proc/cmdline); do
	case $word in
	mirror=*) mirror=${word#*=} ;;
	secret=*) secret=${word#*=} ;;
	esac
done

fail() {
	echo "INSTALL FAILED: $1"
	sync
	sleep 2
	busybox poweroff -f
}

step() {
	read -r up _ </proc/uptime
	echo "INSTALL $up: $1"
}

step "drivers"
for m in ata_piix ahci nvme virtio_pci virtio_blk virtio_net virtio_scsi \
	e1000 sd_mod ext4 vfat nls_cp437 nls_ascii efivarfs; do
	modprobe $m
done
ip link set lo up
card=$(ls /sys/class/net | grep -v lo | head -1)
ip link set "$card" up
ip addr add 10.0.2.15/24 dev "$card"
ip route add default via 10.0.2.2
for try in 1 2 3 4 5 6 7 8 9 10; do
	disk=$(ls -d /sys/block/sd? /sys/block/vd? /sys/block/nvme* 2>/dev/null |
		head -1)
	[ -z "$disk" ] || break
	sleep 1
done
[ -n "$disk" ] || fail "no disk"
disk=/dev/${disk##*/}
part=$disk
case $disk in *[0-9]) part=${disk}p ;; esac

step "partitions on $disk"
if [ -d /sys/firmware/efi ]; then
	mount -t efivarfs efivarfs /sys/firmware/efi/efivars
	boot=grub-efi-amd64
	layout='label: gpt\nsize=64MiB, type=uefi\ntype=linux\n'
else
	boot=grub-pc
	layout='label: dos\nsize=64MiB, type=82\ntype=83, bootable\n'
fi
printf "$layout" | sfdisk -q "$disk" || fail "sfdisk"
mkfs.ext4 -q "${part}2" || fail "mkfs.ext4"
mount "${part}2" /mnt || fail "mount"
mkdir -p /mnt/etc
echo "UUID=$(blkid -s UUID -o value "${part}2") / ext4 defaults 0 1" \
	>/tmp/fstab
if [ $boot = grub-efi-amd64 ]; then
	mkfs.vfat "${part}1" >/dev/null || fail "mkfs.vfat"
	mkdir -p /mnt/boot/efi
	mount "${part}1" /mnt/boot/efi || fail "mount of the ESP"
	echo "UUID=$(blkid -s UUID -o value "${part}1") /boot/efi vfat" \
		"umask=0077 0 1" >>/tmp/fstab
else
	mkswap -q "${part}1"
	echo "UUID=$(blkid -s UUID -o value "${part}1") none swap sw 0 0" \
		>>/tmp/fstab
fi

step "the base system from $mirror"
debootstrap bookworm /mnt "$mirror" >/tmp/log 2>&1 || {
	tail -30 /tmp/log /mnt/debootstrap/debootstrap.log
	fail "debootstrap"
}
cp /tmp/fstab /mnt/etc/fstab
echo vmeste >/mnt/etc/hostname
echo "deb $mirror bookworm main" >/mnt/etc/apt/sources.list
for d in dev dev/pts proc sys; do
	mount --bind /$d /mnt/$d
done
[ ! -d /sys/firmware/efi ] ||
	mount --bind /sys/firmware/efi/efivars /mnt/sys/firmware/efi/efivars
echo "root:$secret" | chroot /mnt chpasswd || fail "password"

step "kernel and boot loader"
mkdir -p /mnt/etc/default/grub.d
cat >/mnt/etc/default/grub.d/vmeste.cfg <<-END
	GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0"
	GRUB_TERMINAL=serial
	GRUB_TIMEOUT=1
END
chroot /mnt sh -c "apt-get -q update && apt-get -q -y \
	--no-install-recommends install linux-image-amd64 $boot" \
	>/tmp/log 2>&1 || { tail -30 /tmp/log; fail "packages"; }
step "boot loader"
chroot /mnt sh -c "grub-install $disk && update-grub" >/tmp/log 2>&1 || {
	tail -30 /tmp/log
	fail "grub-install"
}
tail -3 /tmp/log
step "done"
umount /mnt/sys/firmware/efi/efivars /mnt/boot/efi 2>/dev/null
for d in sys proc dev/pts dev; do
	umount /mnt/$d
done
umount /mnt || fail "umount"
echo "INSTALL COMPLETE"
busybox poweroff -f
