package boot

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGeneration loads a snapshot into a running Linux, which learns that it is in the past by the machine's generation identifier.
func TestGeneration(t *testing.T) {
	f := prepare(t, "cloud-amd64")
	const guid = "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87"
	disk := filepath.Join(t.TempDir(), "state.qcow2")
	require.NoError(t, exec.Command(f.goemu, "img", "create", "-f", "qcow2", disk, "1M").Run())
	l := f.start(t, "-M", "q35", "-device", "vmgenid,guid="+guid, "-drive", "if=none,id=d,file="+disk, "-device", "virtio-blk-pci,drive=d")
	require.Equal(t, map[string]any{"guid": guid}, l.do("query-vm-generation-id", nil))
	l.sh("ls -d /sys/bus/acpi/drivers/vmgenid/QEMU*; dmesg -c | grep -c 'machine fork' | sed s/^/forks=/", "forks=0")
	monitor := func(command string) {
		t.Helper()
		require.Equal(t, "", l.do("human-monitor-command", map[string]any{"command-line": command}))
	}
	monitor("savevm past")
	monitor("loadvm past")
	l.sh("until dmesg | grep -q 'machine fork'; do usleep 50000; done; echo forked-$((1+1))", "forked-2")
}
