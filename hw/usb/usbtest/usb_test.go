// Package usbtest compares USB controllers and devices with QEMU's: the same conversation over the registers, all of whose answers are equal.
package usbtest

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	scsidisk "goemu/hw/scsi/disk"
	"goemu/hw/usb"
	"goemu/hw/usb/ehci"
	"goemu/hw/usb/hid"
	"goemu/hw/usb/storage"
	"goemu/hw/usb/uas"
	"goemu/hw/usb/uhci"
	"goemu/hw/usb/xhci"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

var le = binary.LittleEndian

const (
	barMem = 0xfd000000
	barIO  = 0xc000

	listAt, headAt, tdAt, dataAt = 0x10000, 0x12000, 0x13000, 0x20000
)

// guest is a machine with the controller: ours or QEMU's.
type guest interface {
	virtiotest.Guest
	step(ns int64)
}

type ours struct{ virtiotest.Ours }

func (m ours) step(ns int64) {
	mainloop.Main.RunPending()
	clock.Virtual.Set(clock.Virtual.Now() + ns)
	mainloop.Main.RunPending()
	mainloop.Main.RunPending()
}

type theirs struct{ virtiotest.Theirs }

func (q theirs) step(ns int64) { q.Pass(ns) }

func image(t testing.TB) string { return virtiotest.Image(t, 1<<20, 1<<20) }

func classes() []*qdev.Class {
	return slices.Concat(uhci.Classes(), ehci.Classes(), xhci.Classes(), hid.Classes(), storage.Classes(), uas.Classes(), scsidisk.Classes(), []*qdev.Class{usb.HubClass})
}

// newOurs makes our machine with devices.
func newOurs(t testing.TB, path string, devices ...string) ours {
	t.Helper()
	clock.Virtual.SetFake(1_000_000_000)
	m := virtiotest.NewOurs(t, path, classes())
	m.Plug(devices...)
	virtiotest.Locked(m.Tree.Reset)
	return ours{m}
}

func newQEMU(t testing.TB, path string, devices ...string) theirs {
	return theirs{virtiotest.Theirs{QEMU: qtest.StartHurried(t, virtiotest.PCArgs(path, devices...)...)}}
}

// TestConfig compares the configuration space.
func TestConfig(t *testing.T) {
	for _, d := range []string{"piix3-usb-uhci", "piix4-usb-uhci", "ich9-usb-uhci2", "ich9-usb-uhci6", "usb-ehci", "ich9-usb-ehci1", "ich9-usb-ehci2", "nec-usb-xhci", "qemu-xhci", "nec-usb-xhci,p2=2,p3=6,intrs=4,slots=8,msi=off", "nec-usb-xhci,force-pcie-endcap=on,superspeed-ports-first=off", "qemu-xhci,p2=15,p3=1"} {
		t.Run(d, func(t *testing.T) {
			d += ",addr=5"
			o, q := newOurs(t, image(t), d), newQEMU(t, image(t), d)
			for reg := uint32(0); reg < 256; reg += 4 {
				if got, want := o.Config(reg, 4), q.Config(reg, 4); got != want {
					t.Errorf("config %02x: %08x, want %08x", reg, got, want)
				}
			}
			for reg := uint32(0x10); reg < 256; reg += 4 {
				o.SetConfig(reg, 4, ^uint32(0))
				q.SetConfig(reg, 4, ^uint32(0))
				if got, want := o.Config(reg, 4), q.Config(reg, 4); got != want {
					t.Errorf("config %02x after writing ones: %08x, want %08x", reg, got, want)
				}
			}
		})
	}
}

// TestRegisters compares what registers in memory say after power-on and after writes.
func TestRegisters(t *testing.T) {
	for _, d := range []string{"usb-ehci", "nec-usb-xhci", "qemu-xhci", "nec-usb-xhci,superspeed-ports-first=off,intrs=4,slots=8"} {
		t.Run(d, func(t *testing.T) {
			o, q := newOurs(t, image(t), d+",addr=5", "usb-tablet", "usb-storage,drive=d"), newQEMU(t, image(t), d+",addr=5", "usb-tablet", "usb-storage,drive=d")
			compare := func(when string) {
				for at := uint64(0); at < 0x600; at += 4 {
					if got, want := o.Load(barMem+at, 4), q.Load(barMem+at, 4); got != want {
						t.Errorf("%s: register %03x: %08x, want %08x", when, at, got, want)
					}
				}
			}
			for _, g := range []guest{o, q} {
				g.SetConfig(pci.RegBAR0, 4, barMem)
				g.SetConfig(pci.RegCommand, 2, pci.CommandMemory|pci.CommandMaster)
			}
			compare("at first")
			for _, at := range []uint64{0x24, 0x28, 0x2c, 0x34, 0x54, 0x58, 0x64, 0x68, 0x6c, 0x70, 0x74, 0x78, 0x440, 0x450, 0x480, 0x490, 0x1020, 0x1024, 0x1028} {
				for _, v := range []uint64{0x5a5a5a50, 0xa5a5a580, 0x00010200} {
					o.Store(barMem+at, 4, v)
					q.Store(barMem+at, 4, v)
				}
			}
			compare("after writes")
		})
	}
}

