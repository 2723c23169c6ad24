package boot

import (
	"crypto/md5"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
	"goemu/tests/guest"
)

// work is what the guest does to its root file system: files of many sizes are made, changed, removed, and the space of some given back.
const work = `cd /home
i=0
while [ $i -lt 120 ]; do
	dd if=/dev/urandom of=f$i bs=$((1 + i * 977)) count=$((1 + i % 5)) 2>/dev/null
	i=$((i + 1))
done
sync
for i in 3 30 60 90; do dd if=/dev/urandom of=f$i bs=4096 seek=3 count=7 conv=notrunc,fsync 2>/dev/null; done
rm f1? f7?
fstrim -v / && cp f119 copy && mkdir d && mv f2? d
find /home -type f | sort | xargs md5sum | sed 's/^/SUM /'
`

// rootDisk makes a raw image with a root file system, and the initramfs that changes into it.
func (f *fixture) rootDisk(t *testing.T) (image string) {
	t.Helper()
	for _, tool := range []string{"mkfs.ext4", "debugfs", "e2fsck"} {
		testprog.Need(t, tool)
	}
	bb, err := guest.GetBusybox()
	require.NoError(t, err)
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for _, d := range []string{"bin", "home", "proc", "dev", "sys"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	b, err := os.ReadFile(bb)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "bin/busybox"), b, 0o755))
	for name, text := range map[string]string{"work": work, "writer": writer} {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o755))
	}
	for _, l := range []string{"sh", "dd", "sync", "rm", "fstrim", "cp", "mkdir", "mv", "find", "sort", "xargs", "md5sum", "sed"} {
		require.NoError(t, os.Symlink("busybox", filepath.Join(root, "bin", l)))
	}
	image = filepath.Join(dir, "root.img")
	run(t, "mkfs.ext4", "-q", "-d", root, image, "64M")
	script := filepath.Join(dir, "onroot")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nmkdir /mnt && mount -t ext4 -o $1 /dev/vda /mnt && mount -o bind /dev /mnt/dev && PATH=/bin chroot /mnt sh /work && umount /mnt/dev && umount /mnt\n"), 0o755))
	spec := guest.Spec{Busybox: bb, Kernel: f.kernel, Modules: append([]string{"ext4", "crc32c_generic"}, guest.DefaultModules...), Files: map[string]string{"bin/onroot": script}}
	require.NoError(t, guest.WriteInitramfs(f.initrd, spec))
	return image
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return string(out)
}

// TestBackedDisk runs a guest from a chain of images, and lets tools of others tell what is in them afterwards.
func TestBackedDisk(t *testing.T) {
	testprog.Need(t, "qemu-img")
	f := prepare(t, "cloud-amd64")
	base := f.rootDisk(t)
	for _, c := range []struct{ name, create, drive string }{
		{"small clusters", "cluster_size=4k,refcount_bits=64", "discard=unmap,detect-zeroes=unmap"},
		{"subclusters", "extended_l2=on,lazy_refcounts=on", "cache=none,aio=io_uring"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			mid, top := filepath.Join(dir, "mid.qcow2"), filepath.Join(dir, "top.qcow2")
			run(t, f.goemu, "img", "convert", "-f", "raw", "-O", "qcow2", "-c", base, mid)
			run(t, f.goemu, "img", "create", "-q", "-f", "qcow2", "-o", c.create, "-b", mid, "-F", "qcow2", top)
			out := f.boot(t, "onroot rw,discard", 5*time.Minute, "-drive", "if=virtio,format=qcow2,file="+top+","+c.drive)
			run(t, "qemu-img", "check", top)
			raw := filepath.Join(dir, "raw")
			run(t, "qemu-img", "convert", "-O", "raw", top, raw)
			run(t, "e2fsck", "-fn", raw)
			files := filepath.Join(dir, "files")
			require.NoError(t, os.Mkdir(files, 0o755))
			run(t, "debugfs", "-R", "rdump /home "+files, raw)
			require.Greater(t, len(guestSums(out)), 90)
			require.Equal(t, guestSums(out), hostSums(t, files))
			run(t, f.goemu, "img", "commit", "-q", top)
			run(t, "qemu-img", "check", mid)
			run(t, "qemu-img", "compare", mid, raw)
		})
	}
}

// guestSums are the files' checksums by their names, as the guest saw them.
func guestSums(console string) map[string]string {
	sums := map[string]string{}
	for line := range strings.Lines(console) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "SUM" {
			sums[f[2]] = f[1]
		}
	}
	return sums
}

// hostSums are the checksums of the files that were taken out of the image.
func hostSums(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	require.NoError(t, filepath.Walk(dir, func(p string, i os.FileInfo, err error) error {
		if err == nil && i.Mode().IsRegular() {
			var b []byte
			b, err = os.ReadFile(p)
			sums[strings.TrimPrefix(p, dir)] = fmt.Sprintf("%x", md5.Sum(b))
		}
		return err
	}))
	return sums
}
