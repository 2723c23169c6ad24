package boot

import (
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
		"blkdiscard -o 524288 -l 262144 /dev/nvme0n1; cat /sys/block/nvme0n1/device/serial; dd if=/dev/nvme0n1 bs=64k count=4 | md5sum",
		func(t *testing.T, f *fixture) string { return "N1" }},
	{"balloon", []string{"virtio_balloon"}, func(*fixture) []string { return []string{"-device", "virtio-balloon-pci"} },
		"cat /sys/bus/virtio/drivers/virtio_balloon/virtio*/status", func(*testing.T, *fixture) string { return "0x0000000f" }},
}

// TestDevices boots Linux once with all of them.
func TestDevices(t *testing.T) {
	f := prepare(t, "amd64")
	bb, err := guest.GetBusybox()
	require.NoError(t, err)
	args, run := []string{"-smp", "2"}, "exec 2>/dev/null"
	var modules []string
	for _, d := range driven {
		modules = append(modules, d.modules...)
		args = append(args, d.args(f)...)
		run += "; echo == " + d.name + "; " + d.probe
	}
	require.NoError(t, guest.WriteInitramfs(f.initrd, guest.Spec{Busybox: bb, Kernel: f.kernel, Modules: append(modules, guest.DefaultModules...)}))
	out := f.boot(t, run, 4*time.Minute, args...)
	for _, d := range driven {
		require.Contains(t, section(out, d.name), d.want(t, f), d.name)
	}
	for _, bad := range []string{"BUG:", "Oops", "I/O error", "Call Trace"} {
		require.NotContains(t, out, bad)
	}
}

// section is what a device's probe has printed.
func section(out, name string) string {
	_, out, _ = strings.Cut(out, "\n== "+name+"\n")
	out, _, _ = strings.Cut(out, "\n== ")
	return out
}
