package usbtest

import (
	"encoding/binary"
	"strings"
	"testing"

	"goemu/hw/usb"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/mainloop"
)

// Pipes and information units of USB Attached SCSI.
const (
	uasCommand, uasStatus, uasIn, uasOut = 1, 2, 3, 4
	uasIDCommand, uasIDTask              = 1, 5
)

// uasUnit is a command for a logical unit.
func uasUnit(tag uint16, lun uint8, cdb ...byte) []byte {
	b := make([]byte, 32)
	b[0], b[9] = uasIDCommand, lun
	binary.BigEndian.PutUint16(b[2:], tag)
	copy(b[16:], cdb)
	return b
}

// uasTask is a function of task management.
func uasTask(tag, other uint16, function, lun uint8) []byte {
	b := make([]byte, 16)
	b[0], b[4], b[9] = uasIDTask, function, lun
	binary.BigEndian.PutUint16(b[2:], tag)
	binary.BigEndian.PutUint16(b[6:], other)
	return b
}

// TestUAS talks to usb-uas at high speed: commands with and without data, errors, overlapping tags, task management.
func TestUAS(t *testing.T) {
	start := func(g guest) host {
		h := ehciHost{g}
		h.start()
		return h
	}
	devices := []string{"usb-ehci,addr=5", "usb-uas,id=u", "scsi-hd,bus=u.0,drive=d,lun=3"}
	o, q := start(newOurs(t, image(t), devices...)), start(newQEMU(t, image(t), devices...))
	equal := func(what string, f func(host) string) {
		t.Helper()
		if got, want := f(o), f(q); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", what, got, want)
		}
	}
	equal("address", func(h host) string { return control(h, 0, 0x0005, 3, 0, nil) })
	names, list := requests("usb-uas")
	for i := range list {
		equal(names[i], list[i])
	}
	out := func(pipe uint8, b []byte) func(host) string {
		return func(h host) string { return h.transfer(3, pipe, []int{0}, [][]byte{b}) }
	}
	in := func(pipe uint8, n int) func(host) string {
		return func(h host) string { return h.transfer(3, pipe, []int{1}, [][]byte{make([]byte, n)}) }
	}
	// refused is the status of what the device refuses itself: QEMU says that the sense it sends then has no bytes.
	refused := func(what string) {
		t.Helper()
		got, want := in(uasStatus, 34)(o), strings.Replace(in(uasStatus, 34)(q), "00007000", "00127000", 1)
		if got != want {
			t.Errorf("%s: status:\ngot  %s\nwant %s", what, got, want)
		}
	}
	status := func(what string) { t.Helper(); equal(what+": status", in(uasStatus, 34)) }
	const lun = 3
	block := make([]byte, 512)
	for i := range block {
		block[i] = byte(i*7 + i>>8)
	}
	for i, c := range []struct {
		lun  uint8
		in   int
		out  []byte
		cdb  []byte
		name string
	}{
		{lun, 0, nil, []byte{0}, "unit attention"}, {lun, 0, nil, []byte{0}, "test unit ready"}, {lun, 36, nil, []byte{0x12, 0, 0, 0, 36}, "inquiry"},
		{lun, 255, nil, []byte{0x12, 0, 0, 0, 255}, "long inquiry"}, {lun, 18, nil, []byte{3, 0, 0, 0, 18}, "request sense"},
		{lun, 8, nil, []byte{0x25}, "read capacity"}, {lun, 32, nil, []byte{0x9e, 0x10, 13: 32}, "read capacity 16"}, {lun, 0, nil, []byte{0xff}, "unknown command"},
		{lun, 512, nil, []byte{0x28, 0, 0, 0, 0, 7, 0, 0, 1}, "read"}, {lun, 0, block, []byte{0x2a, 0, 0, 0, 0, 9, 0, 0, 1}, "write"},
		{lun, 512, nil, []byte{0x88, 9: 9, 13: 1}, "read back"}, {lun, 0, nil, []byte{0x35}, "synchronize cache"}, {lun, 192, nil, []byte{0x1a, 0, 0x3f, 0, 192}, "mode sense"},
		{lun, 0, nil, []byte{0x28, 0, 0xff, 0, 0, 7, 0, 0, 1}, "read behind the end"}, {2, 36, nil, []byte{0x12, 0, 0, 0, 36}, "inquiry to another unit"}, {2, 0, nil, []byte{0}, "another unit"},
	} {
		tag := uint16(i + 1)
		equal(c.name, out(uasCommand, uasUnit(tag, c.lun, c.cdb...)))
		switch {
		case c.in > 0:
			status(c.name + ", ready")
			equal(c.name+": data", in(uasIn, c.in))
		case c.out != nil:
			status(c.name + ", ready")
			equal(c.name+": data", out(uasOut, c.out))
		}
		status(c.name)
	}
	long := uasUnit(40, lun, 0)
	long[6] = 4
	equal("a longer command", out(uasCommand, long))
	refused("a longer command")
	write := func(tag uint16) []byte { return uasUnit(tag, lun, 0x2a, 0, 0, 0, 0, 11, 0, 0, 1) }
	equal("write", out(uasCommand, write(50)))
	equal("the same tag", out(uasCommand, write(50)))
	status("write, ready")
	refused("the same tag")
	equal("another write", out(uasCommand, write(51)))
	equal("data", out(uasOut, block))
	status("write")
	status("another write, ready")
	equal("abort", out(uasCommand, uasTask(52, 51, 1, lun)))
	status("abort")
	equal("write again", out(uasCommand, write(53)))
	status("write again, ready")
	equal("reset of the unit", out(uasCommand, uasTask(54, 0, 8, lun)))
	status("reset of the unit")
	equal("unknown function", out(uasCommand, uasTask(55, 0, 0x77, lun)))
	status("unknown function")
	equal("function for another unit", out(uasCommand, uasTask(56, 0, 1, 9)))
	status("function for another unit")
	equal("after the reset", out(uasCommand, uasUnit(57, lun, 0)))
	status("after the reset")
}

