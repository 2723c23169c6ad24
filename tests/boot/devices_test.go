package boot

import (
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/tests/guest"
)

// driven are devices, the modules of Linux that drive them, and what tells that they do.
var driven = []struct {
	name    string
	modules []string
	args    func(f *fixture) []string
	probe   string // prints want
	want    func(t *testing.T, f *fixture) string
}{
	{"nvme", []string{"nvme"}, func(f *fixture) []string {
		return []string{"-drive", "if=none,id=nv,format=raw,snapshot=on,file=" + f.disk, "-device", "nvme,drive=nv,serial=N1"}
	}, "dd if=/dev/nvme0n1 of=/dev/nvme0n1 bs=64k seek=8 count=4 conv=fsync conv=notrunc; dd if=/dev/nvme0n1 of=/dev/nvme0n1 bs=64k skip=8 count=4 conv=fsync conv=notrunc; " +
		"blkdiscard -o 524288 -l 262144 /dev/nvme0n1; tr -d ' ' < /sys/block/nvme0n1/device/serial; dd if=/dev/nvme0n1 bs=64k count=4 | md5sum",
		func(t *testing.T, f *fixture) string { return "N1\n" + f.begin(t) }},
	{"usb", []string{"uhci_hcd", "ehci_pci", "usb_storage", "usbhid", "hid_generic", "evdev", "sd_mod"}, func(f *fixture) []string {
		return []string{"-device", "ich9-usb-ehci1,id=ehci,addr=1d.7,multifunction=on", "-device", "ich9-usb-uhci1,masterbus=ehci.0,firstport=0,addr=1d.0,multifunction=on",
			"-device", "piix3-usb-uhci,id=uhci", "-drive", "if=none,id=stick,format=raw,snapshot=on,file=" + f.disk, "-device", "usb-storage,bus=ehci.0,drive=stick,serial=S1",
			"-device", "usb-tablet,bus=ehci.0,usb_version=1", "-device", "usb-hub,bus=uhci.0", "-device", "usb-kbd,bus=uhci.0,port=1.3", "-device", "usb-mouse,bus=uhci.0"}
	}, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.5; [ -b /dev/sda ] && [ -b /dev/sdb ] && [ $(grep -c Tablet /proc/bus/input/devices) = 2 ] && grep -q Keyboard /proc/bus/input/devices && grep -q Tablet /proc/bus/input/devices && grep -q Mouse /proc/bus/input/devices && break; done; " +
		"dd if=/dev/sda of=/dev/sda bs=64k seek=8 count=4 conv=fsync conv=notrunc; dd if=/dev/sda of=/dev/sda bs=64k skip=8 count=4 conv=fsync conv=notrunc; grep -h 'QEMU USB' /proc/bus/input/devices | sort; cat /sys/bus/usb/devices/*/product | sort; dd if=/dev/sda bs=64k count=4 | md5sum",
		func(t *testing.T, f *fixture) string {
			return "Tablet\"\nEHCI Host Controller\nQEMU USB HARDDRIVE\nQEMU USB HARDDRIVE\nQEMU USB Hub\nQEMU USB Hub\nQEMU USB Keyboard\nQEMU USB Keyboard\nQEMU USB Mouse\nQEMU USB Tablet\nQEMU USB Tablet\n" +
				"UHCI Host Controller\nUHCI Host Controller\nxHCI Host Controller\nxHCI Host Controller\n" + f.begin(t)
		}},
	{"xhci", []string{"xhci_pci"}, func(f *fixture) []string {
		return []string{"-device", "qemu-xhci,id=x", "-drive", "if=none,id=fast,format=raw,snapshot=on,file=" + f.disk, "-device", "usb-storage,bus=x.0,drive=fast,serial=S2",
			"-device", "usb-hub,bus=x.0,port=2", "-device", "usb-tablet,bus=x.0,port=2.1", "-device", "usb-kbd,bus=x.0"}
	}, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -b /dev/sdb ] && [ $(grep -c Tablet /proc/bus/input/devices) = 2 ] && break; sleep 0.5; done; " +
		"cat /sys/bus/usb/devices/usb*/product | sort | uniq -c; for d in /sys/bus/usb/devices/*; do [ -f $d/serial ] && grep -q S2 $d/serial && cat $d/speed && s=$(ls $d/*/host*/target*/*/block); done; dd if=/dev/$s of=/dev/$s bs=64k seek=8 count=4 conv=fsync conv=notrunc; dd if=/dev/$s of=/dev/$s bs=64k skip=8 count=4 conv=fsync conv=notrunc; grep -c 'QEMU USB' /proc/bus/input/devices; dd if=/dev/$s bs=64k count=4 | md5sum",
		func(t *testing.T, f *fixture) string { return "      2 xHCI Host Controller\n5000\n5\n" + f.begin(t) }},
	{"watchdog", []string{"i6300esb"}, func(*fixture) []string { return []string{"-device", "i6300esb", "-watchdog-action", "none"} },
		"cat /sys/class/watchdog/watchdog0/identity; echo V > /dev/watchdog0; cat /sys/class/watchdog/watchdog0/timeout", func(*testing.T, *fixture) string { return "i6300ESB timer\n30" }},
	{"9p", []string{"9p", "9pnet_virtio"}, func(f *fixture) []string {
		return []string{"-virtfs", "local,path=" + f.share + ",mount_tag=host,security_model=mapped-xattr", "-fsdev", "local,id=ro,path=" + f.share + ",security_model=none,readonly=on", "-device", "virtio-9p-pci,fsdev=ro,mount_tag=ro"}
	}, "mkdir /a /b; mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 host /a; mount -t 9p -o trans=virtio,version=9p2000.L,ro ro /b; cd /a; echo hello > f; ln -s f l; ln f h; mkdir -p d/e; mknod n c 4 5; chown 7:8 f; chmod 640 f; " +
		"mv d/e g; dd if=/dev/zero of=big bs=256k count=8; md5sum big; for i in 1 2 3 4; do (for j in 1 2 3 4 5 6 7 8; do echo $i > p$i$j; done) & done; wait; ls | wc -l; stat -c '%n %a %u:%g %F' f l n g; cat l; rm -r p* d; ls -1; cat /b/h; cd /; umount /a /b; echo done",
		func(t *testing.T, f *fixture) string {
			return fmt.Sprintf("%x  big\n", md5.Sum(make([]byte, 2<<20))) + "39\nf 640 7:8 regular file\nl 777 0:0 symbolic link\nn 644 0:0 character special file\ng 755 0:0 directory\nhello\nbig\nf\ng\nh\nl\nn\nhello\ndone"
		}},
	{"balloon", []string{"virtio_balloon"}, func(*fixture) []string { return []string{"-device", "virtio-balloon-pci"} },
		"cat /sys/bus/virtio/drivers/virtio_balloon/virtio*/status", func(*testing.T, *fixture) string { return "0x0000000f" }},
}

