package input

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/transport"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/mainloop"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
	"goemu/ui/input"
)

const (
	devfn              = 5 << 3
	eventRing, ledRing = 0x10000, 0x20000
	eventData          = 0x100000
)

var kinds = []string{"keyboard", "mouse", "tablet"}

// newDevice makes a device in a machine, and a driver with eventRing and ledRing.
func newDevice(t testing.TB, kind string, props ...string) (*virtiotest.Function, *Model) {
	t.Helper()
	m := virtiotest.NewMachine(t, Classes())
	d, err := m.Add("virtio-"+kind+"-pci", append([]string{"addr", "5"}, props...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	var model *Model
	switch v := d.(type) {
	case interface{ VirtioDevice() *Keyboard }:
		model = &v.VirtioDevice().Model
	case interface{ VirtioDevice() *Mouse }:
		model = &v.VirtioDevice().Model
	case interface{ VirtioDevice() *Tablet }:
		model = &v.VirtioDevice().Model
	}
	return m.Map(devfn), model
}

// start drives the device up to DRIVER_OK.
func start(f *virtiotest.Function) (events, leds *virtiotest.Driver) {
	f.EnableMSIX(2)
	f.Negotiate(1<<32 | 1<<29)
	events, leds = virtiotest.NewDriver(f.Mem, eventRing, queueSize, true), virtiotest.NewDriver(f.Mem, ledRing, queueSize, true)
	f.SetupQueue(0, events, 1)
	f.SetupQueue(1, leds, 1)
	f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
	return events, leds
}

// configOf reads the whole configuration space through all selectors.
func configOf(f *virtiotest.Function) string {
	var s strings.Builder
	for _, selector := range []uint64{0, cfgName, cfgSerial, cfgIDs, 0x10, cfgBits, cfgAbs, 0xff} {
		for sub := range uint64(0x20) {
			f.Mem.Store(f.Modern+virtiotest.DeviceCfg, 1, selector)
			f.Mem.Store(f.Modern+virtiotest.DeviceCfg+1, 1, sub)
			size, _ := f.Mem.Load(f.Modern+virtiotest.DeviceCfg+2, 1)
			if size == 0 {
				continue
			}
			fmt.Fprintf(&s, "%x/%x:", selector, sub)
			for i := range size {
				v, _ := f.Mem.Load(f.Modern+virtiotest.DeviceCfg+configHeader+i, 1)
				fmt.Fprintf(&s, " %02x", v)
			}
			s.WriteByte('\n')
		}
	}
	return s.String()
}

// TestConfig compares the configuration header and space with QEMU's.
func TestConfig(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			q := qtest.Start(t, "-M", "pc", "-m", "16", "-nodefaults", "-device", "virtio-"+kind+"-pci,addr=5,serial=abc")
			f, _ := newDevice(t, kind, "serial", "abc")
			for reg := uint32(0); reg < 0x100; reg += 4 {
				if reg >= 0x10 && reg < 0x28 || reg == 4 || reg == 0x3c { // what firmware writes
					continue
				}
				if got, want := f.Config(devfn, reg, 4), q.Config(devfn, reg, 4); got != want {
					t.Errorf("configuration %#x: %#x, QEMU has %#x", reg, got, want)
				}
			}
			virtiotest.DriveQEMU(t, q, devfn, func(their *virtiotest.Function, _ func(uint64, int, uint64)) {
				if got, want := configOf(f), configOf(their); got != want {
					t.Errorf("got\n%sQEMU has\n%s", got, want)
				}
			})
		})
	}
}

func TestStream(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			c := virtiotest.StreamTest{DevFn: devfn, Section: "virtio-input", QEMU: []string{"-device", "virtio-" + kind + "-pci,addr=5"}}
			c.New = func() (*virtiotest.Machine, virtiotest.Stopper, vmstate.State) {
				f, m := newDevice(t, kind)
				return f.Machine, m, f.Tree.Devices()[len(f.Tree.Devices())-1].Dev().State()
			}
			c.Drive = func(f *virtiotest.Function, _ func(uint64, int, uint64)) { start(f) }
			c.Run(t)
		})
	}
}

func TestLayout(t *testing.T) {
	d := qdev.New(transport.DeviceClass[Keyboard]())
	vmstatetest.Compare(t, "pc", "virtio-keyboard-device", d.Dev().State().Layout())
}

// run lets the device serve its queues.
func run() { mainloop.Main.RunPending() }

