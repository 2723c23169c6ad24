package boot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/tests/guest"
)

// live is a guest with a shell on its serial console, and a client of its monitor.
type live struct {
	t    *testing.T
	in   interface{ Write([]byte) (int, error) }
	mu   sync.Mutex
	seen bytes.Buffer
	at   int
	qmp  *json.Decoder
	conn net.Conn
	// events are those that came with answers and have not been waited for.
	events []map[string]any
}

// Write implements io.Writer for the console's output.
func (l *live) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.Write(b)
}

// launch starts goemu with its serial console on its standard input and output.
func launch(t *testing.T, goemu string, args ...string) (*live, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command(goemu, args...)
	l := &live{t: t}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	l.in, cmd.Stdout, cmd.Stderr = in, l, l
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return l, cmd
}

// start boots a guest to its shell.
func (f *fixture) start(t *testing.T, args ...string) *live {
	t.Helper()
	sock := filepath.Join(t.TempDir(), "qmp")
	l, _ := launch(t, f.goemu, append([]string{"-cpu", "max", "-m", "384", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", f.kernel.Image, "-initrd", f.initrd, "-append", "console=ttyS0 no_timer_check quiet", "-qmp", "unix:" + sock + ",server=on,wait=off"}, args...)...)
	l.wait("a shell of busybox")
	var err error
	l.conn, err = net.Dial("unix", sock)
	require.NoError(t, err)
	t.Cleanup(func() { l.conn.Close() })
	l.qmp = json.NewDecoder(l.conn)
	var greeting map[string]any
	require.NoError(t, l.qmp.Decode(&greeting))
	l.do("qmp_capabilities", nil)
	return l
}

// wait waits for text on the console after all that was waited for before.
func (l *live) wait(text string) {
	l.t.Helper()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		l.mu.Lock()
		i := bytes.Index(l.seen.Bytes()[l.at:], []byte(text))
		if i >= 0 {
			l.at += i + len(text)
		}
		l.mu.Unlock()
		if i >= 0 {
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Fatalf("%q does not appear in\n%s", text, tail(l.seen.Bytes()))
}

// sh runs a command in the guest and waits for text in what it prints. The text must not be in the command itself.
func (l *live) sh(command, want string) {
	l.t.Helper()
	_, err := l.in.Write([]byte(command + "\n"))
	require.NoError(l.t, err)
	l.wait(want)
}

// do runs a command of the monitor, which must succeed.
func (l *live) do(command string, args map[string]any) any {
	l.t.Helper()
	m := map[string]any{"execute": command}
	if args != nil {
		m["arguments"] = args
	}
	require.NoError(l.t, json.NewEncoder(l.conn).Encode(m))
	for {
		var r map[string]any
		require.NoError(l.t, l.qmp.Decode(&r))
		if _, ok := r["event"]; ok {
			l.events = append(l.events, r)
			continue
		}
		require.Contains(l.t, r, "return", "%s: %v", command, r["error"])
		return r["return"]
	}
}

// event waits for an event about a device.
func (l *live) event(name, device string) map[string]any {
	l.t.Helper()
	require.NoError(l.t, l.conn.SetReadDeadline(time.Now().Add(2*time.Minute)))
	for {
		for i, e := range l.events {
			data, _ := e["data"].(map[string]any)
			if e["event"] == name && (device == "" || data["device"] == device) {
				l.events = append(l.events[:i:i], l.events[i+1:]...)
				return data
			}
		}
		var r map[string]any
		require.NoError(l.t, l.qmp.Decode(&r))
		l.events = append(l.events, r)
	}
}

// hotplugRig are the machines between which hot-plugging differs: extra arguments, and the bus for new devices.
var hotplugRig = []struct {
	name, bus string
	rounds    int
	args      []string
}{
	{"pc", "", 2, []string{"-M", "pc"}},
	{"q35 by ACPI", "rp", 1, []string{"-M", "q35", "-device", "pcie-root-port,id=rp,chassis=1"}},
	{"q35 by the slot", "rp", 1, []string{"-M", "q35", "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off", "-device", "pcie-root-port,id=rp,chassis=1"}},
	{"behind a switch", "down", 1, []string{"-M", "q35", "-device", "ioh3420,id=rp", "-device", "x3130-upstream,id=up,bus=rp", "-device", "xio3130-downstream,id=down,bus=up,chassis=2"}},
}

// until waits for a disk: its node is there before it can be opened.
func until(disk, name string) string {
	return fmt.Sprintf("until_ '[ $(dd if=/dev/%s bs=512 count=1 2>/dev/null | wc -c) = 512 ]' %s", disk, name)
}

// TestHotplug plugs a disk and a network adapter into a running Linux and takes them out again, and then a SCSI disk.
func TestHotplug(t *testing.T) {
	f := prepare(t, "cloud-amd64")
	bb, err := guest.GetBusybox()
	require.NoError(t, err)
	require.NoError(t, guest.WriteInitramfs(f.initrd, guest.Spec{Busybox: bb, Kernel: f.kernel, Modules: append([]string{"virtio_net", "virtio_scsi", "sd_mod"}, guest.DefaultModules...)}))
	for _, m := range hotplugRig {
		t.Run(m.name, func(t *testing.T) {
			l := f.start(t, m.args...)
			l.sh("dmesg -n 1; until_() { until eval \"$1\"; do usleep 50000; done; echo met-$2; }; echo ready-$((1+1))", "ready-2")
			on := func(args map[string]any) map[string]any {
				if m.bus != "" {
					args["bus"] = m.bus
				}
				return args
			}
			for range m.rounds {
				l.do("blockdev-add", map[string]any{"driver": "file", "node-name": "d", "filename": f.disk, "read-only": false})
				l.do("device_add", on(map[string]any{"driver": "virtio-blk-pci", "drive": "d", "id": "disk", "serial": "plugged"}))
				l.sh(until("vda", "disk")+"; dd if=/dev/vda bs=64k 2>/dev/null | md5sum", "met-disk")
				l.wait(diskSum(t, f.disk))
				l.do("device_del", map[string]any{"id": "disk"})
				l.event("DEVICE_DELETED", "disk")
				l.sh("until_ '[ ! -b /dev/vda ]' gone", "met-gone")
				l.do("blockdev-del", map[string]any{"node-name": "d"})

				l.do("device_add", on(map[string]any{"driver": "virtio-net-pci", "id": "nic", "mac": "52:54:00:11:22:33"}))
				l.sh("until_ '[ -e /sys/class/net/eth0 ]' nic; cat /sys/class/net/eth0/address", "52:54:00:11:22:33")
				l.do("device_del", map[string]any{"id": "nic"})
				l.event("DEVICE_DELETED", "nic")
				l.sh("until_ '[ ! -e /sys/class/net/eth0 ]' lost", "met-lost")
			}
			l.do("device_add", on(map[string]any{"driver": "virtio-scsi-pci", "id": "hba"}))
			l.do("blockdev-add", map[string]any{"driver": "file", "node-name": "s", "filename": f.disk, "read-only": false})
			l.sh("until_ '[ -e /sys/class/scsi_host/host0 ]' hba", "met-hba")
			l.do("device_add", map[string]any{"driver": "scsi-hd", "drive": "s", "id": "lun", "bus": "hba.0"})
			l.sh(until("sda", "sda")+"; dd if=/dev/sda bs=64k 2>/dev/null | md5sum", diskSum(t, f.disk))
			l.do("device_del", map[string]any{"id": "lun"})
			l.event("DEVICE_DELETED", "lun")
			l.sh("until_ '[ ! -b /dev/sda ]' nosda; dmesg | grep -c -e BUG: -e Oops -e 'Call Trace' | sed s/^/bad=/", "bad=0")
			require.NotContains(t, strings.ToLower(l.seen.String()), "goroutine")
		})
	}
}
