package qtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"goemu/hw/display/vga"
	"goemu/hw/firmware"
	"goemu/hw/qdev"
	"goemu/migration/vmstate/vmstatetest"
	"goemu/ui"
)

const (
	devfnVGA, vgaMem, vgaRegs = 5 << 3, 0xfc000000, 0xfebf0000
)

// vgaPair are two PCs with a display adapter and a way to see QEMU's screen.
type vgaPair struct {
	*pair
	dir string
	qmp net.Conn
	in  *bufio.Reader
	dev qdev.Device
}

func newVGAPair(t testing.TB, device string) *vgaPair {
	t.Helper()
	dir := t.TempDir()
	sock := filepath.Join(dir, "qmp")
	ui.FindROM = func() []byte {
		b, _ := os.ReadFile("/usr/share/seabios/vgabios-stdvga.bin") // the pictures would differ without
		return b
	}
	p := &vgaPair{dir: dir, pair: newPair(t, "-vga", "none", "-device", device+",addr=05.0,romfile=", "-qmp", "unix:"+sock+",server=on,wait=off")}
	for range 100 {
		var err error
		if p.qmp, err = net.Dial("unix", sock); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if p.qmp == nil {
		t.Fatal("QEMU's monitor does not answer")
	}
	t.Cleanup(func() { p.qmp.Close() })
	p.in = bufio.NewReader(p.qmp)
	p.command(`{"execute":"qmp_capabilities"}`)
	r := qdev.NewRegistry(displayClasses())
	var err error
	p.dev, err = p.m.tree.Create(r.Lookup(device), p.m.host.Bus, qdev.Setting{Name: "addr", Value: "05.0"}, qdev.Setting{Name: "romfile", Value: ""})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { qdev.Unrealize(p.dev) })
	p.m.tree.Reset()
	for reg := 0; reg < 0x40; reg += 4 {
		p.config(devfnVGA, reg, 4)
	}
	p.setConfig(devfnVGA, 0x10, 4, vgaMem)
	p.setConfig(devfnVGA, 0x18, 4, vgaRegs)
	p.setConfig(devfnVGA, 4, 2, 3)
	return p
}

func displayClasses() []*qdev.Class { return vga.Classes() }

// command runs a monitor command.
func (p *vgaPair) command(text string) {
	p.t.Helper()
	fmt.Fprintln(p.qmp, text)
	for {
		line, err := p.in.ReadBytes('\n')
		if err != nil {
			p.t.Fatal(err)
		}
		var r map[string]json.RawMessage
		if err := json.Unmarshal(line, &r); err != nil {
			p.t.Fatal(err)
		}
		if r["error"] != nil {
			p.t.Fatalf("%s: %s", text, line)
		}
		if r["return"] != nil {
			return
		}
	}
}

// screens compares what both show.
func (p *vgaPair) screens(what string) {
	p.t.Helper()
	file := filepath.Join(p.dir, "screen.ppm")
	p.command(`{"execute":"screendump","arguments":{"filename":"` + file + `"}}`)
	want, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	c := ui.Main.Find(p.dev, 0)
	c.Refresh()
	var got bytes.Buffer
	if err := c.Surface().WritePPM(&got); err != nil {
		p.t.Fatal(err)
	}
	w := c.Surface().Width
	if w%4 != 0 { // QEMU pads the lines of a file to a multiple of 4 bytes
		want = unpadded(want, c.Surface())
	}
	if !bytes.Equal(got.Bytes(), want) {
		i := 0
		for i < min(got.Len(), len(want)) && got.Bytes()[i] == want[i] {
			i++
		}
		_ = os.WriteFile(filepath.Join(os.TempDir(), "got.ppm"), got.Bytes(), 0o666)
		_ = os.WriteFile(filepath.Join(os.TempDir(), "want.ppm"), want, 0o666)
		head := func(b []byte) []byte { return b[:min(len(b), 12)] }
		p.t.Fatalf("%s: screens differ, %q, QEMU has %q, at byte %d (pixel %d,%d)\n%q", what, head(got.Bytes()), head(want), i, i/3%w, i/3/w, p.log)
	}
}

