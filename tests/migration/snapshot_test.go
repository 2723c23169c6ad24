package migration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// counting writes a counter to the serial port that is an operand of its own code.
const counting = `
 mov esp, 0x180000
again:
 inc dword [.patched + 1]
.patched:
 mov eax, 0
 mov ecx, 8
.digit:
 rol eax, 4
 mov ebx, eax
 and ebx, 15
 mov bl, [ebx + .digits]
.busy:
 mov edx, 0x3fd
 push eax
 in al, dx
 test al, 0x20
 pop eax
 jz .busy
 mov edx, 0x3f8
 xchg eax, ebx
 out dx, al
 xchg eax, ebx
 loop .digit
 mov al, 10
 out dx, al
 mov ecx, 100000
.wait: loop .wait
 jmp again
.digits: db "0123456789abcdef"
`

// counter is a machine that runs it.
type counter struct {
	*process
	serial string
}

// countingMachine starts a machine with a disk; bin is as for launch.
func countingMachine(t *testing.T, bin, disk string, more ...string) *counter {
	t.Helper()
	if testing.Short() {
		t.Skip("processes take seconds each")
	}
	c := &counter{serial: filepath.Join(t.TempDir(), "serial")}
	args := []string{"-M", "pc-i440fx-7.2", "-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none", "-kernel", assemble(t, counting), "-serial", "file:" + c.serial,
		"-blockdev", "driver=file,node-name=prot,filename=" + disk, "-blockdev", "driver=qcow2,node-name=fmt,file=prot", "-device", "virtio-blk-pci,drive=fmt,id=vd0"}
	c.process = launch(t, bin, append(args, more...)...)
	return c
}

// counts are the numbers written so far, but for lines that are cut: the first of another process, and those where the program went back.
func (c *counter) counts() (list []int64) {
	c.t.Helper()
	b, err := os.ReadFile(c.serial)
	require.NoError(c.t, err)
	lines := strings.Split(string(b), "\n")
	for _, line := range lines[:len(lines)-1] {
		if len(line) != 8 {
			continue
		}
		n, err := strconv.ParseInt(line, 16, 64)
		require.NoError(c.t, err, line)
		list = append(list, n)
	}
	return list
}

// after waits until n numbers were written.
func (c *counter) after(n int) []int64 {
	c.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if l := c.counts(); len(l) >= n {
			return l
		}
	}
	require.Fail(c.t, "the program does not go on", c.errs.String())
	return nil
}

func (c *counter) hmp(line string) string {
	c.t.Helper()
	return strings.ReplaceAll(c.must("human-monitor-command", map[string]any{"command-line": line}).(string), "\r\n", "\n")
}

// job waits for the end of a job and returns its error.
func (c *counter) job(id string) string {
	c.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, j := range c.must("query-jobs", nil).([]any) {
			m := j.(map[string]any)
			if m["id"] == id && m["status"] == "concluded" {
				c.must("job-dismiss", map[string]any{"id": id})
				text, _ := m["error"].(string)
				return text
			}
		}
	}
	require.Fail(c.t, "the job does not end")
	return ""
}

// goesBack checks that the counter went back once and that it counted by ones otherwise. One line may be made of the digits of two numbers.
func goesBack(t *testing.T, list []int64) {
	t.Helper()
	next := func(i int) bool { return list[i] == list[i-1]+1 }
	i := 1
	for i < len(list) && next(i) {
		i++
	}
	require.Less(t, i+1, len(list), "%v", list)
	before := list[i-1]
	if !next(i + 1) {
		i++
	}
	require.Less(t, list[i], before, "%v", list)
	for i++; i < len(list); i++ {
		require.True(t, next(i), "%v", list)
	}
}

func newImage(t *testing.T) string {
	t.Helper()
	testprog.Need(t, "qemu-img")
	f := filepath.Join(t.TempDir(), "disk.qcow2")
	out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", f, "16M").CombinedOutput()
	require.NoError(t, err, string(out))
	return f
}