// host moves data over a controller.
type host interface {
	// start resets the port and gives it to the device.
	start()
	// transfer does packets on an endpoint, one for each piece of data, and tells of their ends. pid: 0 out, 1 in, 2 setup.
	transfer(addr, endpoint uint8, pid []int, data [][]byte) string
}

type uhciHost struct{ guest }

func (h uhciHost) start() {
	h.SetConfig(0x20, 4, barIO)
	h.SetConfig(pci.RegCommand, 2, pci.CommandIO|pci.CommandMaster)
	for i := range uint64(1024) {
		h.Store(listAt+4*i, 4, headAt|2)
	}
	h.Write(headAt, []byte{1, 0, 0, 0, 1, 0, 0, 0})
	h.Out(barIO+8, 4, listAt)
	h.Out(barIO+0x10, 2, 0x200)
	h.Out(barIO+0x10, 2, 0)
	h.Out(barIO+0x10, 2, 4)
	h.Out(barIO, 2, 1)
	h.step(1_000_000)
}

func (h uhciHost) transfer(addr, endpoint uint8, pids []int, data [][]byte) string {
	at := uint32(dataAt)
	for i, pid := range pids {
		token := uint32([]uint8{0xe1, 0x69, 0x2d}[pid]) | uint32(addr)<<8 | uint32(endpoint)<<15 | uint32(len(data[i])-1)&0x7ff<<21
		link := uint32(tdAt + 32*(i+1))
		if i == len(pids)-1 {
			link = 1
		}
		b := le.AppendUint32(nil, link|4&^(link&1<<2))
		b = le.AppendUint32(b, 1<<23|1<<24|3<<27)
		b = le.AppendUint32(b, token)
		b = le.AppendUint32(b, at)
		h.Write(uint64(tdAt+32*i), b)
		if pid != 1 && len(data[i]) > 0 {
			h.Write(uint64(at), data[i])
		}
		at += uint32(len(data[i])+63) &^ 63
	}
	h.Store(headAt+4, 4, tdAt)
	await(h.guest, func() bool {
		for i := range pids {
			if c := h.Load(uint64(tdAt+32*i+4), 4); c&(1<<23) != 0 {
				return c&(1<<19) != 0
			} else if c&(1<<22) != 0 {
				return true
			}
		}
		return true
	})
	s, at := fmt.Sprintf("sts %x head %x", h.In(barIO+2, 2), h.Load(headAt+4, 4)), uint32(dataAt)
	for i, pid := range pids {
		s += fmt.Sprintf(" td %x", h.Load(uint64(tdAt+32*i+4), 4))
		if pid == 1 && len(data[i]) > 0 {
			s += fmt.Sprintf(" %x", h.Read(uint64(at), len(data[i])))
			h.Write(uint64(at), make([]byte, len(data[i])))
		}
		at += uint32(len(data[i])+63) &^ 63
	}
	h.Store(headAt+4, 4, 1)
	h.step(2_000_000)
	h.Out(barIO+2, 2, 0x1f)
	return s
}

type ehciHost struct{ guest }

func (h ehciHost) start() {
	h.SetConfig(pci.RegBAR0, 4, barMem)
	h.SetConfig(pci.RegCommand, 2, pci.CommandMemory|pci.CommandMaster)
	h.Store(barMem+0x60, 4, 1)
	h.Store(barMem+0x64, 4, 0x1100)
	h.Store(barMem+0x64, 4, 0x1000)
	h.Store(barMem+0x38, 4, headAt)
	h.head(0, 0, 0, 1)
	h.Store(barMem+0x20, 4, 0x80021)
	h.step(1_000_000)
}

// head writes the queue head.
func (h ehciHost) head(addr, endpoint uint8, toggle, next uint32) {
	w := make([]uint32, 12)
	w[0], w[1], w[2], w[4], w[5], w[6] = headAt|2, uint32(addr)|uint32(endpoint)<<8|2<<12|1<<15|64<<16|toggle<<14, 1<<30, next, 1, 0
	var b []byte
	for _, v := range w {
		b = le.AppendUint32(b, v)
	}
	h.Write(headAt, b)
}

