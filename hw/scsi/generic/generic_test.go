package generic

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/hw/scsi"
	"goemu/internal/testprog"
)

// host is a SCSI device of the host that answers as a test says.
type host struct {
	kind    uint8
	err     error
	version int
	pages   []byte // of vital product data
	answer  func(r *block.SCSIRequest)
	asked   [][]byte
}

func (*host) Close()                                {}
func (*host) Length(context.Context) (int64, error) { return 0, nil }
func (h *host) SCSIVersion() (int, error)           { return h.version, h.err }
func (h *host) SCSIType() (uint8, error)            { return h.kind, h.err }
func (*host) Generic() bool                         { return true }
func (*host) HardwareLimits() (bytes, parts int64)  { return 512 << 10, 64 }
func (h *host) SCSI(_ context.Context, r *block.SCSIRequest) error {
	h.asked = append(h.asked, r.CDB)
	if r.CDB[0] == scsi.OpInquiry && h.answer == nil {
		p := []byte{h.kind, 0}
		if r.CDB[1]&withPage != 0 {
			p = append([]byte{h.kind, r.CDB[2], 0, uint8(len(h.pages))}, h.pages...)
		}
		r.Residue = len(r.In) - copy(r.In, p)
		return nil
	}
	if h.answer != nil {
		h.answer(r)
	}
	return h.err
}

