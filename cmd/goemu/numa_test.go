package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"

	"goemu/hw/firmware/acpi"
	"goemu/hw/pc"
	"goemu/internal/config"
	"goemu/qapi"
)

// Options about the speed of memory.
const (
	hmat      = "-M pc,hmat=on "
	onNode    = hmat + "-numa node,memdev=ram -numa node -numa cpu,node-id=0 "
	latency   = "-numa hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=access-latency,latency=50"
	bandwidth = "-numa hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=access-bandwidth,bandwidth=1048576"
	cache     = "-numa hmat-cache,node-id=0,size=10K,level=1,associativity=direct,policy=write-back,line=8"
)

// numaCases are options about NUMA for machines of 8 CPUs and 64 MiB, whose memory is the object ram.
var numaCases = []string{
	"-smp 8 -numa node,memdev=ram,cpus=0-3 -numa node,cpus=4-7",
	"-smp 8,sockets=8 -numa node,memdev=ram -numa node",
	"-smp 8,sockets=2,cores=2,threads=2 -numa node,memdev=ram -numa node -numa node",
	"-smp 8 -numa node,nodeid=1,cpus=4-5 -numa node,nodeid=0,memdev=ram,cpus=0,cpus=1",
	"-smp 8,sockets=2,cores=2,threads=2 -numa node,memdev=ram -numa node -numa cpu,node-id=1,socket-id=0 -numa cpu,node-id=0,socket-id=1,core-id=0 " +
		"-numa cpu,node-id=0,socket-id=1,core-id=1,thread-id=0 -numa cpu,node-id=1,socket-id=1,core-id=1,thread-id=1",
	"-smp 8,sockets=2,dies=2,cores=2 -numa node,memdev=ram -numa node -numa cpu,node-id=1,die-id=1",
	"-smp 4,maxcpus=8,sockets=8 -numa node,memdev=ram -numa node -numa dist,src=0,dst=1,val=30",
	"-numa node,memdev=ram -numa node -numa dist,src=0,dst=1,val=30 -numa dist,src=1,dst=0,val=40",
	"-M pc,hmat=on -smp 2,sockets=2 -numa node,memdev=ram -numa node,initiator=0 -numa cpu,node-id=0 " + latency + " " + bandwidth + " " + cache,
	// Refused.
	"-numa node,memdev=ram " + latency,
	"-numa node,memdev=ram " + cache,
	"-numa node,memdev=ram,initiator=0",
	hmat + "-numa node,memdev=ram -numa node,initiator=2 -numa cpu,node-id=0",
	hmat + "-numa node,memdev=ram -numa node,initiator=1 -numa cpu,node-id=0",
	hmat + "-numa node,memdev=ram,initiator=1 -numa node -numa cpu,node-id=0",
	hmat + "-numa node,memdev=ram " + latency,
	onNode + strings.Replace(latency, "target=0", "target=7", 1),
	onNode + strings.Replace(latency, "initiator=0", "initiator=7", 1),
	onNode + strings.Replace(latency, "latency=50", "bandwidth=1M", 1),
	onNode + latency + ",bandwidth=1M",
	onNode + latency + " " + latency,
	onNode + latency + " " + strings.Replace(latency, "target=0", "target=1", 1) + "00001",
	onNode + bandwidth + "1",
	onNode + bandwidth + " " + strings.Replace(bandwidth, "target=0", "target=1", 1) + "T",
	onNode + bandwidth + " " + bandwidth,
	onNode + latency + " " + cache,
	onNode + latency + " " + bandwidth + " " + cache + " " + cache,
	onNode + latency + " " + bandwidth + " " + strings.Replace(cache, "level=1", "level=2", 1),
	onNode + latency + " " + bandwidth + " " + strings.Replace(cache, "level=1", "level=4", 1),
	onNode + latency + " " + bandwidth + " " + cache + " " + strings.Replace(cache, "level=1", "level=2", 1),
	onNode + latency + " " + bandwidth + " " + strings.Replace(cache, "node-id=0", "node-id=2", 1),
	"-numa node,memdev=ram -numa node -numa node -numa dist,src=0,dst=1,val=30 -numa dist,src=1,dst=0,val=40 -numa dist,src=0,dst=2,val=40 -numa dist,src=1,dst=2,val=40",
	"-numa node,memdev=ram -numa node -numa node -numa dist,src=0,dst=1,val=30",
	"-numa node,memdev=ram -numa node -numa dist,src=0,dst=1,val=9",
	"-numa node,memdev=ram -numa node -numa dist,src=0,dst=1,val=256",
	"-numa node,memdev=ram -numa node -numa dist,src=0,val=20",
	"-numa node,memdev=ram -numa dist,src=0,dst=0,val=11",
	"-numa node,memdev=ram -numa dist,src=0,dst=1,val=20",
	"-numa node,memdev=ram -numa dist,src=0,dst=128,val=20",
	"-numa node,memdev=ram,nodeid=1",
	"-numa node,memdev=ram,nodeid=0 -numa node,nodeid=0",
	"-numa node,nodeid=128",
	"-numa node,nodeid=x",
	"-numa node,cpus=1",
	"-numa node,cpus=x",
	"-numa node,memdev=none-such",
	"-numa node,memdev=ram -numa node,mem=1",
	"-numa node,mem=64",
	"-numa node,colour=red",
	"-numa elsewhere",
	"-numa node -numa node",
	"-numa node,memdev=ram -numa cpu,socket-id=0",
	"-numa node,memdev=ram -numa cpu,node-id=1,socket-id=0",
	"-numa node,memdev=ram -numa cpu,node-id=0,socket-id=1",
	"-numa node,memdev=ram -numa cpu,node-id=0,socket-id=x",
	"-numa node,memdev=ram -numa cpu,node-id=0,die-id=0",
	"-numa node,memdev=ram -numa cpu,node-id=0,cluster-id=0",
	"-smp 2 -numa node,memdev=ram,cpus=0-1 -numa node -numa cpu,node-id=1",
	"-M none -numa node",
}

