package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// badObjects are -object options that are refused; DIR is an empty folder.
var badObjects = []string{"memory-backend-ram,id=m", "memory-backend-ram,size=1", "memory-backend-ram,id=m,size=x", "memory-backend-ram,id=m,size=1,foo=1",
	"memory-backend-ram,id=m,size=1M,share=7", "memory-backend-ram,id=m,size=1M,host-nodes=0-1,policy=x", "memory-backend-ram,id=m,size=1M,host-nodes=0,policy=default",
	"memory-backend-ram,id=m,size=1M,policy=bind", "memory-backend-ram,id=m,size=1M,host-nodes=a", "memory-backend-ram,id=m,size=1M,host-nodes=900,policy=bind",
	"memory-backend-ram,id=m,size=1M,prealloc-threads=0", "memory-backend-ram,id=m,size=1M,prealloc=on,reserve=off",
	"memory-backend-file,id=m,size=1M", "memory-backend-file,id=m,size=1M,mem-path=/nosuch/x", "memory-backend-file,id=m,size=4k,align=3,mem-path=DIR/m",
	"memory-backend-memfd,id=m,size=1000", "memory-backend-memfd,id=m,size=2M,hugetlbsize=0",
	"iothread,id=i,poll-max-ns=-1", "iothread,id=i,poll-max-ns=x", "iothread,id=i,thread-pool-min=65", "iothread,id=i,thread-pool-max=0",
	"throttle-group,id=t,x-bps-total=5,x-iops-total-max=7", "throttle-group,id=t,limits.bps-total=5", "throttle-group,id=t,x-bps-total=5,x-bps-read=1",
	`{"qom-type":"iothread","id":"i","poll-max-ns":"x"}`, `{"qom-type":"memory-backend-ram","id":"i"}`, `{"qom-type":"memory-backend-ram","id":"i","size":"5M"}`,
	`{"qom-type":"memory-backend-ram","id":"i/x","size":5}`, "memory-backend-ram,id=a/b,size=1M", "nosuch,id=x", "foo=1", "secret,id=s,data=x,keyid=m,iv=y"}

// TestBadObjects: what QEMU refuses is refused in its words.
func TestBadObjects(t *testing.T) {
	qemu := testprog.QEMU(t)
	goemu, dir := testprog.Goemu(t), t.TempDir()
	for _, o := range badObjects {
		o = strings.ReplaceAll(o, "DIR", dir)
		assert.Equal(t, failure(t, qemu, "-object", o), failure(t, goemu, "-object", o), o)
	}
}

// failure runs a machine that is to fail and returns what it says without its name.
func failure(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, append([]string{"-accel", "tcg", "-M", "none", "-S", "-display", "none", "-monitor", "none", "-serial", "none"}, args...)...)
	var text bytes.Buffer
	cmd.Stderr = &text
	require.NoError(t, cmd.Start())
	watchdog := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	require.Error(t, cmd.Wait())
	return strings.TrimPrefix(strings.TrimPrefix(text.String(), program+": "), filepath.Base(program)+": ")
}

// TestObjectHelp: the options of objects are QEMU's, but for those that are not there.
func TestObjectHelp(t *testing.T) {
	qemu := testprog.QEMU(t)
	absent := []string{"  prealloc-context=", "  pmem="}
	for _, typ := range objectNames() {
		if typ == "authz-listfile" { // QEMU's help for it fails
			continue
		}
		out, err := exec.Command(qemu, "-object", typ+",help").Output()
		require.NoError(t, err, typ)
		var want []string
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, absent[0]) && !strings.HasPrefix(line, absent[1]) {
				want = append(want, line)
			}
		}
		got, err := objectHelp(typ)
		require.NoError(t, err)
		assert.Equal(t, strings.Join(want, ""), got)
	}
}

// memoryArgs are command lines whose memory QEMU and goemu describe alike.
var memoryArgs = [][]string{
	{"-m", "64"},
	{"-m", "64", "-machine", "pc,mem-merge=off,dump-guest-core=off"},
	{"-machine", "pc,memory-backend=m", "-object", "memory-backend-memfd,id=m,size=64M"},
	{"-machine", "pc,memory-backend=pc.ram", "-object", `{"qom-type":"memory-backend-ram","id":"pc.ram","size":67108864,"share":true,"prealloc":true}`},
	{"-m", "64", "-mem-path", "/dev/shm", "-mem-prealloc"},
	{"-m", "64", "-object", "iothread,id=io,poll-max-ns=7,aio-max-batch=3", "-smp", "2"},
}

// TestMemoryBackends: memory and threads of several kinds look to management tools as in QEMU.
func TestMemoryBackends(t *testing.T) {
	qemu := testprog.QEMU(t)
	goemu := testprog.Goemu(t)
	commands := []string{`{"execute":"query-memdev"}`, `{"execute":"query-memory-size-summary"}`, `{"execute":"qom-get","arguments":{"path":"/objects/pc.ram","property":"type"}}`,
		`{"execute":"object-del","arguments":{"id":"m"}}`, `{"execute":"qom-get","arguments":{"path":"/objects/io","property":"poll-max-ns"}}`,
		`{"execute":"qom-set","arguments":{"path":"/objects/io","property":"poll-max-ns","value":-1}}`, `{"execute":"qom-set","arguments":{"path":"/objects/m","property":"size","value":5}}`}
	for _, args := range memoryArgs {
		args = append([]string{"-accel", "tcg", "-M", "pc", "-nodefaults", "-S", "-display", "none", "-qmp", "stdio"}, args...)
		want, got := talkQMP(t, qemu, args, commands), talkQMP(t, goemu, args, commands)
		for i := range commands {
			assert.JSONEq(t, want[i], got[i], "%v %s", args, commands[i])
		}
	}
}