func (h ehciHost) transfer(addr, endpoint uint8, pids []int, data [][]byte) string {
	at := uint32(dataAt)
	for i, pid := range pids {
		next := uint32(tdAt + 64*(i+1))
		if i == len(pids)-1 {
			next = 1
		}
		b := le.AppendUint32(nil, next)
		b = le.AppendUint32(b, 1)
		b = le.AppendUint32(b, 1<<7|uint32(pid)<<8|3<<10|1<<15|uint32(len(data[i]))<<16)
		for p := range uint32(5) {
			b = le.AppendUint32(b, at&^(0xfff*min(p, 1))+p*4096)
		}
		h.Write(uint64(tdAt+64*i), b)
		if pid != 1 && len(data[i]) > 0 {
			h.Write(uint64(at), data[i])
		}
		at += uint32(len(data[i])+63) &^ 63
	}
	h.head(addr, endpoint, 1, tdAt)
	await(h.guest, func() bool {
		for i := range pids {
			if c := h.Load(uint64(tdAt+64*i+8), 4); c&(1<<6) != 0 {
				return true
			} else if c&(1<<7) != 0 {
				return endpoint == 1 && len(data[0]) == 8 // the answer is that there is nothing to say
			}
		}
		return true
	})
	s, at := fmt.Sprintf("sts %x", h.Load(barMem+0x24, 4)&0x37), uint32(dataAt)
	for i, pid := range pids {
		s += fmt.Sprintf(" td %x", h.Load(uint64(tdAt+64*i+8), 4))
		if pid == 1 && len(data[i]) > 0 {
			s += fmt.Sprintf(" %x", h.Read(uint64(at), len(data[i])))
			h.Write(uint64(at), make([]byte, len(data[i])))
		}
		at += uint32(len(data[i])+63) &^ 63
	}
	h.head(addr, endpoint, 1, 1)
	h.step(2_000_000)
	h.Store(barMem+0x24, 4, 0x3f)
	return s
}

// await lets time pass until a transfer is over, and a little more for its interrupt.
func await(g guest, done func() bool) {
	for n := 0; n < 2000 && !done(); n++ {
		g.step(1_000_000)
		time.Sleep(100 * time.Microsecond) // disks answer in their own time
	}
	g.step(2_000_000)
}

// control is a control transfer.
func control(h host, addr uint8, request, value, index uint16, data []byte) string {
	b := []byte{byte(request >> 8), byte(request), byte(value), byte(value >> 8), byte(index), byte(index >> 8), byte(len(data)), byte(len(data) >> 8)}
	dir := 0
	if request&0x8000 != 0 {
		dir = 1
	}
	pids, pieces := []int{2}, [][]byte{b}
	for len(data) > 0 {
		n := min(len(data), 64)
		pids, pieces, data = append(pids, dir), append(pieces, data[:n]), data[n:]
	}
	last := 1
	if len(pids) > 1 {
		last = 1 - dir
	}
	return h.transfer(addr, 0, append(pids, last), append(pieces, nil))
}