// qomPath matches where a CPU is in the tree of objects, which depends on what else is there.
var qomPath = regexp.MustCompile(`"qom-path":"[^"]*",`)

// TestNUMA compares with QEMU which node CPUs belong to and what is refused.
func TestNUMA(t *testing.T) {
	goemu := testprog.Goemu(t)
	qemu := testprog.QEMU(t)
	for _, c := range numaCases {
		assert.Equal(t, numaSaid(qemu, c), numaSaid(goemu, c), c)
	}
}

// numaSaid is what a program started with such options shows of its CPUs, and its messages.
func numaSaid(program, options string) string {
	args := append([]string{"-accel", "tcg", "-cpu", "pentium", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio", "-m", "64M", "-object", "memory-backend-ram,id=ram,size=64M"}, strings.Fields(options)...)
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(`{"execute":"qmp_capabilities"}{"execute":"query-hotpluggable-cpus","id":1}` +
		`{"execute":"human-monitor-command","id":2,"arguments":{"command-line":"info numa"}}{"execute":"quit"}`)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, _ := cmd.Output()
	said := strings.ReplaceAll(errs.String(), filepath.Base(program), "QEMU")
	for line := range strings.Lines(string(out)) {
		var reply map[string]any
		if json.Unmarshal([]byte(line), &reply) == nil && reply["id"] != nil {
			b, _ := json.Marshal(reply["return"])
			said += qomPath.ReplaceAllString(string(b), "") + "\n"
		}
	}
	return said
}

// TestNUMAPreconfig places CPUs while the machine is not made yet.
func TestNUMAPreconfig(t *testing.T) {
	cmd := exec.Command(testprog.Goemu(t), "-accel", "tcg", "-nodefaults", "-display", "none", "-qmp", "stdio", "-m", "64M", "-object", "memory-backend-ram,id=ram,size=64M",
		"-preconfig", "-smp", "2,sockets=2")
	cmd.Stdin = strings.NewReader(`{"execute":"qmp_capabilities"}{"execute":"set-numa-node","arguments":{"type":"node","memdev":"ram"}}{"execute":"set-numa-node","arguments":{"type":"node"}}
		{"execute":"set-numa-node","arguments":{"type":"cpu","node-id":0,"socket-id":1}}{"execute":"set-numa-node","arguments":{"type":"cpu","node-id":1,"socket-id":0}}
		{"execute":"x-exit-preconfig"}{"execute":"human-monitor-command","arguments":{"command-line":"info numa"}}{"execute":"set-numa-node","arguments":{"type":"node"}}{"execute":"quit"}`)
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Contains(t, string(out), `"2 nodes\r\nnode 0 cpus: 1\r\nnode 0 size: 64 MB\r\nnode 0 plugged: 0 MB\r\nnode 1 cpus: 0\r\n`)
	require.Contains(t, string(out), "The command is permitted only before the machine has been created")
}

// FuzzNUMA reads any options.
func FuzzNUMA(f *testing.F) {
	for _, c := range numaCases {
		f.Add(strings.ReplaceAll(c, "-numa ", ""))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := &session{vm: new(config.VM), typ: pc.Find("pc"), config: &pc.Config{Props: pc.Props{HMAT: true}}}
		s.vm.SMP.MaxCPUs, s.vm.SMP.Sockets = 8, 8
		require.NoError(t, s.readNUMA())
		s.numa.warn = func(string) {}
		for _, v := range strings.Fields(text) {
			o, err := numaOptions(config.Options{Pairs: config.ParseOpts(v, "type")})
			if err == nil && (o.Type != qapi.NumaOptionsTypeNode || o.Node.Memdev == nil) {
				_ = s.numa.set(o)
			}
		}
		if nodes, err := s.numa.finish(0); err == nil && len(nodes) > 0 {
			cpus := 0
			for _, n := range nodes {
				cpus += len(n.CPUs)
			}
			require.Equal(t, 8, cpus)
			acpi.Build(&acpi.Machine{Nodes: make([]acpi.Node, len(nodes)), HMAT: s.numa.table(nodes), GED: &acpi.GED{}}, 0)
		}
	})
}