// offer gives the driver's queue buffers for events, from number first on.
func offer(d *virtiotest.Driver, first, n int) {
	for i := first; i < first+n; i++ {
		d.Add(virtiotest.Buf{Addr: eventData + uint64(i)*eventSize, Len: eventSize, Write: true})
	}
}

// got are the events that the driver has got in its buffers.
func got(f *virtiotest.Function, d *virtiotest.Driver) (list []event) {
	for i := uint64(0); ; i++ {
		_, n, ok := d.Next()
		if !ok {
			return list
		}
		var b [eventSize]byte
		f.Mem.Read(eventData+i*eventSize, b[:n])
		list = append(list, event{binary.LittleEndian.Uint16(b[:]), binary.LittleEndian.Uint16(b[2:]), int32(binary.LittleEndian.Uint32(b[4:]))})
	}
}

func TestEvents(t *testing.T) {
	for _, tt := range []struct {
		kind string
		in   []input.Event
		want []event
	}{
		{"keyboard", []input.Event{{Kind: input.KindKey, Key: input.Find("a"), Down: true}}, []event{{evKey, 30, 1}, {}}},
		{"mouse", []input.Event{{Kind: input.KindRel, Axis: input.AxisY, Value: -3}, {Kind: input.KindButton, Button: input.WheelDown, Down: true}},
			[]event{{evRel, relY, -3}, {evRel, relWheel, -1}, {}}},
		{"tablet", []input.Event{{Kind: input.KindAbs, Axis: input.AxisX, Value: 0x7fff}, {Kind: input.KindButton, Button: input.Right, Down: true}},
			[]event{{evAbs, absX, 0x7fff}, {evKey, btnRight, 1}, {}}},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			f, m := newDevice(t, tt.kind)
			send := func() {
				virtiotest.Locked(func() {
					for _, e := range tt.in {
						m.Input(e)
					}
					m.Sync()
				})
				run()
			}
			send() // nobody listens yet
			d, _ := start(f)
			offer(d, 0, 1)
			f.Kick(0)
			send() // too few buffers: lost, and the buffer stays
			if l := got(f, d); len(l) != 0 {
				t.Fatalf("got %v", l)
			}
			offer(d, 1, 8)
			f.Kick(0)
			run()
			send()
			if l := got(f, d); !slices.Equal(l, tt.want) {
				t.Fatalf("got %v, want %v", l, tt.want)
			}
		})
	}
}

// TestLights switches a light of the keyboard on.
func TestLights(t *testing.T) {
	f, _ := newDevice(t, "keyboard")
	_, d := start(f)
	f.Mem.Write(eventData, event{evLED, ledCaps, 1}.bytes())
	d.Add(virtiotest.Buf{Addr: eventData, Len: eventSize})
	f.Kick(1)
	run()
	if input.Main.LEDs() != input.CapsLED {
		t.Errorf("lights %v", input.Main.LEDs())
	}
}

// FuzzDevice writes to the registers and rings of a device while there are events.
func FuzzDevice(f *testing.F) {
	f.Add([]byte("\x14\x01\x0f\x00\x00\x30\x02\x00\x01\x00\x20\x04\x00\x00\x00\x01"))
	f.Add([]byte("\x00\x20\x00\x00\x11\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		g, m := newDevice(t, kinds[len(script)%3])
		defer g.Mem.View().Find(0).RAM.Free()
		d, _ := start(g)
		offer(d, 0, 16)
		for ; len(script) >= 8; script = script[8:] {
			at, size, v := uint64(binary.LittleEndian.Uint16(script)), 1<<(script[2]&3), uint64(binary.LittleEndian.Uint32(script[4:]))
			switch script[3] & 3 {
			case 0:
				virtiotest.Locked(func() { g.Mem.Store(g.Modern+at&0x3fff, size, v) })
			case 1:
				g.Mem.Store(eventRing+at&0x3fff, size, v)
			case 2:
				g.Mem.Store(ledRing+at&0x3fff, size, v)
				virtiotest.Locked(func() { g.Kick(1) })
			case 3:
				virtiotest.Locked(func() {
					m.Input(input.Event{Kind: input.Kind(v & 3), Key: input.Key(at), Button: input.Button(at % 9), Axis: input.Axis(at & 1), Down: v&4 != 0, Value: int(v)})
					m.Sync()
				})
			}
			run()
		}
	})
}
