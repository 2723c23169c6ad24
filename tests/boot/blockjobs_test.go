package boot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// writer writes files of many sizes over and over, removes some and gives space back, until there is a file /stop; then it tells what is
// in them.
const writer = `cd /home
i=0
while [ ! -e /stop ]; do
	dd if=/dev/urandom of=w$((i % 100)) bs=$((1 + i * 977 % 40000)) count=$((1 + i % 3)) conv=fsync 2>/dev/null
	i=$((i + 1))
	if [ $((i % 25)) = 0 ]; then rm -f w$((i * 7 % 100)); fstrim /; fi
done
sync
find /home -type f | sort | xargs md5sum | sed 's/^/SUM /'
echo written-$((i > 0))
`

// TestBlockJobs boots from an image with a backing file and, while the guest writes, takes snapshots inside the image and outside, commits,
// streams and mirrors, and moves the guest from image to image. What it wrote is in the image where it ends, and no program finds a fault.
func TestBlockJobs(t *testing.T) {
	testprog.Need(t, "qemu-img")
	f := prepare(t, "cloud-amd64")
	base := f.rootDisk(t)
	dir := t.TempDir()
	image := func(name string) string { return filepath.Join(dir, name+".qcow2") }
	run(t, f.goemu, "img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", image("first"))
	l := f.start(t, "-drive", "if=virtio,id=d,format=qcow2,discard=unmap,node-name=first,file="+image("first"))
	l.sh("mkdir /mnt && mount -t ext4 /dev/vda /mnt && mount -o bind /dev /mnt/dev && echo early > /mnt/home/early && sync && echo mounted-$((1+1))", "mounted-2")
	l.sh("(PATH=/bin chroot /mnt sh /writer > /log 2>&1 &); until [ -e /mnt/home/w9 ]; do usleep 50000; done; echo going-$((1+1))", "going-2")
	writes := func() { // until the guest has written more
		l.sh("a=$(cat /sys/block/vda/stat | sed 's/ \\+/ /g' | cut -d' ' -f6); until [ $(cat /sys/block/vda/stat | sed 's/ \\+/ /g' | cut -d' ' -f6) -gt $((a + 30)) ]; do usleep 50000; done; echo more-$((1+1))", "more-2")
	}
	job := func(command string, ready bool, args map[string]any) {
		args["device"] = "d"
		l.do(command, args)
		if ready {
			l.event("BLOCK_JOB_READY", "d")
			writes()
			l.do("block-job-complete", map[string]any{"device": "d"})
		}
		require.NotContains(t, l.event("BLOCK_JOB_COMPLETED", "d"), "error")
		writes()
	}
	outside := func(name string) {
		l.do("blockdev-snapshot-sync", map[string]any{"device": "d", "snapshot-file": image(name), "snapshot-node-name": name, "format": "qcow2"})
		writes()
	}
	writes()
	l.do("blockdev-snapshot-internal-sync", map[string]any{"device": "d", "name": "inside"})
	writes()
	outside("second")
	outside("third")
	job("block-commit", false, map[string]any{"top-node": "second", "base-node": "first"})
	job("drive-mirror", true, map[string]any{"target": image("mirror"), "sync": "full", "format": "qcow2", "node-name": "mirror"})
	outside("fourth")
	job("block-commit", true, map[string]any{})
	outside("fifth")
	job("block-stream", false, map[string]any{})

	// A mirror of the moment: while the machine stands still, both are the same.
	l.do("drive-mirror", map[string]any{"device": "d", "target": image("copy"), "sync": "full", "format": "qcow2"})
	l.event("BLOCK_JOB_READY", "d")
	writes()
	l.do("stop", nil)
	l.do("block-job-cancel", map[string]any{"device": "d"})
	l.event("BLOCK_JOB_COMPLETED", "d")
	run(t, "qemu-img", "compare", "-U", image("copy"), image("fifth"))
	l.do("cont", nil)
	writes()

	l.sh("touch /mnt/stop; until grep -q written-1 /log; do usleep 50000; done; cat /log; umount /mnt/dev /mnt && echo unmounted-$((1+1))", "unmounted-2")
	l.do("quit", nil)
	sums := guestSums(strings.ReplaceAll(l.seen.String(), "\r", ""))
	require.Greater(t, len(sums), 60)
	raw, files := filepath.Join(dir, "raw"), filepath.Join(dir, "files")
	for _, name := range []string{"fifth", "mirror", "copy", "first"} {
		run(t, "qemu-img", "check", image(name))
	}
	run(t, "qemu-img", "convert", "-O", "raw", image("fifth"), raw)
	run(t, "e2fsck", "-fn", raw)
	require.NoError(t, os.Mkdir(files, 0o755))
	run(t, "debugfs", "-R", "rdump /home "+files, raw)
	require.Equal(t, sums, hostSums(t, files))

	// The snapshot inside the first image is a file system that was not unmounted.
	run(t, "qemu-img", "convert", "-l", "inside", "-O", "raw", image("first"), raw)
	_ = exec.Command("e2fsck", "-fy", raw).Run() // its status tells that there was something to do
	run(t, "e2fsck", "-fn", raw)
	require.Contains(t, run(t, "debugfs", "-R", "cat /home/early", raw), "early\n")
}
