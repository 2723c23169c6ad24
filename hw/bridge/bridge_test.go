package bridge

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/internal/testprog"
	"goemu/migration/vmstate"
)

// TestHelp compares the options with QEMU's.
func TestHelp(t *testing.T) {
	qemu := testprog.QEMU(t)
	for _, c := range Classes() {
		out, err := exec.Command(qemu, "-device", c.Name+",help").Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := qdev.Help(c); got != string(out) {
			t.Errorf("got\n%swant\n%s", got, out)
		}
	}
}

// endpoint is a function that does nothing.
type endpoint struct{ pci.Device }

func (*endpoint) PCIInfo() pci.Info { return pci.Info{Vendor: 1, Device: 2, Class: pci.ClassOthers} }

// rig is a root bus with all kinds of bridges that can be there at once.
func rig(t testing.TB, more ...*qdev.Class) (*qdev.Tree, *pci.Bus, *memory.Region) {
	t.Helper()
	tree := qdev.NewTree(qdev.NewRegistry(Classes(), []*qdev.Class{{Name: "endpoint", Bus: pci.BusType, New: func() qdev.Device { return new(endpoint) }}}, more))
	mem, io := memory.NewContainer("pci", memory.Whole), memory.NewPortSpace("io")
	host, err := tree.Create(&qdev.Class{Name: "host", New: func() qdev.Device { return new(rootComplex) }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bus := pci.NewExpressBus(host, "pcie.0", memory.NewContainer("system", memory.Whole), mem, io)
	bus.SetHandler(qdev.Direct{})
	return tree, bus, mem
}

type rootComplex struct{ qdev.Base }

func add(t testing.TB, tree *qdev.Tree, settings ...string) (qdev.Device, error) {
	t.Helper()
	var set []qdev.Setting
	for _, s := range settings {
		k, v, _ := strings.Cut(s, "=")
		set = append(set, qdev.Setting{Name: k, Value: v})
	}
	return tree.Add(set)
}

func must(t testing.TB, d qdev.Device, err error) qdev.Device {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSlot plugs a device into a slot and takes it out as a guest would.
func TestSlot(t *testing.T) {
	tree, bus, _ := rig(t)
	d, err := add(t, tree, "driver=pcie-root-port", "id=rp", "addr=1", "chassis=1")
	port := must(t, d, err).(*genericRootPort)
	if _, err := add(t, tree, "driver=pcie-root-port", "id=twin", "addr=2", "chassis=1"); err == nil || err.Error() != "Can't add chassis slot, error -16" {
		t.Error(err)
	}
	tree.Reset()
	tree.Hot = true
	var gone []string
	tree.OnRemoved = func(id, _ string) { gone = append(gone, id) }
	if v := port.Get16(port.reg(slotSta)); v&staPresent != 0 {
		t.Errorf("empty slot: status %#x", v)
	}
	d, err = add(t, tree, "driver=endpoint", "id=e", "bus=rp")
	dev := must(t, d, err)
	if v := port.Get16(port.reg(slotSta)); v&(staPresent|evPresence|evButton) != staPresent|evPresence|evButton {
		t.Errorf("after plugging: status %#x", v)
	}
	ctl := func(v uint32) { bus.Function(8).(pci.ConfigWriter).WriteConfig(port.reg(slotCtl), 2, v) }
	ctl(ctlIndicatorOn)
	if err := tree.RequestUnplug(dev, "e"); err != nil || len(gone) != 0 {
		t.Error(err, gone)
	}
	if err := tree.RequestUnplug(dev, "e"); err == nil || err.Error() != "Device e is already in the process of unplug" {
		t.Error(err)
	}
	ctl(ctlIndicatorBlinks)
	dev.Dev().SetLeavingFor(0)
	if err := tree.RequestUnplug(dev, "e"); err == nil || err.Error() != "Hot-unplug failed: guest is busy (power indicator blinking)" {
		t.Error(err)
	}
	ctl(ctlIndicatorOff | ctlPowerOff)
	if len(gone) != 1 || gone[0] != "e" || port.Get16(port.reg(slotSta))&staPresent != 0 {
		t.Errorf("gone %v, status %#x", gone, port.Get16(port.reg(slotSta)))
	}
}

// memoryDevice is a function with a window of memory.
type memoryDevice struct {
	pci.Device
	ram *memory.Region
}

func (*memoryDevice) PCIInfo() pci.Info {
	return pci.Info{Vendor: 1, Device: 2, Class: pci.ClassOthers}
}

func (d *memoryDevice) Realize() error {
	d.ram = memory.NewIO("bar", 0x1000, echo{})
	d.SetBAR(0, 0, d.ram)
	return nil
}

// echo reads as the offset.
type echo struct{}

func (echo) Read(off uint64, _ int) uint64 { return off }
func (echo) Write(uint64, int, uint64)     {}

// TestWindowsAfterLoad: what is behind a port answers where it did when its state is loaded into another machine.
func TestWindowsAfterLoad(t *testing.T) {
	const window, slot = 0xe0000000, 8
	machine := func() (*pci.Bus, *memory.AddressSpace, []vmstate.State) {
		tree, bus, mem := rig(t, &qdev.Class{Name: "memory-device", Bus: pci.BusType, New: func() qdev.Device { return new(memoryDevice) },
			State: qdev.State(&vmstate.Description[memoryDevice]{Name: "memory-device", Version: 1, Fields: []vmstate.Field[memoryDevice]{
				vmstate.Struct("parent_obj", &pci.State, func(d *memoryDevice) *pci.Device { return &d.Device })}})})
		d, err := add(t, tree, "driver=pcie-root-port", "id=rp", "addr=1", "chassis=1")
		port := must(t, d, err)
		d, err = add(t, tree, "driver=memory-device", "id=m", "bus=rp")
		behind := must(t, d, err)
		tree.Reset()
		return bus, memory.NewAddressSpace("memory", mem), []vmstate.State{port.Dev().State(), behind.Dev().State()}
	}
	answers := func(space *memory.AddressSpace) bool {
		v, res := space.Load(window+0x10, 4)
		return res == memory.OK && v == 0x10
	}
	bus, space, states := machine()
	write := func(f pci.Function, at, size int, v uint32) {
		if w, ok := f.(pci.ConfigWriter); ok {
			w.WriteConfig(at, size, v)
		} else {
			f.PCI().DefaultWriteConfig(at, size, v)
		}
	}
	port := bus.Function(slot)
	write(port, pci.RegSecondaryBus, 1, 1)
	write(port, pci.RegSubordinateBus, 1, 1)
	write(port, 0x20, 4, window>>16|window) // memory base and limit
	write(port, pci.RegCommand, 2, pci.CommandMemory)
	behind := port.(pci.BridgeDevice).AsBridge().Secondary().Function(0)
	write(behind, pci.RegBAR0, 4, window)
	write(behind, pci.RegCommand, 2, pci.CommandMemory)
	require.True(t, answers(space))
	_, other, loaded := machine()
	require.False(t, answers(other))
	for i, s := range states {
		var w vmstate.Writer
		s.Save(&w)
		require.NoError(t, loaded[i].Load(vmstate.NewReader(w.Bytes()), 1))
	}
	require.True(t, answers(other))
}

// FuzzBridges writes anything to the configuration spaces and the hot-plug controller.
func FuzzBridges(f *testing.F) {
	f.Add([]byte{0, 0x6c, 2, 0xff, 0xff, 0xff, 0xff, 1, 0x04, 2, 7, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		tree, bus, mem := rig(t)
		for i, s := range [][]string{{"driver=pcie-root-port", "id=a", "chassis=1"}, {"driver=ioh3420", "id=b"}, {"driver=pcie-pci-bridge", "id=c", "bus=a"},
			{"driver=x3130-upstream", "id=u", "bus=b"}, {"driver=xio3130-downstream", "id=d", "bus=u", "chassis=9"}, {"driver=pci-bridge", "chassis_nr=3", "id=p"},
			{"driver=i82801b11-bridge", "id=i"}, {"driver=endpoint", "bus=c", "addr=1"}, {"driver=endpoint", "bus=p", "addr=2"}, {"driver=endpoint", "bus=d"}} {
			if _, err := add(t, tree, s...); err != nil {
				t.Fatal(i, err)
			}
		}
		tree.Reset()
		tree.Hot = true
		space := memory.NewAddressSpace("pci", mem)
		defer space.Close()
		for ; len(script) >= 7; script = script[7:] {
			addr := uint32(script[0])<<16 | uint32(script[1])<<8 | uint32(script[2]&0xfc)
			v := uint32(script[3]) | uint32(script[4])<<8 | uint32(script[5])<<16 | uint32(script[6])<<24
			bus.WriteConfig(addr, 4, v)
			_ = bus.ReadConfig(addr, 4)
			space.Store(uint64(v), 4, uint64(addr))
			if script[0]&0xf0 == 0xf0 {
				tree.Reset()
			}
		}
	})
}
