package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// objectCommands are commands about objects, devices and the machine that QEMU and goemu answer alike; FILE is a file to write.
var objectCommands = []string{
	`{"execute":"query-current-machine"}`, `{"execute":"query-memdev"}`, `{"execute":"query-memory-size-summary"}`, `{"execute":"query-iothreads"}`,
	`{"execute":"query-target"}`, `{"execute":"query-hotpluggable-cpus"}`,
	`{"execute":"query-cpu-model-expansion","arguments":{"type":"static","model":{"name":"nosuch"}}}`,
	`{"execute":"qom-list","arguments":{"path":"/nosuch"}}`, `{"execute":"qom-get","arguments":{"path":"/machine","property":"type"}}`,
	`{"execute":"qom-get","arguments":{"path":"/machine/unattached/device[0]","property":"realized"}}`,
	`{"execute":"qom-get","arguments":{"path":"/machine/unattached/device[2]","property":"socket-id"}}`,
	`{"execute":"qom-get","arguments":{"path":"/machine","property":"nosuch"}}`, `{"execute":"qom-set","arguments":{"path":"/machine","property":"type","value":"x"}}`,
	`{"execute":"qom-list-properties","arguments":{"typename":"nosuch"}}`, `{"execute":"device-list-properties","arguments":{"typename":"nosuch"}}`,
	`{"execute":"device-list-properties","arguments":{"typename":"pci-device"}}`,
	`{"execute":"device_add","arguments":{"driver":"nosuch"}}`, `{"execute":"device_add","arguments":{"id":"x"}}`, `{"execute":"device_del","arguments":{"id":"nosuch"}}`,
	`{"execute":"device_add","arguments":{"driver":"isa-serial"}}`,
	`{"execute":"object-add","arguments":{"qom-type":"memory-backend-ram","id":"m","size":1048576}}`,
	`{"execute":"object-add","arguments":{"qom-type":"memory-backend-ram","id":"m","size":1048576}}`,
	`{"execute":"qom-get","arguments":{"path":"/objects/m","property":"size"}}`,
	`{"execute":"object-add","arguments":{"qom-type":"memory-backend-ram","id":"n"}}`, `{"execute":"object-add","arguments":{"qom-type":"memory-backend-ram","size":1}}`,
	`{"execute":"object-add","arguments":{"qom-type":"memory-backend-ram","id":"n","size":0}}`, `{"execute":"object-add","arguments":{"qom-type":"nosuch","id":"n"}}`,
	`{"execute":"object-del","arguments":{"id":"m"}}`, `{"execute":"object-del","arguments":{"id":"m"}}`,
	`{"execute":"object-add","arguments":{"qom-type":"secret","id":"s"}}`, `{"execute":"object-add","arguments":{"qom-type":"secret","id":"s","data":"x","file":"y"}}`,
	`{"execute":"object-add","arguments":{"qom-type":"secret","id":"s","file":"/nosuch"}}`, `{"execute":"object-add","arguments":{"qom-type":"secret","id":"s","data":"x"}}`,
	`{"execute":"memsave","arguments":{"val":0,"size":16,"filename":"/nosuch/x"}}`, `{"execute":"memsave","arguments":{"val":0,"size":16,"filename":"FILE","cpu-index":7}}`,
	`{"execute":"inject-nmi"}`, `{"execute":"rtc-reset-reinjection"}`, `{"execute":"query-command-line-options","arguments":{"option":"nosuch"}}`,
}

// TestObjectCommands: replies are QEMU's, errors word by word.
func TestObjectCommands(t *testing.T) {
	args := []string{"-accel", "tcg", "-M", "pc", "-nodefaults", "-smp", "2,maxcpus=3,sockets=3,cores=1,threads=1", "-S", "-display", "none", "-qmp", "stdio"}
	qemu := testprog.QEMU(t)
	want, got := talkQMP(t, qemu, args, objectCommands), talkQMP(t, testprog.Goemu(t), args, objectCommands)
	for i, c := range objectCommands {
		require.JSONEq(t, want[i], got[i], c)
	}
}

// TestMemsave: memory goes to files as CPUs and as devices see it.
func TestMemsave(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m")
	args := []string{"-M", "pc", "-nodefaults", "-S", "-display", "none", "-qmp", "stdio", "-m", "16"}
	require.JSONEq(t, `{"return":{}}`, talkQMP(t, testprog.Goemu(t), args, []string{`{"execute":"pmemsave","arguments":{"val":4294967280,"size":16,"filename":"` + file + `"}}`})[0])
	out, err := exec.Command("od", "-An", "-tx1", "-N1", file).Output()
	require.NoError(t, err)
	require.Equal(t, " ea\n", string(out), "the firmware begins with a far jump")
}

// talkQMP sends commands one by one and returns the replies without events.
func talkQMP(t *testing.T, program string, args, commands []string) (out []string) {
	t.Helper()
	in, lines, end := talkTo(t, program, args...)
	defer end()
	reply := func() string {
		for lines.Scan() {
			var m map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(lines.Bytes(), &m))
			if m["event"] == nil {
				return lines.Text()
			}
		}
		require.NoError(t, lines.Err())
		t.Fatal("no reply")
		return ""
	}
	reply()
	for _, c := range append([]string{`{"execute":"qmp_capabilities"}`}, commands...) {
		_, err := in.Write([]byte(c + "\n"))
		require.NoError(t, err)
		out = append(out, reply())
	}
	return out[1:]
}
