package scsi

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	scsidisk "goemu/hw/scsi/disk"
	"goemu/hw/virtio"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/memory"
)

const (
	devfn = 5 << 3

	queueAt, hdrAt, respAt, outAt, inAt = 0x10000, 0x20000, 0x21000, 0x30000, 0x40000
	dataMax                             = 8192
)

// images makes a disk of 4 MiB and a disc of 1 MiB.
func images(t testing.TB) (hd, cd string) {
	t.Helper()
	return virtiotest.Image(t, 4<<20, 4<<20), virtiotest.Image(t, 1<<20, 1<<20)
}

// newAdapter makes our adapter with a disk at 0:0 and a CD-ROM drive at 1:3.
func newAdapter(t testing.TB, hd, cd string, q quirks) *virtiotest.Machine {
	t.Helper()
	m := virtiotest.NewMachine(t, Classes(), scsidisk.Classes())
	drives := driver.NewDrives()
	qdev.Link(&m.Tree.Links, func(id string) (*block.Source, bool) { return drives.Source(id) })
	for _, d := range []string{"id=hd,if=none,format=raw,file=" + hd, "id=cd,if=none,format=raw,media=cdrom,file=" + cd} {
		if _, err := drives.AddDrive(d, "none"); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range [][]string{{"virtio-scsi-pci", "id", "s", "addr", "5", "num_queues", "1"},
		append([]string{"scsi-hd", "drive", "hd", "scsi-id", "0", "lun", "0", "serial", "S1", "wwn", "0x5000c50015ea71aa"}, q.pairs(q.hd)...),
		append([]string{"scsi-cd", "drive", "cd", "scsi-id", "1", "lun", "3"}, q.pairs(q.cd)...)} {
		if _, err := m.Add(d[0], d[1:]...); err != nil {
			t.Fatal(d, err)
		}
	}
	t.Cleanup(func() {
		m.Close()
		drives.Close()
	})
	return m
}

// quirks are switches of the disk and of the CD-ROM drive.
type quirks struct{ hd, cd []string }

// apple is what MacOS wants.
var apple = quirks{[]string{"quirk_mode_page_vendor_specific_apple"}, []string{"quirk_mode_page_apple_vendor", "quirk_mode_page_vendor_specific_apple"}}

func (quirks) pairs(list []string) (out []string) {
	for _, s := range list {
		out = append(out, s, "on")
	}
	return out
}

// option is the switches as part of -device.
func (q quirks) option(list []string) (s string) {
	for i, x := range q.pairs(list) {
		s += [...]string{",", "="}[i&1] + x
	}
	return s
}

// mirror is QEMU's memory.
type mirror struct{ q *qtest.QEMU }

// Read implements memory.Ops.
func (r *mirror) Read(off uint64, size int) uint64 { return r.q.Load(off, size) }

// Write implements memory.Ops.
func (r *mirror) Write(off uint64, size int, v uint64) { r.q.Store(off, size, v) }

// request is a command for a logical unit; in is how much data the driver takes.
type request struct {
	target, lun uint8
	cdb         []byte
	out         []byte
	in          int
}

// converse sends the requests one after the other and describes the answers.
func converse(t *testing.T, f *virtiotest.Function, list []request) (answers []string) {
	f.Negotiate(1 << virtio.FeatureVersion1)
	d := virtiotest.NewDriver(f.Mem, queueAt, 64, false)
	f.SetupQueue(fixedQueues, d, virtio.NoVector)
	f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
	for _, r := range list {
		hdr := make([]byte, reqHeader+defaultCDB)
		copy(hdr, []byte{1, r.target, 0x40, r.lun})
		copy(hdr[reqHeader:], r.cdb)
		f.Mem.Write(hdrAt, hdr)
		f.Mem.Write(respAt, make([]byte, 256))
		f.Mem.Write(inAt, bytes.Repeat([]byte{0xa5}, r.in))
		f.Mem.Write(outAt, r.out)
		bufs := []virtiotest.Buf{{Addr: hdrAt, Len: uint32(len(hdr))}}
		if len(r.out) > 0 {
			bufs = append(bufs, virtiotest.Buf{Addr: outAt, Len: uint32(len(r.out))})
		}
		bufs = append(bufs, virtiotest.Buf{Addr: respAt, Len: respHeader + defaultSense, Write: true})
		if r.in > 0 {
			bufs = append(bufs, virtiotest.Buf{Addr: inAt, Len: uint32(r.in), Write: true})
		}
		d.Add(bufs...)
		f.Kick(fixedQueues)
		deadline := time.Now().Add(20 * time.Second)
		for {
			if _, _, ok := d.Next(); ok {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("no answer to % x", r.cdb)
			}
			time.Sleep(200 * time.Microsecond)
		}
		resp, in := make([]byte, respHeader+senseLength), make([]byte, r.in)
		f.Mem.Read(respAt, resp)
		f.Mem.Read(inAt, in)
		answers = append(answers, fmt.Sprintf("response % x, data % x", resp, in))
	}
	return answers
}

const senseLength = 18

// conversation visits every command of both drives.
func conversation() (list []request) {
	both := func(in int, cdb ...byte) {
		list = append(list, request{0, 0, cdb, nil, in}, request{1, 3, cdb, nil, in})
	}
	disk := func(out []byte, in int, cdb ...byte) { list = append(list, request{0, 0, cdb, out, in}) }
	both(0)       // unit attention
	both(0, 0x00) // and ready
	both(36, 0x12, 0, 0, 0, 36)
	both(96, 0x12, 0, 0, 0, 96)
	both(8, 0x12, 0, 0, 0, 8)
	both(36, 0x12, 0, 1, 0, 36)
	for _, page := range []byte{0x00, 0x80, 0x83, 0xb0, 0xb2, 0x33} {
		if page == 0xb0 {
			continue // QEMU's limits depend on how it opened the image
		}
		both(255, 0x12, 1, page, 0, 255)
	}
	disk(nil, 64, 0x12, 1, 0xb1, 0, 64)
	disk(nil, 18, 0x03, 0, 0, 0, 18) // of the drive at LUN 3 QEMU says that there is no such LUN
	both(8, 0x25)
	both(8, 0x25, 0, 0, 0, 0, 1)
	both(32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32)
	both(0, 0x9e, 0x11)
	for page := range byte(0x40) {
		both(192, 0x1a, 0, page, 0, 192)
		both(192, 0x5a, 0, page|0x40, 0, 0, 0, 0, 0, 192)
	}
	both(192, 0x1a, 8, 0x3f, 0, 192)
	both(192, 0x1a, 0, 0xc8, 0, 192)
	both(64, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64)
	both(4, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 4)
	list = append(list, request{1, 0, []byte{0x12, 0, 0, 0, 36}, nil, 36}, request{1, 7, []byte{0x00}, nil, 0}, request{1, 7, []byte{0x12, 0, 0, 0, 36}, nil, 36},
		request{1, 7, []byte{0x03, 0, 0, 0, 18}, nil, 18}, request{5, 0, []byte{0x00}, nil, 0})
	disk(nil, 4096, 0x28, 0, 0, 0, 0, 16, 0, 0, 8)
	disk(nil, 4096, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 8)
	disk(nil, 512, 0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 1)
	disk(nil, 512, 0x08, 0, 0, 9, 1)
	disk(nil, 512, 0x28, 0, 0, 0, 0x20, 0, 0, 0, 1)
	disk(nil, 512, 0x28, 0x20, 0, 0, 0, 0, 0, 0, 1)
	data := bytes.Repeat([]byte{1, 2, 3, 4}, 256)
	disk(data, 0, 0x2a, 0, 0, 0, 0, 64, 0, 0, 2)
	disk(data, 0, 0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 70, 0, 0, 0, 2)
	disk(nil, 8192, 0x28, 0, 0, 0, 0, 64, 0, 0, 16)
	disk(data[:512], 0, 0x41, 0, 0, 0, 0, 80, 0, 0, 3)
	disk(nil, 0, 0x93, 9, 0, 0, 0, 0, 0, 0, 0, 81, 0, 0, 0, 1)
	disk(data[:24], 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 24)
	disk([]byte{0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 66, 0, 0, 0, 1, 0, 0, 0, 0}, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 24)
	disk([]byte{0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 66, 0, 0, 0, 1, 0, 0, 0, 0}, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 24)
	disk(nil, 8192, 0x28, 0, 0, 0, 0, 64, 0, 0, 16)
	disk(nil, 0, 0x35)
	disk([]byte{0, 0, 0, 0, 8, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0, 0x15, 0x10, 0, 0, 24)
	disk(nil, 64, 0x1a, 8, 8, 0, 64)
	both(0, 0x2f, 0, 0, 0, 0, 1, 0, 0, 1)
	both(0, 0x16)
	both(0, 0x57, 1)
	both(0, 0x77)
	cd := func(in int, cdb ...byte) { list = append(list, request{1, 3, cdb, nil, in}) }
	cd(4096, 0x28, 0, 0, 0, 0, 3, 0, 0, 2)
	cd(2048, 0x28, 0, 0, 0, 2, 0, 0, 0, 1)
	cd(64, 0x43, 2, 0, 0, 0, 0, 0, 0, 64)
	cd(64, 0x43, 0, 2, 0, 0, 0, 0, 0, 64)
	cd(64, 0x43, 0, 1, 0, 0, 0, 0, 0, 64)
	cd(64, 0x43, 0, 0, 0, 0, 0, 0xaa, 0, 64)
	cd(64, 0x46, 0, 0, 0, 0, 0, 0, 0, 64)
	cd(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8)
	cd(8, 0x4a, 1, 0, 0, 2, 0, 0, 0, 8)
	cd(64, 0x51, 0, 0, 0, 0, 0, 0, 0, 34)
	cd(64, 0xad, 0, 0, 0, 0, 0, 0, 0xff, 0, 40)
	cd(64, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 40)
	cd(8, 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8)
	cd(0, 0x1e, 0, 0, 0, 1)
	cd(0, 0x1b, 0, 0, 0, 2)
	cd(0, 0x1e)
	cd(0, 0x1b, 0, 0, 0, 2)
	cd(0, 0x00)
	cd(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8)
	cd(0, 0x1b, 0, 0, 0, 3)
	cd(0, 0x00)
	return list
}

// TestCommandsAgainstQEMU holds one conversation with both.
func TestCommandsAgainstQEMU(t *testing.T) {
	for name, q := range map[string]quirks{"plain": {}, "apple": apple, "descriptors": {cd: []string{"quirk_mode_sense_rom_use_dbd", "quirk_mode_page_apple_vendor"}}} {
		t.Run(name, func(t *testing.T) { compareCommands(t, q) })
	}
}

func compareCommands(t *testing.T, quirks quirks) {
	hd, cd := images(t)
	q := qtest.Start(t, "-M", "pc", "-nodefaults", "-m", "64", "-device", "virtio-scsi-pci,id=s,addr=5,num_queues=1",
		"-drive", "if=none,id=hd,format=raw,file="+hd, "-device", "scsi-hd,drive=hd,scsi-id=0,lun=0,serial=S1,wwn=0x5000c50015ea71aa"+quirks.option(quirks.hd),
		"-drive", "if=none,id=cd,format=raw,media=cdrom,file="+cd, "-device", "scsi-cd,drive=cd,scsi-id=1,lun=3"+quirks.option(quirks.cd))
	list := conversation()
	var want []string
	virtiotest.DriveQEMU(t, q, devfn, func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
		f.Mem.Root().Add(memory.NewIO("mirror", virtiotest.RAMSize, &mirror{q}), 0, 5)
		want = converse(t, f, list)
	})
	hd, cd = images(t)
	got := converse(t, newAdapter(t, hd, cd, quirks).Map(devfn), list)
	for i, r := range list {
		if got[i] != want[i] {
			t.Errorf("%d:%d % x\n got %s\nQEMU %s", r.target, r.lun, r.cdb, got[i], want[i])
		}
	}
}

// FuzzRequest sends commands that begin with the input's bytes.
func FuzzRequest(f *testing.F) {
	for _, r := range conversation() {
		f.Add(r.target, r.lun, r.cdb, r.out, uint16(r.in))
	}
	f.Fuzz(func(t *testing.T, target, lun uint8, cdb, out []byte, in uint16) {
		if len(cdb) > defaultCDB || len(out) > dataMax || in > dataMax {
			return
		}
		hd, cd := images(t)
		converse(t, newAdapter(t, hd, cd, apple).Map(devfn), []request{{target, lun, nil, nil, 0}, {target, lun, cdb, out, int(in)}})
	})
}
