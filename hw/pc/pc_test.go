package pc

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/accel"
	"goemu/hw/char"
	"goemu/hw/ide/ahci"
	idepiix "goemu/hw/ide/piix"
	"goemu/hw/qdev"
	"goemu/hw/virtio/rng"
	"goemu/hw/virtio/serial"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/qom"
	"goemu/internal/testprog"
	"goemu/target/x86"
)

// idle is an accelerator that executes nothing.
type idle struct{}

func (idle) NewCPU(index int, apicID uint32) (CPU, error) {
	return &idleCPU{index: index, apicID: apicID, env: new(x86.Env)}, nil
}
func (idle) Remove(CPU)   {}
func (idle) Start()       {}
func (idle) Pause()       {}
func (idle) Resume()      {}
func (idle) Close() error { return nil }

type idleCPU struct {
	index  int
	apicID uint32
	env    *x86.Env
}

func (c *idleCPU) Thread() int                                      { return 0 }
func (c *idleCPU) Index() int                                       { return c.index }
func (c *idleCPU) APICID() uint32                                   { return c.apicID }
func (c *idleCPU) Raise(accel.IRQ)                                  {}
func (c *idleCPU) Lower(accel.IRQ)                                  {}
func (c *idleCPU) Do(f func())                                      { f() }
func (c *idleCPU) Halted() bool                                     { return true }
func (c *idleCPU) Env() *x86.Env                                    { return c.env }
func (c *idleCPU) Reset()                                           {}
func (c *idleCPU) SetInterruptController(accel.InterruptController) {}
func (c *idleCPU) SetA20(bool)                                      {}
func (c *idleCPU) SetMSR(uint32, uint64)                            {}
func (c *idleCPU) State() *x86.State                                { return c.env.Save() }
func (c *idleCPU) SetState(s *x86.State)                            { c.env.Load(s) }
func (c *idleCPU) ChangeMC(func(s *x86.State) bool)                 {}