// requests are those of all devices; a stall is an answer, too.
func requests(class string) (out []string, do []func(host) string) {
	add := func(request, value, index uint16, n int) {
		out = append(out, fmt.Sprintf("request %04x value %04x index %04x length %d", request, value, index, n))
		do = append(do, func(h host) string { return control(h, 3, request, value, index, make([]byte, n)) })
	}
	for _, v := range []uint16{0x100, 0x200, 0x201, 0x600, 0x700, 0xf00, 0x300, 0x301, 0x302, 0x303, 0x304, 0x305, 0x306, 0x307, 0x308, 0x309, 0x30a, 0x30b, 0x3ee, 0x3f0} {
		add(0x8006, v, 0, 64)
	}
	add(0x8006, 0x100, 0, 8)
	add(0x8000, 0, 0, 2)
	add(0x8008, 0, 0, 1)
	add(0x0009, 1, 0, 0)
	add(0x0009, 7, 0, 0)
	add(0x8008, 0, 0, 1)
	add(0x810a, 0, 0, 1)
	add(0x810a, 0, 5, 1)
	add(0x010b, 0, 0, 0)
	add(0x010b, 1, 0, 0)
	add(0x0003, 1, 0, 0)
	add(0x8000, 0, 0, 2)
	add(0x0001, 1, 0, 0)
	add(0xc051, 0, 4, 64)
	add(0xc151, 0, 5, 128)
	add(0xc051, 0, 6, 16)
	add(0x0201, 0, 0x81, 0)
	add(0x0005, 3, 0, 0)
	switch class {
	case "usb-hub":
		add(0xa006, 0x2900, 0, 16)
		for port := uint16(0); port < 10; port += 3 {
			add(0xa300, 0, port, 4)
			for _, f := range []uint16{2, 4, 8, 1, 77} {
				add(0x2303, f, port, 0)
				add(0xa300, 0, port, 4)
			}
			for _, f := range []uint16{1, 2, 8, 16, 17, 18, 19, 20, 21} {
				add(0x2301, f, port, 0)
				add(0xa300, 0, port, 4)
			}
		}
		add(0x2001, 2, 0, 0)
		add(0xa000, 0, 0, 4)
	case "usb-uas":
	case "usb-storage":
		add(0xa1fe, 0, 0, 1)
		add(0x21ff, 0, 0, 0)
	default:
		add(0x8106, 0x2200, 0, 128)
		add(0x8106, 0x2100, 0, 16)
		add(0xa101, 0x100, 0, 8)
		add(0xa103, 0, 0, 1)
		add(0x210b, 0, 0, 0)
		add(0xa103, 0, 0, 1)
		add(0xa102, 0, 0, 1)
		add(0x210a, 0, 0, 0)
		add(0x2109, 0x200, 0, 1)
	}
	return out, do
}

// bulk is a SCSI command and its data on usb-storage.
func bulk(h host, addr uint8, in bool, n int, cdb ...byte) string {
	b := make([]byte, 31)
	copy(b, "USBC\x01\x02\x03\x04")
	le.PutUint32(b[8:], uint32(n))
	if in {
		b[12] = 0x80
	}
	b[14] = byte(len(cdb))
	copy(b[15:], cdb)
	s := h.transfer(addr, 2, []int{0}, [][]byte{b})
	for left := n; left > 0; left -= 64 {
		k := min(left, 64)
		if in {
			s += "\n  " + h.transfer(addr, 1, []int{1}, [][]byte{make([]byte, k)})
		} else {
			s += "\n  " + h.transfer(addr, 2, []int{0}, [][]byte{make([]byte, k)})
		}
	}
	return s + "\n  " + h.transfer(addr, 1, []int{1}, [][]byte{make([]byte, 13)})
}

// TestDevices has the same conversation with each device, at full speed and at high speed.
func TestDevices(t *testing.T) {
	for _, d := range []string{"usb-kbd", "usb-mouse", "usb-tablet,serial=T1", "usb-tablet,usb_version=1", "usb-hub", "usb-hub,ports=3,port-power=on", "usb-kbd,msos-desc=off", "usb-storage,drive=d,removable=on"} {
		for controller, makeHost := range map[string]func(guest) host{"piix3-usb-uhci": func(g guest) host { return uhciHost{g} }, "usb-ehci": func(g guest) host { return ehciHost{g} }} {
			if controller == "usb-ehci" && (strings.HasPrefix(d, "usb-hub") || strings.Contains(d, "version=1")) {
				continue
			}
			t.Run(controller+"/"+d, func(t *testing.T) {
				class, _, _ := strings.Cut(d, ",")
				dir, err := os.MkdirTemp("", "usb") // a name without the commas that are in the test's
				if err != nil {
					t.Fatal(err)
				}
				defer os.RemoveAll(dir)
				o := makeHost(newOurs(t, image(t), controller+",addr=5", d+",pcap="+dir+"/ours"))
				q := makeHost(newQEMU(t, image(t), controller+",addr=5", d+",pcap="+dir+"/qemu"))
				o.start()
				q.start()
				equal := func(what string, f func(host) string) {
					t.Helper()
					if got, want := f(o), f(q); got != want {
						t.Errorf("%s:\ngot  %s\nwant %s", what, got, want)
					}
				}
				equal("address", func(h host) string { return control(h, 0, 0x0005, 3, 0, nil) })
				names, list := requests(class)
				for i := range list {
					equal(names[i], list[i])
				}
				if class != "usb-storage" {
					equal("interrupt", func(h host) string { return h.transfer(3, 1, []int{1}, [][]byte{make([]byte, 8)}) })
				}
				if class == "usb-storage" {
					for _, c := range []struct {
						in  bool
						n   int
						cdb []byte
					}{
						{true, 0, []byte{0, 0, 0, 0, 0, 0}}, {true, 36, []byte{0x12, 0, 0, 0, 36, 0}}, {true, 18, []byte{3, 0, 0, 0, 18, 0}}, {true, 0, []byte{0, 0, 0, 0, 0, 0}},
						{true, 9, []byte{0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}}, {true, 512, []byte{0x28, 0, 0, 0, 0, 7, 0, 0, 1, 0}}, {true, 9, []byte{0xff, 0, 0, 0, 0, 0}},
						{true, 18, []byte{3, 0, 0, 0, 18, 0}}, {false, 512, []byte{0x2a, 0, 0, 0, 0, 9, 0, 0, 1, 0}}, {true, 512, []byte{0x28, 0, 0, 0, 0, 9, 0, 0, 1, 0}},
						{true, 100, []byte{0x12, 0, 0, 0, 255, 0}},
					} {
						equal(fmt.Sprintf("command %x", c.cdb), func(h host) string { return bulk(h, 3, c.in, c.n, c.cdb...) })
					}
				}
				compareCaptures(t, dir+"/ours", dir+"/qemu")
			})
		}
	}
}