// rig is a bus with a device of a type on it.
func rig(t testing.TB, typ string, h *host, more ...qdev.Setting) (*scsi.Bus, error) {
	t.Helper()
	g := block.NewGraph([]*block.Driver{{Name: "fake", Protocol: true,
		Open: func(context.Context, *block.Node, *block.Options) (block.Instance, error) { return h, nil }}})
	g.Lock()
	n, err := g.Open(t.Context(), "", block.OptionsOf("driver", "fake", "node-name", "n"), block.Mode{})
	if err != nil {
		t.Fatal(err)
	}
	b := g.NewBackend("d", "", 0, block.PermAll)
	err = b.Insert(n)
	g.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	tree := qdev.NewTree(qdev.NewRegistry(Classes()))
	src := block.SourceOf("d", b)
	qdev.Link(&tree.Links, func(string) (*block.Source, bool) { return src, true })
	adapter, err := tree.Create(&qdev.Class{Name: "adapter", New: func() qdev.Device { return new(qdev.Base) }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bus := new(scsi.Bus)
	scsi.NewBus(bus, adapter, "scsi.0", 255, 16383)
	_, err = tree.Add(append([]qdev.Setting{{Name: "driver", Value: typ}, {Name: "drive", Value: "d"}}, more...))
	if err == nil {
		t.Cleanup(tree.Close)
	}
	return bus, err
}

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

// TestRefused: media that are no SCSI devices are refused in QEMU's words.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		h    host
		want string
	}{
		{host{err: unix.ENOTTY}, "cannot get SG_IO version number: Inappropriate ioctl for device\nIs this a SCSI device?"},
		{host{err: unix.EPERM}, "cannot get SG_IO version number: Operation not permitted"},
		{host{version: 20000}, "scsi generic interface too old"},
		{host{version: 30000, answer: func(r *block.SCSIRequest) { r.Host = hostNoLUN }}, "INQUIRY failed"},
	} {
		if _, err := rig(t, "scsi-block", &c.h); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// run executes a command for the device; in is how much room there is for its data.
func run(bus *scsi.Bus, cdb, out []byte, in int) (*scsi.Command, []byte) {
	p := make([]byte, in)
	c := &scsi.Command{CDB: append(cdb, make([]byte, 16-min(len(cdb), 16))...)}
	if in > 0 {
		c.In = [][]byte{p}
	}
	if len(out) > 0 {
		c.Out = [][]byte{out}
	}
	bus.Execute(0, 0, c)
	return c, p
}

// TestCommands: commands go to the host's device as they are, and results come back.
func TestCommands(t *testing.T) {
	h := &host{version: 30536, pages: []byte{0x00, 0x80, 0xb1}}
	bus, err := rig(t, "scsi-generic", h)
	if err != nil {
		t.Fatal(err)
	}
	c, p := run(bus, []byte{scsi.OpInquiry, 1, 0, 0, 36, 0}, nil, 36)
	if want := []byte{0, 0, 0, 4, 0, 0x80, 0xb0, 0xb1}; c.Status != scsi.StatusGood || !bytes.Equal(p[:len(want)], want) || c.Moved != int64(len(want)) {
		t.Errorf("pages % x, %d bytes", p[:8], c.Moved)
	}
	sense := func(s ...byte) func(*block.SCSIRequest) {
		return func(r *block.SCSIRequest) { r.Status, r.Driver, r.Sense = 2, driverSense, s }
	}
	fixed := []byte{0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0}
	h.answer = sense(fixed...)
	if c, p = run(bus, []byte{scsi.OpInquiry, 1, pageLimits, 0, 64, 0}, nil, 64); c.Status != scsi.StatusGood || be.Uint32(p[limitsMaximum:]) != 64*4096/512 {
		t.Errorf("limits: status %x, % x", c.Status, p[:16])
	}
	read := []byte{0x28, 0, 0, 0, 0, 5, 0, 0, 2, 0}
	for _, x := range []struct {
		what   string
		answer func(*block.SCSIRequest)
		status uint8
		sense  scsi.Sense
		moved  int64
	}{
		{"all", func(*block.SCSIRequest) {}, 0, scsi.SenseNone, 1024},
		{"a part", func(r *block.SCSIRequest) { r.Residue = 1000 }, 0, scsi.SenseNone, 24},
		{"nonsense", func(r *block.SCSIRequest) { r.Residue = 1 << 30 }, 0, scsi.SenseNone, 0},
		{"less than nonsense", func(r *block.SCSIRequest) { r.Residue = -5 }, 0, scsi.SenseNone, 1024},
		{"fixed sense", sense(fixed...), 2, scsi.SenseInvalidField, 0},
		{"descriptor sense", sense(0x72, 3, 0x11, 1), 2, scsi.Sense{Key: 3, ASC: 0x11, ASCQ: 1}, 0},
		{"short sense", sense(0x70), 2, scsi.SenseNone, 0},
		{"busy", func(r *block.SCSIRequest) { r.Status = 8 }, 8, scsi.SenseNone, 0},
		{"adapter", func(r *block.SCSIRequest) { r.Host = hostReset }, 2, scsi.SenseReset, 0},
		{"adapter unknown", func(r *block.SCSIRequest) { r.Host = 7 }, 2, scsi.SenseIOError, 0},
		{"timeout", func(r *block.SCSIRequest) { r.Driver = driverTimeout }, statusBusy, scsi.SenseNone, 0},
	} {
		h.answer = x.answer
		c, _ := run(bus, read, nil, 1024)
		if c.Status != x.status || c.Sense != x.sense || c.Moved != x.moved {
			t.Errorf("%s: status %x sense %+v moved %d", x.what, c.Status, c.Sense, c.Moved)
		}
	}
	if last := h.asked[len(h.asked)-1]; !bytes.Equal(last, read) {
		t.Errorf("the host got % x", last)
	}
	asked := len(h.asked)
	for cdb, want := range map[string]scsi.Sense{"\xe0": scsi.SenseInvalidOpcode, "\x7f": scsi.SenseInvalidOpcode} {
		if c, _ := run(bus, []byte(cdb), nil, 0); c.Sense != want || len(h.asked) != asked {
			t.Errorf("% x: %+v", cdb, c.Sense)
		}
	}
}

// stopMachine lets devices stop the machine that is not there.
func stopMachine(t *testing.T) {
	disk.StopMachine = func() {}
	t.Cleanup(func() { disk.StopMachine = nil })
}

// TestPolicy: scsi-block stops the machine upon failures of the medium if it is told so, scsi-generic never does.
func TestPolicy(t *testing.T) {
	for typ, hold := range map[string]bool{"scsi-generic": false, "scsi-block": false, "scsi-block rerror=stop": true} {
		h := &host{version: 30536}
		var more []qdev.Setting
		if name, _, ok := bytes.Cut([]byte(typ), []byte(" ")); ok {
			typ, more = string(name), []qdev.Setting{{Name: "rerror", Value: "stop"}}
		}
		bus, err := rig(t, typ, h, more...)
		if err != nil {
			t.Fatal(err)
		}
		stopMachine(t)
		h.answer = func(r *block.SCSIRequest) { r.Status, r.Driver, r.Sense = 2, driverSense, []byte{0x72, 3, 0x11, 0} }
		if c, _ := run(bus, []byte{0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, nil, 512); c.Hold != hold {
			t.Errorf("%s: hold %v", typ, c.Hold)
		}
	}
}

// TestTransfer: for adapters whose drivers do not tell, lengths follow from the commands.
func TestTransfer(t *testing.T) {
	h := &host{version: 30536}
	bus, err := rig(t, "scsi-generic", h)
	if err != nil {
		t.Fatal(err)
	}
	for cdb, want := range map[string]string{
		"\x08\x00\x00\x00\x00\x00":             "131072 false",
		"\x2a\x00\x00\x00\x00\x00\x00\x00\x03": "1536 true",
		"\x25":                                 "8 false",
		"\x1a\x00\x00\x00\x18\x00":             "24 false",
		"\x55\x00\x00\x00\x00\x00\x00\x00\x10": "16 true",
		"\x35":                                 "0 false",
		"\x93\x00":                             "512 true",
		"\xa8\x00\x00\x00\x00\x00\xff\xff\xff\xff": fmt.Sprint(maxData, " false"),
	} {
		n, out := bus.Transfer(0, 0, append([]byte(cdb), make([]byte, 16)...))
		if got := fmt.Sprint(n, " ", out); got != want {
			t.Errorf("% x: %s, want %s", cdb, got, want)
		}
	}
}

func FuzzExecute(f *testing.F) {
	f.Add([]byte{0x12, 1, 0, 0, 36, 0}, []byte{0, 0, 0, 1, 0}, []byte(nil), uint16(36), uint16(0), 0)
	f.Add([]byte{0x12, 1, 0xb0, 0, 64, 0}, []byte{}, []byte{0x70, 0, 5}, uint16(64), uint16(2), 3)
	f.Add([]byte{0x25}, []byte{0, 0, 0, 9, 0, 0, 0, 0}, []byte(nil), uint16(8), uint16(0), -1)
	f.Fuzz(func(t *testing.T, cdb, reply, sense []byte, in, status uint16, residue int) {
		if len(cdb) == 0 || len(cdb) > 32 {
			return
		}
		for _, kind := range []uint8{typeDisk, typeTape, typeCDROM} {
			h := &host{version: 30536, kind: kind}
			bus, err := rig(t, "scsi-generic", h)
			if err != nil {
				t.Fatal(err)
			}
			h.answer = func(r *block.SCSIRequest) {
				copy(r.In, reply)
				r.Status, r.Driver, r.Host, r.Sense, r.Residue = status&0xff, status>>8&0xf, status>>12, sense, residue
			}
			for range 2 {
				if c, _ := run(bus, bytes.Clone(cdb), nil, int(in)); c.Moved > int64(in) {
					t.Fatalf("%d bytes of %d", c.Moved, in)
				}
				run(bus, bytes.Clone(cdb), reply, 0)
			}
			bus.Transfer(0, 0, append(bytes.Clone(cdb), make([]byte, 16)...))
		}
	})
}