// build makes a machine that executes nothing.
func build(t testing.TB, typ string, cpus int, change func(*Config)) (*Machine, error) {
	t.Helper()
	cpu, _, err := x86.ParseOption("qemu64", &x86.TCGFeatures, "TCG")
	require.NoError(t, err)
	cpu.Topology = x86.Topology{Sockets: cpus, Dies: 1, Cores: 1, Threads: 1}
	c := Config{Type: Find(typ), RAM: 128 << 20, CPUs: cpus, CPU: cpu, RTC: RTC{Clock: clock.Host}, BIOS: make([]byte, 1<<16),
		Registry: qdev.NewRegistry(char.Classes, rng.Classes(), serial.Classes(), ahci.Classes(), idepiix.Classes()),
		NewAccel: func(_, _ *memory.AddressSpace, _ accel.Machine) (Accelerator, error) { return idle{}, nil }}
	require.NotNil(t, c.Type, typ)
	c.Props = c.Type.DefaultProps()
	if change != nil {
		change(&c)
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	m, err := New(c)
	if err == nil {
		t.Cleanup(func() {
			mainloop.Lock.Lock()
			defer mainloop.Lock.Unlock()
			require.NoError(t, m.Close())
		})
	}
	return m, err
}

func add(t *testing.T, m *Machine, option string) (qdev.Device, error) {
	t.Helper()
	var set []qdev.Setting
	for i, f := range strings.Split(option, ",") {
		name, value, ok := strings.Cut(f, "=")
		if i == 0 && !ok {
			name, value = "driver", f
		}
		set = append(set, qdev.Setting{Name: name, Value: value})
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return m.AddDevice(set)
}

func TestLayout(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		typ                      string
		ram, max32, below, above uint64
	}{
		{"pc", 128 * mib, 0, 128 * mib, 0},
		{"pc", 3584*mib - mib, 0, 3584*mib - mib, 0},
		{"pc", 3584 * mib, 0, 3 * gib, 512 * mib},
		{"pc", 6 * gib, 0, 3 * gib, 3 * gib},
		{"pc", 2 * gib, gib, gib, gib},
		{"microvm", 3584 * mib, 0, 3584 * mib, 0},
		{"microvm", 4 * gib, 0, 3584 * mib, 512 * mib},
	} {
		typ := Find(c.typ)
		p := typ.DefaultProps()
		p.MaxRAMBelow4G = c.max32
		m := layout(c.ram, typ, &p)
		assert.Equal(t, [2]uint64{c.below, c.above}, [2]uint64{m.below, m.above}, "%s, %d MiB", c.typ, c.ram/mib)
	}
}

func TestMistakes(t *testing.T) {
	_, err := build(t, "pc", 256, nil)
	require.EqualError(t, err, "Invalid SMP CPUs 256. The max CPUs supported by machine 'pc-i440fx-7.2' is 255")
	_, err = build(t, "pc", 1, func(c *Config) {
		c.NewAccel = func(_, _ *memory.AddressSpace, _ accel.Machine) (Accelerator, error) { return nil, io.EOF }
	})
	require.ErrorIs(t, err, io.EOF)
	var p Props
	require.EqualError(t, Find("microvm").SetProp(&p, "hpet", "off"), "Property 'microvm-machine.hpet' not found")
	require.Nil(t, Find("nonsense"))
}

// TestIDE adds the IDE function of the PIIX3 to a machine with another chip: its channels are at the ports where they always are.
func TestIDE(t *testing.T) {
	m, err := build(t, "q35", 1, nil)
	require.NoError(t, err)
	status := func() uint64 {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		ports := memory.NewAddressSpace("ports", m.io)
		defer ports.Close()
		v, _ := ports.Load(0x1f7, 1)
		return v
	}
	require.EqualValues(t, 0xff, status())
	_, err = add(t, m, "piix3-ide,id=p")
	require.NoError(t, err)
	require.Zero(t, status(), "no drive answers")
	require.NotNil(t, m.Tree.FindBus("p.1"))
	m, err = build(t, "microvm", 1, nil)
	require.NoError(t, err)
	_, err = add(t, m, "piix3-ide")
	require.EqualError(t, err, "No 'PCI' bus found for device 'piix3-ide'")
}

// TestClose: a machine leaves no object behind.
func TestClose(t *testing.T) {
	for _, typ := range []string{"pc", "microvm"} {
		m, err := build(t, typ, 2, nil)
		require.NoError(t, err)
		mainloop.Lock.Lock()
		require.NoError(t, m.Ready(context.Background()))
		m.Tree.Close()
		mainloop.Lock.Unlock()
		for _, c := range m.Tree.Unattached.Children() {
			require.True(t, c.Name() == "sysbus" || strings.HasSuffix(c.Type(), "-cpu"), "%s: %s %s is left", typ, c.Path(), c.Type())
		}
	}
}

// monitor is QEMU's.
type monitor struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

func startQEMU(t *testing.T, args ...string) *monitor {
	t.Helper()
	path := testprog.QEMU(t)
	cmd := exec.Command(path, append([]string{"-S", "-display", "none", "-nodefaults", "-qmp", "stdio"}, args...)...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	m := &monitor{t, in, bufio.NewReader(out)}
	m.read()
	m.command("qmp_capabilities", map[string]string{})
	return m
}

func (m *monitor) read() (r struct {
	Return json.RawMessage
	Error  *struct{ Desc string }
	Event  string
}) {
	line, err := m.out.ReadBytes('\n')
	require.NoError(m.t, err)
	require.NoError(m.t, json.Unmarshal(line, &r))
	return r
}

func (m *monitor) command(name string, args map[string]string) json.RawMessage {
	m.t.Helper()
	b, _ := json.Marshal(args)
	fmt.Fprintf(m.in, "{\"execute\":%q,\"arguments\":%s}\n", name, b)
	for {
		if r := m.read(); r.Event == "" {
			if r.Error != nil {
				m.t.Fatalf("%s %s: %s", name, b, r.Error.Desc)
			}
			return r.Return
		}
	}
}

// list is qom-list: name and type of each property.
func (m *monitor) list(path string) (out []string) {
	var l []struct{ Name, Type string }
	require.NoError(m.t, json.Unmarshal(m.command("qom-list", map[string]string{"path": path}), &l))
	for _, p := range l {
		out = append(out, p.Name+" "+p.Type)
	}
	return out
}

// TestObjects compares the user's devices with QEMU's: paths, types, the buses they are on and all properties, for machines of several
// versions, which differ in defaults.
func TestObjects(t *testing.T) {
	devices := []string{"virtio-rng-pci,id=r,max-bytes=100", "virtio-serial-pci,id=s", "virtio-serial-pci", "virtconsole,bus=s.0,name=x", "virtserialport,bus=s.0,nr=3,id=p"}
	types := []string{"pc-i440fx-7.2", "pc-i440fx-6.2", "pc-i440fx-5.1", "pc-i440fx-4.2"}
	if testing.Short() {
		types = types[:1]
	}
	for _, typ := range types {
		t.Run(typ, func(t *testing.T) {
			args := []string{"-M", typ, "-m", "16"}
			m, err := build(t, typ, 1, nil)
			require.NoError(t, err)
			for _, d := range devices {
				args = append(args, "-device", d)
				_, err := add(t, m, d)
				require.NoError(t, err)
			}
			q := startQEMU(t, args...)
			for _, dir := range []string{"/machine/peripheral", "/machine/peripheral-anon"} {
				n, err := m.Tree.QOM.Resolve(dir)
				require.NoError(t, err)
				var got []string
				for _, p := range n.Properties() {
					got = append(got, p.Name+" "+p.Type)
				}
				want := q.list(dir)
				slices.Sort(got)
				slices.Sort(want)
				require.Equal(t, want, got, dir)
				for _, c := range n.Children() {
					compareObject(t, q, c.Path(), c.Properties())
				}
			}
		})
	}
}

// compareObject compares the properties of an object that both have; QEMU must have all of ours.
func compareObject(t *testing.T, q *monitor, path string, props []qom.Property) {
	t.Helper()
	theirs := map[string]string{}
	for _, l := range q.list(path) {
		name, typ, _ := strings.Cut(l, " ")
		theirs[name] = typ
	}
	for _, p := range props {
		typ, ok := theirs[p.Name]
		if !assert.True(t, ok, "QEMU has no property %s.%s", path, p.Name) {
			continue
		}
		assert.Equal(t, typ, p.Type, "type of %s.%s", path, p.Name)
		if strings.HasPrefix(typ, "link<virtio") || p.Get == nil || p.Name == "rng" {
			continue // the source that a device has made for itself is an object in QEMU
		}
		got, err := json.Marshal(p.Get())
		require.NoError(t, err)
		assert.Equal(t, string(q.command("qom-get", map[string]string{"path": path, "property": p.Name})), string(got), "%s.%s", path, p.Name)
	}
}
