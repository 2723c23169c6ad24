package boot

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGeneration loads a snapshot into a running Linux, which hears of it by the event of the machine's generation identifier.
func TestGeneration(t *testing.T) {
	f := prepare(t, "cloud-amd64")
	const guid = "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87"
	disk := filepath.Join(t.TempDir(), "state.qcow2")
	require.NoError(t, exec.Command(f.goemu, "img", "create", "-f", "qcow2", disk, "1M").Run())
	l := f.start(t, "-M", "q35", "-device", "vmgenid,guid="+guid, "-drive", "if=none,id=d,file="+disk, "-device", "virtio-blk-pci,drive=d")
	require.Equal(t, map[string]any{"guid": guid}, l.do("query-vm-generation-id", nil))
	l.sh("sed s/^/status=/ /sys/bus/acpi/devices/QEMUVGID:00/status", "status=15")
	l.sh("count() { awk '{print \"events=\" $1}' /sys/firmware/acpi/interrupts/gpe05; }; count", "events=0")
	monitor := func(command string) {
		t.Helper()
		require.Equal(t, "", l.do("human-monitor-command", map[string]any{"command-line": command}))
	}
	monitor("savevm past")
	monitor("loadvm past")
	l.sh("count", "events=1")
}

// TestCPUs plugs CPUs into a running Linux, which uses them and lets them go again.
func TestCPUs(t *testing.T) {
	f := prepare(t, "cloud-amd64")
	for _, m := range []string{"pc", "q35"} {
		t.Run(m, func(t *testing.T) {
			l := f.start(t, "-M", m, "-smp", "1,sockets=2,cores=2,maxcpus=4")
			l.sh("dmesg -n 1; until_() { until eval \"$1\"; do usleep 50000; done; echo met-$2; }; echo ready-$((1+1))", "ready-2")
			for range 2 {
				l.do("device_add", map[string]any{"driver": "max-x86_64-cpu", "id": "new", "socket-id": 1, "core-id": 1, "thread-id": 0})
				l.sh("until_ '[ -e /sys/devices/system/cpu/cpu1/online ]' new; echo 1 >/sys/devices/system/cpu/cpu1/online; echo cpus=$(grep -c ^processor /proc/cpuinfo)", "cpus=2")
				l.sh("taskset 2 awk '/^apicid/ {a = a \"-\" $3} END {print \"apics\" a}' /proc/cpuinfo", "apics-0-3")
				l.do("device_del", map[string]any{"id": "new"})
				l.event("ACPI_DEVICE_OST", "")
				l.event("DEVICE_DELETED", "new")
				l.sh("until_ '[ ! -e /sys/devices/system/cpu/cpu1 ]' gone; echo cpus=$(grep -c ^processor /proc/cpuinfo)", "cpus=1")
			}
			l.sh("dmesg | grep -c -e BUG: -e Oops -e 'Call Trace' | sed s/^/bad=/", "bad=0")
		})
	}
}

// TestMemory plugs a memory module into a running Linux, which uses the memory and gives it back.
func TestMemory(t *testing.T) {
	f := prepare(t, "cloud-amd64")
	l := f.start(t, "-M", "q35", "-m", "384,slots=2,maxmem=1G")
	l.sh("dmesg -n 1; until_() { until eval \"$1\"; do usleep 50000; done; echo met-$2; }; echo ready-$((1+1))", "ready-2")
	l.sh("total() { awk '/MemTotal/ {print $2}' /proc/meminfo; }; had=$(total); mkdir /full; mount -t tmpfs -o size=400M none /full; echo ready-$((2+2))", "ready-4")
	for range 2 {
		l.do("object-add", map[string]any{"qom-type": "memory-backend-ram", "id": "m", "size": 256 << 20})
		l.do("device_add", map[string]any{"driver": "pc-dimm", "id": "module", "memdev": "m"})
		l.sh("until_ '[ $(grep -l offline /sys/devices/system/memory/memory*/state | wc -l) = 2 ]' blocks; for s in /sys/devices/system/memory/memory*/state; do grep -q offline $s && echo online_movable >$s; done; "+
			"echo grown=$((($(total) - had) >> 10))", "grown=256")
		l.sh("dd if=/dev/zero of=/full/f bs=1M count=300 2>/dev/null; md5sum </full/f; rm /full/f", "0d97a9cd8bbd7ce75a2a76bb06258915")
		l.do("device_del", map[string]any{"id": "module"})
		l.event("ACPI_DEVICE_OST", "")
		l.event("DEVICE_DELETED", "module")
		l.sh("until_ '[ $(total) = $had ]' gone", "met-gone")
		l.do("object-del", map[string]any{"id": "m"})
	}
	l.sh("dmesg | grep -c -e BUG: -e Oops -e 'Call Trace' | sed s/^/bad=/", "bad=0")
}