// FuzzUAS gives packets to the device at SuperSpeed, takes some back and resets the port.
func FuzzUAS(f *testing.F) {
	unit := append([]byte{0, 1, 0}, uasUnit(1, 0, 0x28, 0, 0, 0, 0, 7, 0, 0, 8)...)
	f.Add(append(unit, 0, 3, 1, 2, 1))
	f.Add(append([]byte{0, 1, 0}, uasUnit(2, 0, 0x2a, 0, 0, 0, 0, 7, 0, 0, 8)...))
	f.Add(append([]byte{0, 1, 0}, uasTask(3, 1, 8, 0)...))
	f.Fuzz(func(t *testing.T, script []byte) {
		m := newOurs(t, image(t), "qemu-xhci,addr=5", "usb-uas,id=u", "scsi-hd,bus=u.0,drive=d")
		defer m.Mem.View().Find(0).RAM.Free()
		d := m.Tree.Find("u").(usb.Model).USB()
		var packets []*usb.Packet
		virtiotest.Locked(d.PortReset)
		for n := 0; len(script) >= 3 && n < 200; n++ {
			op, pipe, stream := script[0], script[1]%5, uint16(script[2]%20)
			script = script[3:]
			virtiotest.Locked(func() {
				switch {
				case op == 255:
					d.PortReset()
				case op == 254 && len(packets) > 0:
					packets[int(stream)%len(packets)].Cancel()
				case pipe != 0:
					p := &usb.Packet{PID: usb.In, Stream: stream, Done: func(*usb.Packet) {}}
					if pipe == uasCommand || pipe == uasOut {
						p.PID = usb.Out
					}
					p.EP = d.Endpoint(p.PID, pipe)
					b := make([]byte, 32+64*int(op))
					if p.PID == usb.Out {
						script = script[copy(b, script[:min(len(script), 32)]):]
					}
					if p.Buffer(b); pipe == uasCommand {
						p.Buffer(b[:32])
					}
					d.Handle(p)
					packets = append(packets, p)
				}
			})
			mainloop.Main.RunPending()
		}
		virtiotest.Locked(d.Unplug)
		for _, p := range packets {
			if p.InFlight() {
				t.Fatalf("a packet for pipe %d waits after the device has gone", p.EP.Number)
			}
		}
	})
}
