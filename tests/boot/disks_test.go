package boot

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/tests/guest"
)

const diskProbe = "for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/sda -a -b /dev/sr0 ] && break; sleep 1; done; " +
	"cat /sys/block/sda/device/model; dd if=/dev/sda bs=256k 2>/dev/null | md5sum; dd if=/dev/sr0 bs=64k 2>/dev/null | md5sum; " +
	"dd if=/dev/sda of=/dev/sda bs=64k skip=0 seek=8 count=4 conv=fsync conv=notrunc 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; " +
	"dd if=/dev/sda bs=64k count=4 2>/dev/null | md5sum; dd if=/dev/sda bs=64k skip=8 count=4 2>/dev/null | md5sum"

// TestDisks reads and writes disks and reads discs behind the controllers that are not virtio's own.
func TestDisks(t *testing.T) {
	for _, c := range []struct {
		name, kernel string
		modules      []string
		args         []string
	}{
		{"ide", "cloud-amd64", []string{"ata_piix"}, []string{"-device", "ide-hd,drive=hd,bus=ide.0", "-device", "ide-cd,drive=cd,bus=ide.1"}},
		{"virtio-scsi", "cloud-amd64", []string{"virtio_scsi"}, []string{"-device", "virtio-scsi-pci,id=s", "-device", "scsi-hd,drive=hd,bus=s.0", "-device", "scsi-cd,drive=cd,bus=s.0"}},
		{"ahci", "amd64", []string{"ahci"}, []string{"-device", "ahci,id=s", "-device", "ide-hd,drive=hd,bus=s.0", "-device", "ide-cd,drive=cd,bus=s.1"}},
		{"usb-uas", "amd64", []string{"xhci_pci", "uas"}, []string{"-device", "qemu-xhci", "-device", "usb-uas,id=s", "-device", "scsi-hd,drive=hd,bus=s.0,lun=0", "-device", "scsi-cd,drive=cd,bus=s.0,lun=1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := prepare(t, c.kernel)
			bb, err := guest.GetBusybox()
			require.NoError(t, err)
			modules := append(append(c.modules, "sd_mod", "sr_mod"), guest.DefaultModules...)
			require.NoError(t, guest.WriteInitramfs(f.initrd, guest.Spec{Busybox: bb, Kernel: f.kernel, Modules: modules}))
			cd := filepath.Join(t.TempDir(), "cd.iso")
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(i >> 11)
			}
			require.NoError(t, os.WriteFile(cd, b, 0o644))
			args := append([]string{"-smp", "2", "-drive", "if=none,id=hd,format=raw,snapshot=on,file=" + f.disk,
				"-drive", "if=none,id=cd,format=raw,media=cdrom,file=" + cd}, c.args...)
			out := f.boot(t, diskProbe, 4*time.Minute, args...)
			require.Contains(t, out, "QEMU HARDDISK")
			require.Contains(t, out, diskSum(t, f.disk))
			require.Contains(t, out, diskSum(t, cd))
			for _, bad := range []string{"BUG:", "Oops", "exception Emask", "I/O error"} {
				require.NotContains(t, out, bad)
			}
		})
	}
}