func checkImage(t *testing.T, file string) {
	t.Helper()
	out, err := exec.Command("qemu-img", "check", file).CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestSnapshots saves and loads a running machine, with the commands for people and with jobs: the program goes on from where it was, in
// the same process and in another one.
func TestSnapshots(t *testing.T) {
	disk := newImage(t)
	c := countingMachine(t, "", disk)
	c.after(5)
	require.Empty(t, c.hmp("savevm s1"))
	require.Equal(t, "running", c.state())
	require.Equal(t, []string{"STOP", "RESUME"}, c.events)
	n := len(c.counts())
	c.after(n + 20)
	require.Empty(t, c.hmp("loadvm s1"))
	require.Equal(t, []string{"STOP", "RESUME", "STOP", "RESUME"}, c.events)
	goesBack(t, c.after(len(c.counts())+5))

	save := map[string]any{"job-id": "j", "tag": "s2", "vmstate": "fmt", "devices": []string{"fmt"}}
	c.must("snapshot-save", save)
	require.Empty(t, c.job("j"))
	require.Equal(t, "running", c.state())
	c.must("snapshot-save", save)
	require.Equal(t, "Snapshot 's2' already exists in one or more devices", c.job("j"))
	for _, l := range []struct{ node, device, tag, want string }{
		{"fmt", "fmt", "s2", ""},
		{"fmt", "fmt", "s3", "Snapshot 's3' does not exist in one or more devices"},
		{"fmt", "nope", "s2", "No block device node 'nope'"},
		{"nope", "fmt", "s2", "vmstate block device 'nope' does not exist"},
		{"prot", "prot", "s2", "Device 'prot' is writable but does not support snapshots"},
	} {
		c.must("snapshot-load", map[string]any{"job-id": "l", "tag": l.tag, "vmstate": l.node, "devices": []string{l.device}})
		require.Equal(t, l.want, c.job("l"))
	}
	require.Equal(t, "restore-vm", c.state())
	c.must("snapshot-load", map[string]any{"job-id": "l", "tag": "s2", "vmstate": "fmt", "devices": []string{}})
	require.Equal(t, "At least one device is required for snapshot", c.job("l"))
	c.must("cont", nil)

	require.Regexp(t, `(?s)^List of snapshots present on all disks:\nID +TAG .*\n--        s1 .*\n--        s2 .*\n$`, c.hmp("info snapshots"))
	c.must("snapshot-delete", map[string]any{"job-id": "d", "tag": "s2", "devices": []string{"fmt"}})
	require.Empty(t, c.job("d"))
	require.Equal(t, "Error: Snapshot 's2' does not exist in one or more devices\n", c.hmp("loadvm s2"))
	c.must("quit", nil)
	c.wait()
	checkImage(t, disk)

	c = countingMachine(t, "", disk, "-loadvm", "s1", "-S")
	require.Equal(t, "prelaunch", c.state())
	c.must("cont", nil)
	list := c.after(3)
	require.Less(t, list[0], int64(2000))
	require.Empty(t, c.hmp("delvm s1"))
	require.Equal(t, "There is no snapshot available.\n", c.hmp("info snapshots"))
	c.must("quit", nil)
	c.wait()
	checkImage(t, disk)
}

// TestSnapshotErrors: machines that cannot be saved or loaded say why.
func TestSnapshotErrors(t *testing.T) {
	disk := newImage(t)
	c := countingMachine(t, "", disk, "-blockdev", "driver=null-co,node-name=other", "-S")
	const refused = "Error: Device 'other' is writable but does not support snapshots\n"
	require.Equal(t, refused, c.hmp("savevm a"))
	require.Equal(t, refused, c.hmp("delvm a"))
	require.Equal(t, "prelaunch", c.state())
	require.NoError(t, c.cmd.Process.Kill())
	c.wait()

	out, err := exec.Command("qemu-img", "snapshot", "-c", "disk", disk).CombinedOutput()
	require.NoError(t, err, string(out))
	c = countingMachine(t, "", disk, "-S")
	require.Equal(t, "Error: This is a disk-only snapshot. Revert to it  offline using qemu-img\n", c.hmp("loadvm disk"))
	require.Empty(t, c.hmp("savevm good"))
	require.NoError(t, c.cmd.Process.Kill())
	c.wait()

	bin := testprog.Goemu(t)
	for _, args := range [][]string{
		{"-loadvm", "nope", "qemu-system-x86_64: Snapshot 'nope' does not exist in one or more devices\n"},
		{"-loadvm", "good", "-device", "virtio-rng-pci", "qemu-system-x86_64: Error -22 while loading VM state\n"},
		{"-loadvm", "good", "-incoming", "defer", "qemu-system-x86_64: 'incoming' and 'loadvm' options are mutually exclusive\n"},
		{"-loadvm", "good", "-preconfig", "qemu-system-x86_64: 'preconfig' and 'loadvm' options are mutually exclusive\n"},
	} {
		a := []string{"-M", "pc-i440fx-7.2", "-m", "16", "-nodefaults", "-display", "none", "-drive", "file=" + disk + ",if=none,id=d"}
		cmd := exec.Command(bin, append(a, args[:len(args)-1]...)...)
		cmd.Args[0] = "qemu-system-x86_64"
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, 1, cmd.ProcessState.ExitCode())
		require.True(t, strings.HasSuffix(string(out), args[len(args)-1]), string(out))
	}
}

// TestSnapshotInterop: QEMU goes on from our snapshots and we from QEMU's.
func TestSnapshotInterop(t *testing.T) {
	qemu := testprog.QEMU(t)
	for _, bins := range [][2]string{{"", qemu}, {qemu, ""}} {
		disk := newImage(t)
		c := countingMachine(t, bins[0], disk)
		c.after(5)
		require.Empty(t, c.hmp("savevm s1"))
		c.must("stop", nil)
		before := c.counts()
		c.must("quit", nil)
		c.wait()
		checkImage(t, disk)
		out, err := exec.Command("qemu-img", "snapshot", "-l", disk).CombinedOutput()
		require.NoError(t, err)
		require.Regexp(t, `1         s1  +[0-9.]+ [KM]iB `, string(out))
		c = countingMachine(t, bins[1], disk, "-loadvm", "s1")
		after := c.after(5)
		require.Equal(t, "running", c.state(), c.errs.String())
		require.LessOrEqual(t, after[0], before[len(before)-1]+2) // the line of the snapshot is cut in two
		require.Equal(t, after[0]+4, after[4])
	}
}