// compareCaptures compares the records of two files with packets but for their times.
func compareCaptures(t *testing.T, ours, qemu string) {
	t.Helper()
	const header, record, mon = 24, 16, 64
	const unanswered = " 53 01 81 " // a question for input, of which nobody knows how often it was asked
	read := func(name string) (list []string) {
		b, err := os.ReadFile(name)
		if err != nil || len(b) < header {
			t.Fatalf("%s: %v, %d bytes", name, err, len(b))
		}
		list, b = append(list, fmt.Sprintf("% x", b[:header])), b[header:]
		for len(b) >= record+mon {
			n := record + int(le.Uint32(b[8:]))
			r := b[:min(n, len(b))]
			clear(r[:8])
			clear(r[record+16 : record+28])
			list, b = append(list, fmt.Sprintf("% x", r)), b[len(r):]
		}
		return slices.DeleteFunc(list, func(s string) bool { return strings.Contains(s, unanswered) })
	}
	got, want := read(ours), read(qemu)
	if len(want) < 10 {
		t.Errorf("QEMU has recorded %d packets", len(want)-1)
	}
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Fatalf("record %d:\ngot  %s\nwant %s", i, g, w)
		}
	}
}

func TestHelp(t *testing.T) {
	qtest.CompareHelp(t, slices.DeleteFunc(classes(), func(c *qdev.Class) bool { return !strings.Contains(c.Name, "usb") && !strings.Contains(c.Name, "xhci") }))
}

// FuzzControllers writes registers and memory as the input says while time passes.
func FuzzControllers(f *testing.F) {
	f.Add(uint8(0), []byte("\x00\x00\x01\x00\x01\x00\x00\x00"), []byte{2, 0, 2, 0})
	f.Add(uint8(1), []byte("\x20\x00\x02\x00\x31\x00\x08\x00"), []byte{2, 0, 2, 0})
	f.Add(uint8(2), []byte("\x00\x20\x02\x00\x00\x00\x00\x00"), []byte{1, 4, 0, 0})
	f.Fuzz(func(t *testing.T, kind uint8, script, mem []byte) {
		name := []string{"piix3-usb-uhci", "usb-ehci", "qemu-xhci"}[kind%3]
		devices := []string{name + ",addr=5", "usb-storage,drive=d", "usb-tablet"}
		if kind%3 == 2 {
			devices = append(devices, "usb-hub", "usb-uas")
		}
		m := newOurs(t, image(t), devices...)
		defer m.Mem.View().Find(0).RAM.Free()
		m.SetConfig(0x20, 4, barIO)
		m.SetConfig(pci.RegBAR0, 4, barMem)
		m.SetConfig(pci.RegCommand, 2, 7)
		for i := 0; i < 0x4000 && len(mem) > 0; i += len(mem) {
			m.Write(listAt+uint64(i), mem)
		}
		for n := 0; len(script) >= 8 && n < 300; n++ {
			at, size, v := uint64(le.Uint16(script)), 1<<(script[2]%3), uint64(le.Uint32(script[4:]))
			switch script[3] & 3 {
			case 0:
				m.Out(uint16(barIO+at&0x1f), size, uint32(v))
				m.Store(barMem+at&0x3fff, size, v)
			case 1:
				m.Store(listAt+at&0x3fff, size, v)
			case 2:
				m.step(int64(v & 0xffffff))
			case 3:
				m.Load(barMem+at&0x3fff, size)
				m.In(uint16(barIO+at&0x1f), size)
				m.Store(barMem+v&0x3fff, 4, listAt+at&^63)
			}
			script = script[8:]
		}
	})
}