// TestDevices boots Linux once with all of them.
func TestDevices(t *testing.T) {
	f := prepare(t, "amd64")
	bb, err := guest.GetBusybox()
	require.NoError(t, err)
	args, run := []string{"-smp", "2"}, "exec 2>/dev/null; dmesg -n 1"
	var modules []string
	for _, d := range driven {
		modules = append(modules, d.modules...)
		args = append(args, d.args(f)...)
		run += "; echo == " + d.name + "; " + d.probe
	}
	script := filepath.Join(t.TempDir(), "probe")
	require.NoError(t, os.WriteFile(script, []byte(run+"\n"), 0o755))
	require.NoError(t, guest.WriteInitramfs(f.initrd, guest.Spec{Busybox: bb, Kernel: f.kernel, Modules: append(modules, guest.DefaultModules...),
		Files: map[string]string{"bin/probe": script}}))
	out := f.boot(t, "sh /bin/probe", 4*time.Minute, args...)
	for _, d := range driven {
		require.Contains(t, section(out, d.name), d.want(t, f), d.name)
	}
	for _, bad := range []string{"BUG:", "Oops", "I/O error", "Call Trace"} {
		require.NotContains(t, out, bad)
	}
}

// begin is the sum of the disk's beginning, as md5sum prints it.
func (f *fixture) begin(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(f.disk)
	require.NoError(t, err)
	return fmt.Sprintf("%x  -", md5.Sum(b[:256<<10]))
}

// section is what a device's probe has printed.
func section(out, name string) string {
	_, out, _ = strings.Cut(out, "\n== "+name+"\n")
	out, _, _ = strings.Cut(out, "\n== ")
	return out
}