func unpadded(ppm []byte, s *ui.Surface) []byte {
	header := len(fmt.Sprintf("P6\n%d %d\n255\n", s.Width, s.Height))
	stride := (3*s.Width + 3) &^ 3
	if len(ppm) != header+stride*s.Height {
		return ppm
	}
	out := append([]byte(nil), ppm[:header]...)
	for y := range s.Height {
		line := ppm[header+y*stride:]
		out = append(out, line[:3*s.Width]...)
	}
	return out
}

// vgaMode is the registers of a mode: sequencer, miscellaneous output, CRT controller, attribute and graphics controller.
type vgaMode struct {
	name string
	seq  [5]uint8
	misc uint8
	crt  [25]uint8
	attr [21]uint8
	gfx  [9]uint8
}

var (
	ega16 = [16]uint8{0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f}
	plain = [16]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
)

func attrs(palette [16]uint8, rest ...uint8) (a [21]uint8) {
	copy(a[:], palette[:])
	copy(a[16:], rest)
	return a
}

var vgaModes = []vgaMode{
	{"text 80x25", [5]uint8{3, 0, 3, 0, 2}, 0x67,
		[25]uint8{0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
		attrs(ega16, 0x0c, 0, 0x0f, 8), [9]uint8{0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff}},
	{"text 40x25", [5]uint8{3, 8, 3, 0, 2}, 0x67,
		[25]uint8{0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
		attrs(ega16, 0x0c, 0, 0x0f, 8), [9]uint8{0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff}},
	{"320x200x4", [5]uint8{3, 9, 3, 0, 2}, 0x63,
		[25]uint8{0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0, 0x96, 0xb9, 0xa2, 0xff},
		attrs(ega16, 0x01, 0, 3, 0), [9]uint8{0, 0, 0, 0, 0, 0x30, 0x0f, 0x0f, 0xff}},
	{"640x200x2", [5]uint8{3, 1, 1, 0, 6}, 0x63,
		[25]uint8{0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0, 0x96, 0xb9, 0xc2, 0xff},
		attrs(plain, 0x01, 0, 1, 0), [9]uint8{0, 0, 0, 0, 0, 0, 0x0d, 0, 0xff}},
	{"320x200x16", [5]uint8{3, 9, 0x0f, 0, 6}, 0x63,
		[25]uint8{0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0, 0x96, 0xb9, 0xe3, 0xff},
		attrs(ega16, 0x01, 0, 0x0f, 0), [9]uint8{0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff}},
	{"640x480x16", [5]uint8{3, 1, 0x0f, 0, 6}, 0xe3,
		[25]uint8{0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0, 0xe7, 0x04, 0xe3, 0xff},
		attrs(ega16, 0x01, 0, 0x0f, 0), [9]uint8{0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff}},
	{"320x200x256", [5]uint8{3, 1, 0x0f, 0, 0x0e}, 0x63,
		[25]uint8{0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
		attrs(plain, 0x41, 0, 0x0f, 0), [9]uint8{0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff}},
	{"mode X", [5]uint8{3, 1, 0x0f, 0, 6}, 0xe3,
		[25]uint8{0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0d, 0x3e, 0, 0x41, 0, 0, 0, 0, 0, 0, 0xea, 0xac, 0xdf, 0x28, 0, 0xe7, 0x06, 0xe3, 0xff},
		attrs(plain, 0x41, 0, 0x0f, 0), [9]uint8{0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff}},
}

func (p *vgaPair) indexed(port uint16, i int, v uint8) {
	p.out(port, 1, uint32(i))
	p.out(port+1, 1, uint32(v))
}

func (p *vgaPair) attr(i int, v uint8) {
	p.pair.in(0x3da, 1)
	p.out(0x3c0, 1, uint32(i))
	p.out(0x3c0, 1, uint32(v))
	p.out(0x3c0, 1, 0x20)
}

func (p *vgaPair) set(m *vgaMode) {
	p.out(0x3c2, 1, uint32(m.misc))
	p.indexed(0x3d4, 0x11, 0)
	for i, v := range m.seq {
		p.indexed(0x3c4, i, v)
	}
	for i, v := range m.crt {
		p.indexed(0x3d4, i, v)
	}
	for i, v := range m.gfx {
		p.indexed(0x3ce, i, v)
	}
	for i, v := range m.attr {
		p.attr(i, v)
	}
}

// fill puts random bytes into video memory in whole pages, a palette into the DAC.
func (p *vgaPair) fill(rng *rand.Rand, base uint64, pages int) {
	for range pages {
		b := make([]byte, 4096)
		for i := range b {
			b[i] = uint8(rng.Uint32())
		}
		at := base + uint64(rng.IntN(64))*4096
		p.q.Command("write 0x%x 0x%x 0x%x", at, len(b), b)
		p.m.mem.Write(at, b)
	}
}

func (p *vgaPair) colors(rng *rand.Rand) {
	p.out(0x3c8, 1, 0)
	for range 768 {
		p.out(0x3c9, 1, uint32(rng.IntN(256)))
	}
}

// TestVGAModes compares the pictures of the classic modes, and of what lies around them.
func TestVGAModes(t *testing.T) {
	p := newVGAPair(t, "VGA")
	rng := rand.New(rand.NewPCG(1, 2))
	p.screens("at power-on")
	p.colors(rng)
	p.fill(rng, vgaMem, 64)
	for i := range vgaModes {
		m := &vgaModes[i]
		p.set(m)
		p.screens(m.name)
		p.fill(rng, vgaMem, 4)
		p.screens(m.name + " after writing")
		p.indexed(0x3d4, 0x0c, uint8(rng.IntN(64)))
		p.indexed(0x3d4, 0x0d, uint8(rng.IntN(256)))
		p.screens(m.name + " from another start")
		p.indexed(0x3d4, 0x18, uint8(rng.IntN(256)))
		p.indexed(0x3d4, 7, m.crt[7]&^0x10)
		p.screens(m.name + " split")
		p.indexed(0x3d4, 0x0e, uint8(rng.IntN(16)))
		p.indexed(0x3d4, 0x0f, uint8(rng.IntN(256)))
		p.colors(rng)
		p.screens(m.name + " in other colours")
		p.attr(0x14, uint8(rng.IntN(16)))
		p.attr(0x10, m.attr[0x10]^0x80)
		p.screens(m.name + " with another page of colours")
	}
}

// TestVGARandom compares pictures and memory under random registers.
func TestVGARandom(t *testing.T) {
	p := newVGAPair(t, "VGA")
	rng := rand.New(rand.NewPCG(3, 4))
	p.colors(rng)
	p.fill(rng, vgaMem, 64)
	for round := range 80 {
		if round%10 == 0 {
			p.set(&vgaModes[rng.IntN(len(vgaModes))])
		}
		for range 6 {
			switch rng.IntN(5) {
			case 0:
				p.indexed(0x3c4, rng.IntN(8), uint8(rng.IntN(256)))
			case 1:
				p.indexed(0x3ce, rng.IntN(16), uint8(rng.IntN(256)))
			case 2:
				p.indexed(0x3d4, []int{1, 7, 9, 9, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x12, 0x13, 0x17, 0x17, 0x18}[rng.IntN(15)], uint8(rng.IntN(256)))
			case 3:
				p.attr(rng.IntN(32), uint8(rng.IntN(256)))
			default:
				at := 0xa0000 + uint64(rng.IntN(0x20000))
				p.store(at, 1, uint64(rng.IntN(256)))
				p.load(at&^3, []int{1, 2, 4}[rng.IntN(3)])
			}
		}
		for i := range uint16(0x30) {
			p.pair.in(0x3b0+i, 1)
		}
		p.pair.in(0x3c0+uint16(rng.IntN(15)), 2)
		p.screens(fmt.Sprint("round ", round))
	}
}

// TestVBE compares the Bochs extensions: registers, pictures, the registers in memory.
func TestVBE(t *testing.T) {
	for _, device := range []string{"VGA", "secondary-vga"} {
		t.Run(device, func(t *testing.T) {
			p := newVGAPair(t, device)
			rng := rand.New(rand.NewPCG(5, 6))
			write := func(i int, v uint32) {
				if device == "VGA" && rng.IntN(2) == 0 {
					p.out(0x1ce, 2, uint32(i))
					p.out([]uint16{0x1cf, 0x1d0}[rng.IntN(2)], 2, v)
				} else {
					p.store(vgaRegs+0x500+uint64(2*i), 2, uint64(v))
				}
			}
			for i := range uint64(384 / 4) {
				p.load(vgaRegs+4*i, 4)
			}
			p.store(vgaRegs+0x400, 1, 0x20) // the screen on
			for i := range uint64(768) {
				p.store(vgaRegs+0x409, 1, i*37)
			}
			p.fill(rng, vgaMem, 64)
			for round := range 30 {
				write(4, 0)
				for range 6 {
					switch i := rng.IntN(11); i {
					case 1, 6:
						write(i, uint32(rng.IntN(700)))
					case 2:
						write(i, uint32(rng.IntN(300)))
					case 3:
						write(i, []uint32{0, 4, 8, 15, 16, 24, 32, 32}[rng.IntN(8)])
					case 4:
						write(i, uint32(0xc1|rng.IntN(64)))
					case 8, 9:
						write(i, uint32(rng.IntN(100)))
					case 5:
						write(i, uint32(rng.IntN(0x400)))
					default:
						write(i, uint32(rng.IntN(0x10000)))
					}
				}
				write(4, 0xc1)
				if rng.IntN(4) == 0 {
					p.store(vgaRegs+0x604, 4, []uint64{0x1e1e1e1e, 0xbebebebe}[rng.IntN(2)])
				}
				for i := range uint64(0x20) {
					p.load(vgaRegs+0x500+2*i, 2)
					p.load(vgaRegs+0x400+i, 1)
				}
				p.load(vgaRegs+0x600, 4)
				p.load(vgaRegs+0x604, 4)
				p.load(vgaRegs+0x404+uint64(rng.IntN(4)), 2)
				p.fill(rng, vgaMem, 2)
				p.screens(fmt.Sprint("round ", round))
				p.fill(rng, vgaMem, 1)
				p.screens(fmt.Sprint("round ", round, " after writing"))
			}
		})
	}
}

func TestVGAState(t *testing.T) {
	for _, c := range displayClasses() {
		vmstatetest.Compare(t, "pc", c.Name, c.State(c.New()).Layout())
	}
}

// TestBochsDisplay compares the adapter without a VGA.
func TestBochsDisplay(t *testing.T) {
	p := newVGAPair(t, "bochs-display")
	rng := rand.New(rand.NewPCG(7, 8))
	p.fill(rng, vgaMem, 64)
	for i := range uint64(256 / 4) {
		p.load(vgaRegs+4*i, 4)
	}
	for round := range 30 {
		for i, limit := range []int{0x10000, 600, 400, 0, 2, 0x10000, 700, 0x10000, 40, 40} {
			v := []int{16, 32, 24}[rng.IntN(3)]
			if limit != 0 {
				v = rng.IntN(limit)
			}
			switch i {
			case 1, 6, 8: // QEMU ends itself at lines that do not begin at a multiple of 4 bytes
				v &^= 7
			case 4:
				v = 1
			}
			p.store(vgaRegs+0x500+uint64(2*i), 2, uint64(v))
		}
		p.store(vgaRegs+0x604, 4, []uint64{0x1e1e1e1e, 0xbebebebe}[rng.IntN(2)])
		for i := range uint64(16) {
			p.load(vgaRegs+0x500+2*i, 2)
		}
		p.screens(fmt.Sprint("round ", round))
		p.fill(rng, vgaMem, 2)
		p.screens(fmt.Sprint("round ", round, " after writing"))
	}
}

// firmwareBus lets firmware program both adapters.
type firmwareBus struct{ *vgaPair }

func (b firmwareBus) In(port uint16) uint8     { return uint8(b.pair.in(port, 1)) }
func (b firmwareBus) Out(port uint16, v uint8) { b.out(port, 1, uint32(v)) }

func (b firmwareBus) Write(addr uint64, p []byte) {
	b.q.Command("write 0x%x 0x%x 0x%x", addr, len(p), p)
	b.m.mem.Write(addr, p)
}

// TestFirmwareTextMode: what a direct boot leaves on the screen shows every character in every colour.
func TestFirmwareTextMode(t *testing.T) {
	p := newVGAPair(t, "VGA")
	b := firmwareBus{p}
	rom := ui.FindROM()
	if rom == nil {
		t.Skip("ORACLE MISSING: vgabios-stdvga.bin of package seabios")
	}
	firmware.StartTextMode(b, ui.Font())
	p.screens("blank")
	cells := make([]byte, 2*firmware.TextColumns*firmware.TextLines)
	for i := range cells {
		cells[i] = byte(i / 2)
		if i%2 == 1 {
			cells[i] = byte(i / 2 * 7)
		}
	}
	b.Write(0xb8000, cells)
	p.screens("characters")
}
