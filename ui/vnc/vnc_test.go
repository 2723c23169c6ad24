package vnc

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"crypto/des"
	"encoding/binary"
	"image/jpeg"
	"io"
	"math/bits"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"goemu/internal/mainloop"
	"goemu/internal/sockaddr"
	"goemu/qapi"
	"goemu/ui"
	"goemu/ui/input"
	"goemu/ui/keymap"
)

// screen is an adapter that shows what the test has drawn.
type screen struct{ c *ui.Console }

func (s *screen) Update()     { s.c.ChangedAll() }
func (s *screen) Invalidate() {}

// keyboard notes keys and movements.
type keyboard struct{ got []input.Event }

func (k *keyboard) Input(e input.Event) { k.got = append(k.got, e) }
func (k *keyboard) Sync()               {}

// rig is a server with a screen.
type rig struct {
	s    *Server
	c    *ui.Console
	keys *keyboard
	addr string
}

func newRig(t testing.TB, options string) *rig {
	t.Helper()
	o, err := Parse("unix:" + t.TempDir() + "/vnc" + options)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{keys: new(keyboard)}
	r.s = &Server{Options: *o, Name: "test", Emit: func(qapi.Event) {}, Input: &input.Router{Running: func() bool { return true }}}
	r.s.KeyDelay = 0
	r.s.Input.Add(r.keys, "keys", input.Of(input.KindKey, input.KindRel, input.KindButton))
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	hw := new(screen)
	r.c = ui.Main.Add(r, 0, hw)
	hw.c = r.c
	r.c.Switch(ui.NewSurface(200, 120))
	if err := r.s.Open(context.Background(), r.c); err != nil {
		t.Fatal(err)
	}
	r.addr = r.s.listeners[0].Addr().String()
	t.Cleanup(func() {
		r.s.Close()
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		r.c.Close()
	})
	return r
}

// draw changes what the guest shows.
func (r *rig) draw(f func(s *ui.Surface)) {
	mainloop.Lock.Lock()
	f(r.c.Surface())
	mainloop.Lock.Unlock()
}

// viewer is a client.
type viewer struct {
	t    *testing.T
	c    net.Conn
	r    *bufio.Reader
	w, h int
	pix  []uint32
	z    map[int]io.Reader
	zbuf map[int]*bytes.Buffer
}

func (r *rig) dial(t *testing.T) *viewer {
	t.Helper()
	c, err := net.Dial("unix", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &viewer{t: t, c: c, r: bufio.NewReader(c), z: map[int]io.Reader{}, zbuf: map[int]*bytes.Buffer{}}
}

func (v *viewer) send(b ...byte) {
	v.t.Helper()
	if _, err := v.c.Write(b); err != nil {
		v.t.Fatal(err)
	}
}

func (v *viewer) take(n int) []byte {
	v.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(v.r, b); err != nil {
		v.t.Fatal(err)
	}
	return b
}

func (v *viewer) u16() int { v.t.Helper(); return int(binary.BigEndian.Uint16(v.take(2))) }
func (v *viewer) u32() int { v.t.Helper(); return int(int32(binary.BigEndian.Uint32(v.take(4)))) }

// login goes through the handshake of a version and returns the result of the authentication.
func (v *viewer) login(version, password string) (ok bool) {
	v.t.Helper()
	if got := string(v.take(12)); got != "RFB 003.008\n" {
		v.t.Fatalf("version %q", got)
	}
	v.send([]byte("RFB 003." + version + "\n")...)
	auth := 0
	if version == "003" {
		auth = v.u32()
	} else {
		auth = int(v.take(int(v.take(1)[0]))[0])
		v.send(byte(auth))
	}
	if auth == authVNC {
		challenge := v.take(16)
		key := make([]byte, 8)
		copy(key, password)
		for i := range key {
			key[i] = bits.Reverse8(key[i])
		}
		block, _ := des.NewCipher(key)
		out := make([]byte, 16)
		block.Encrypt(out, challenge)
		block.Encrypt(out[8:], challenge[8:])
		v.send(out...)
	}
	if auth == authVNC || version == "008" {
		return v.u32() == 0
	}
	return auth == authNone
}

func (v *viewer) start(shared byte) {
	v.t.Helper()
	v.send(shared)
	v.w, v.h = v.u16(), v.u16()
	v.take(16)
	if name := string(v.take(v.u32())); name != "QEMU (test)" {
		v.t.Fatalf("name %q", name)
	}
	v.pix = make([]uint32, v.w*v.h)
}

func (v *viewer) encodings(list ...int32) {
	b := []byte{msgSetEncodings, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(list)))
	for _, e := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(e))
	}
	v.send(b...)
}

func (v *viewer) request(incremental byte) {
	b := []byte{msgUpdateRequest, incremental, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(v.w))
	v.send(binary.BigEndian.AppendUint16(b, uint16(v.h))...)
}

// update reads an update; it returns the encodings seen.
func (v *viewer) update() (seen []int) {
	v.t.Helper()
	if m := v.take(2); m[0] != msgUpdate {
		v.t.Fatalf("message %d", m[0])
	}
	for range v.u16() {
		x, y, w, h, enc := v.u16(), v.u16(), v.u16(), v.u16(), v.u32()
		seen = append(seen, enc)
		switch enc {
		case encRaw:
			v.put(x, y, w, h, v.pixels(v.r, w*h))
		case encZlib:
			v.put(x, y, w, h, v.pixels(v.inflate(0, v.u32()), w*h))
		case encHextile:
			v.hextile(x, y, w, h)
		case encZRLE:
			v.zrle(x, y, w, h, v.inflate(1, v.u32()))
		case encTight:
			v.tight(x, y, w, h)
		case encDesktopSize:
			v.w, v.h, v.pix = w, h, make([]uint32, w*h)
		case encExtDesktopSize:
			v.take(4 + 16)
			v.w, v.h, v.pix = w, h, make([]uint32, w*h)
		case encLEDs:
			v.take(1)
		case encExtKey, encPointerType:
		default:
			v.t.Fatalf("encoding %d", enc)
		}
	}
	return seen
}

func (v *viewer) put(x, y, w, h int, pix []uint32) {
	for i := range h {
		copy(v.pix[(y+i)*v.w+x:(y+i)*v.w+x+w], pix[i*w:(i+1)*w])
	}
}

func (v *viewer) pixels(r io.Reader, n int) (out []uint32) {
	v.t.Helper()
	b := make([]byte, 4*n)
	if _, err := io.ReadFull(r, b); err != nil {
		v.t.Fatal(err)
	}
	for i := range n {
		out = append(out, binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

func (v *viewer) inflate(stream, n int) io.Reader {
	v.t.Helper()
	buf := v.zbuf[stream]
	if buf == nil {
		buf = new(bytes.Buffer)
		v.zbuf[stream] = buf
	}
	buf.Write(v.take(n))
	if v.z[stream] == nil {
		z, err := zlib.NewReader(buf)
		if err != nil {
			v.t.Fatal(err)
		}
		v.z[stream] = z
	}
	return v.z[stream]
}

func (v *viewer) hextile(x, y, w, h int) {
	for ty := 0; ty < h; ty += 16 {
		for tx := 0; tx < w; tx += 16 {
			tw, th := min(16, w-tx), min(16, h-ty)
			flags := v.take(1)[0]
			if flags&hexRaw != 0 {
				v.put(x+tx, y+ty, tw, th, v.pixels(v.r, tw*th))
				continue
			}
			tile := ui.NewSurface(tw, th)
			tile.Fill(0, 0, tw, th, v.pixels(v.r, 1)[0]) // this server always gives it
			var fg uint32
			if flags&hexForeground != 0 {
				fg = v.pixels(v.r, 1)[0]
			}
			if flags&hexSubrects != 0 {
				for range v.take(1)[0] {
					if flags&hexColoured != 0 {
						fg = v.pixels(v.r, 1)[0]
					}
					b := v.take(2)
					tile.Fill(int(b[0]>>4), int(b[0]&15), int(b[1]>>4)+1, int(b[1]&15)+1, fg)
				}
			}
			v.put(x+tx, y+ty, tw, th, tile.Pix)
		}
	}
}

func unpack(row []byte, i, width int) byte {
	per := 8 / width
	return row[i/per] >> (8 - width*(i%per+1)) & (1<<width - 1)
}

func (v *viewer) zrle(x, y, w, h int, r io.Reader) {
	get := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			v.t.Fatal(err)
		}
		return b
	}
	pixel := func() uint32 { b := get(3); return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }
	for ty := 0; ty < h; ty += 64 {
		for tx := 0; tx < w; tx += 64 {
			tw, th := min(64, w-tx), min(64, h-ty)
			pix := make([]uint32, 0, tw*th)
			switch k := int(get(1)[0]); {
			case k == 0:
				for range tw * th {
					pix = append(pix, pixel())
				}
			case k == 1:
				c := pixel()
				for range tw * th {
					pix = append(pix, c)
				}
			case k <= 16:
				var list []uint32
				for range k {
					list = append(list, pixel())
				}
				width := map[bool]int{true: 4}[k > 4] | map[bool]int{true: 2}[k > 2 && k <= 4] | map[bool]int{true: 1}[k == 2]
				for range th {
					row := get((tw*width + 7) / 8)
					for i := range tw {
						pix = append(pix, list[unpack(row, i, width)])
					}
				}
			case k == zrlePlainRLE:
				for len(pix) < tw*th {
					c, n := pixel(), 1
					for {
						b := get(1)[0]
						n += int(b)
						if b != 255 {
							break
						}
					}
					for range n {
						pix = append(pix, c)
					}
				}
			default:
				v.t.Fatalf("tile of kind %d", k)
			}
			v.put(x+tx, y+ty, tw, th, pix)
		}
	}
}

func (v *viewer) tight(x, y, w, h int) {
	three := func(r io.Reader) uint32 {
		b := make([]byte, 3)
		if _, err := io.ReadFull(r, b); err != nil {
			v.t.Fatal(err)
		}
		return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
	}
	size := func() (n int) {
		for s := 0; s < 21; s += 7 {
			b := int(v.take(1)[0])
			if n |= b & 0x7f << s; b < 0x80 {
				break
			}
		}
		return n
	}
	ctl := v.take(1)[0]
	data := func(n int) io.Reader {
		if n < tightMin {
			return v.r
		}
		return v.inflate(2+int(ctl>>4&3), size())
	}
	pix := make([]uint32, w*h)
	switch {
	case ctl == tightFill:
		c := three(v.r)
		for i := range pix {
			pix[i] = c
		}
	case ctl == tightJPEG:
		img, err := jpeg.Decode(bytes.NewReader(v.take(size())))
		if err != nil {
			v.t.Fatal(err)
		}
		for i := range pix {
			r, g, b, _ := img.At(i%w, i/w).RGBA()
			pix[i] = r>>8<<16 | g>>8<<8 | b>>8
		}
	case ctl&tightFilter != 0:
		v.take(1)
		var list []uint32
		for range int(v.take(1)[0]) + 1 {
			list = append(list, three(v.r))
		}
		width, stride := 8, w
		if len(list) == 2 {
			width, stride = 1, (w+7)/8
		}
		rows := make([]byte, stride*h)
		if _, err := io.ReadFull(data(len(rows)), rows); err != nil {
			v.t.Fatal(err)
		}
		for i := range pix {
			pix[i] = list[unpack(rows[i/w*stride:], i%w, width)]
		}
	default:
		r := data(3 * w * h)
		for i := range pix {
			pix[i] = three(r)
		}
	}
	v.put(x, y, w, h, pix)
}

// pictures are things to show: one colour, two, a few, many, and noise.
var pictures = []func(rng *rand.Rand, x, y int) uint32{
	func(*rand.Rand, int, int) uint32 { return 0x123456 },
	func(rng *rand.Rand, x, _ int) uint32 { return uint32(x&1) * 0xffffff },
	func(rng *rand.Rand, x, y int) uint32 { return uint32((x/5 + y/3) % 7 * 0x21) },
	func(rng *rand.Rand, x, y int) uint32 { return uint32(x/3<<16 | y) },
	func(rng *rand.Rand, _, _ int) uint32 { return rng.Uint32() & 0xffffff },
	func(rng *rand.Rand, x, y int) uint32 { return uint32(x<<16 | y<<8 | x) },
}

func TestEncodings(t *testing.T) {
	for name, enc := range map[string]int32{"raw": encRaw, "hextile": encHextile, "zlib": encZlib, "zrle": encZRLE, "tight": encTight} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "")
			v := r.dial(t)
			v.login("008", "")
			v.start(1)
			v.encodings(enc, encDesktopSize)
			rng := rand.New(rand.NewPCG(1, 1))
			for i, p := range pictures {
				r.draw(func(s *ui.Surface) {
					for j := range s.Pix {
						s.Pix[j] = p(rng, j%s.Width, j/s.Width)
					}
				})
				r.c.Refresh()
				mainloop.Lock.Lock()
				r.s.Refreshed()
				want := slices.Clone(r.c.Surface().Pix)
				mainloop.Lock.Unlock()
				v.request(0)
				for seen := v.update(); !slices.Equal(v.pix, want); {
					if !slices.Contains(seen, int(enc)) {
						t.Fatalf("picture %d: encodings %v", i, seen)
					}
					v.request(0)
					if v.update(); !slices.Equal(v.pix, want) {
						t.Fatalf("picture %d differs", i)
					}
				}
			}
			mainloop.Lock.Lock()
			r.c.Switch(ui.NewSurface(64, 33))
			mainloop.Lock.Unlock()
			v.request(1)
			for v.w != 64 {
				v.update()
			}
		})
	}
}

func TestAuthentication(t *testing.T) {
	r := newRig(t, ",password=on")
	if r.dial(t).login("008", "secret") {
		t.Error("access while no password is set")
	}
	if err := r.s.SetPassword("secret"); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"003", "007", "008"} {
		v := r.dial(t)
		if !v.login(version, "secret") {
			t.Errorf("version %s: no access", version)
		}
		v.start(1)
	}
	start := time.Now()
	if r.dial(t).login("008", "wrong") {
		t.Error("access with a wrong password")
	}
	if d := time.Since(start); d < failureDelay {
		t.Errorf("refused after %v", d)
	}
	r.s.SetExpiry(time.Unix(1, 0))
	if r.dial(t).login("008", "secret") {
		t.Error("access with a password that has expired")
	}
	if err := newRig(t, "").s.SetPassword("x"); err == nil {
		t.Error("a password for a server without one")
	}
}

// TestRelisten moves a server: who is connected stays, and the old address is free.
func TestRelisten(t *testing.T) {
	r := newRig(t, "")
	old := r.addr
	first := r.dial(t)
	first.login("008", "")
	first.start(1)
	r.addr = t.TempDir() + "/other"
	if err := r.s.Relisten(context.Background(), []*sockaddr.Addr{{Type: sockaddr.Unix, Path: r.addr}}); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("unix", old); err == nil {
		c.Close()
		t.Error("the old address still answers")
	}
	if l := r.s.Listening(); len(l) != 1 || l[0].Service != r.addr {
		t.Errorf("listens at %+v", l)
	}
	second := r.dial(t)
	second.login("008", "")
	second.start(1)
	for _, v := range []*viewer{first, second} {
		v.request(0)
		v.update()
	}
	if err := r.s.Relisten(context.Background(), []*sockaddr.Addr{{Type: sockaddr.Unix, Path: t.TempDir() + "/no/such"}}); err == nil {
		t.Error("listens in a directory that is not there")
	}
	if err := r.s.ReloadCreds(); err == nil || err.Error() != "vnc tls is not enabled" {
		t.Errorf("credentials: %v", err)
	}
}

func TestSharing(t *testing.T) {
	r := newRig(t, ",share=force-shared")
	v := r.dial(t)
	v.login("008", "")
	v.send(0)
	if _, err := v.r.ReadByte(); err == nil {
		t.Error("a client that wants to be alone was let in")
	}
	r = newRig(t, "")
	first, second := r.dial(t), r.dial(t)
	first.login("008", "")
	first.start(1)
	second.login("008", "")
	second.start(0)
	if _, err := first.r.ReadByte(); err == nil {
		t.Error("the first client was not sent away")
	}
}

func TestKeys(t *testing.T) {
	r := newRig(t, "")
	v := r.dial(t)
	v.login("008", "")
	v.start(1)
	v.encodings(encRaw, encExtKey, encLEDs)
	v.send(msgKey, 1, 0, 0, 0, 0, 0, 'a')
	v.send(msgKey, 0, 0, 0, 0, 0, 0, 'a')
	v.send(msgQEMU, qemuExtKey, 0, 1, 0, 0, 0xff, 0x0d, 0, 0, 0, 0x9c)
	v.send(msgQEMU, qemuExtKey, 0, 0, 0, 0, 0xff, 0x0d, 0, 0, 0, 0x9c)
	v.send(msgPointer, 1, 0, 10, 0, 20)
	v.send(msgPointer, 0, 0, 15, 0, 18)
	want := []input.Event{{Kind: input.KindKey, Key: input.Find("a"), Down: true}, {Kind: input.KindKey, Key: input.Find("a")},
		{Kind: input.KindKey, Key: input.Find("kp_enter"), Down: true}, {Kind: input.KindKey, Key: input.Find("kp_enter")},
		{Kind: input.KindButton, Button: input.Left, Down: true}, {Kind: input.KindButton, Button: input.Left},
		{Kind: input.KindRel, Axis: input.AxisX, Value: 5}, {Kind: input.KindRel, Axis: input.AxisY, Value: -2}}
	v.request(0)
	for !slices.Contains(v.update(), encRaw) {
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if !slices.Equal(r.keys.got, want) {
		t.Errorf("got %v, want %v", r.keys.got, want)
	}
}

// TestLayout types on a keyboard of another country.
func TestLayout(t *testing.T) {
	r := newRig(t, "")
	l, err := keymap.Parse(strings.NewReader("z 0x15\nplus 0x1b\nplus 0x4e numlock\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.s.Layout = l
	v := r.dial(t)
	v.login("008", "")
	v.start(1)
	v.encodings(encRaw)
	for _, sym := range []byte("z+") {
		v.send(msgKey, 1, 0, 0, 0, 0, 0, sym)
		v.send(msgKey, 0, 0, 0, 0, 0, 0, sym)
	}
	v.request(0)
	for !slices.Contains(v.update(), encRaw) {
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	var got []string
	for _, e := range r.keys.got {
		got = append(got, e.Key.String())
	}
	if !slices.Equal(got, []string{"y", "y", "bracket_right", "bracket_right"}) {
		t.Errorf("got %v", got)
	}
}

// terminalScreen is a text console.
type terminalScreen struct {
	screen
	typed    chan string
	scrolled chan int
}

func (s *terminalScreen) Type(keys []byte) { s.typed <- string(keys) }
func (s *terminalScreen) Scroll(n int)     { s.scrolled <- n }

// TestTextConsole changes to a text console, which has a size of its own, types there, and comes back.
func TestTextConsole(t *testing.T) {
	r := newRig(t, "")
	hw := &terminalScreen{typed: make(chan string, 100), scrolled: make(chan int, 100)}
	mainloop.Lock.Lock()
	hw.c = ui.Main.Add(nil, 0, hw)
	hw.c.Switch(ui.NewSurface(160, 64))
	mainloop.Lock.Unlock()
	v := r.dial(t)
	v.login("008", "")
	v.start(1)
	v.encodings(encRaw, encDesktopSize)
	key := func(sym uint32, down byte) {
		v.send(msgKey, down, 0, 0, byte(sym>>24), byte(sym>>16), byte(sym>>8), byte(sym))
	}
	press := func(syms ...uint32) {
		for _, s := range syms {
			key(s, 1)
		}
		for _, s := range slices.Backward(syms) {
			key(s, 0)
		}
	}
	const control, alt, up, home, enter, pad1, pad1Digit, shift = 0xffe3, 0xffe9, 0xff52, 0xff50, 0xff0d, 0xff9c, 0xffb1, 0xffe1
	press(control, alt, '2')
	for v.w != 160 || v.h != 64 {
		v.update()
	}
	press('a')
	press(shift, 'B')
	press(control, 'c')
	press(enter)
	press(home)
	press(pad1)
	press(pad1Digit)
	press(control, up)
	for _, want := range []string{"a", "B", "\x03", "\r", "\x1b[1~", "\x1b[4~", "1"} {
		if got := <-hw.typed; got != want {
			t.Fatalf("typed %q, not %q", got, want)
		}
	}
	if n := <-hw.scrolled; n != 1 {
		t.Fatalf("scrolled by %d", n)
	}
	press(control, alt, '9') // there is none
	press(control, alt, '1')
	for v.w != 200 || v.h != 120 {
		v.update()
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	defer hw.c.Close()
	for _, e := range r.keys.got {
		if k := e.Key; k != input.KeyCtrl && k != input.KeyAlt {
			t.Fatalf("the machine got %v", k)
		}
	}
}

func TestOrigin(t *testing.T) {
	for _, c := range []struct {
		origin, host string
		want         bool
	}{{"", "h:1", true}, {"http://h:8000", "h:5700", true}, {"https://evil.example", "h:5700", false}, {"http://[::1]:80", "[::1]:5700", true}, {"null", "h", false}} {
		req := &http.Request{Host: c.host, Header: http.Header{}}
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		if got := sameOrigin(req); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestParse(t *testing.T) {
	for value, want := range map[string]string{
		"":                              "",
		":x":                            "can't convert to a number: x",
		"host":                          "no vnc port specified",
		"host:":                         "vnc port cannot be empty",
		":99999":                        "port 99999 out of range",
		":1,nonsense=1":                 "Invalid parameter 'nonsense'",
		":1,share=no":                   "unknown vnc share= option",
		"unix:/x,websocket=on":          "explicit websocket port is required",
		":1,tls-authz=a":                "'tls-authz' provided but TLS is not enabled",
		":1,password,lossy=on,to=9":     "",
		"[::1]:1,websocket=5800":        "",
		":1,password,lossy=perhaps":     "Parameter 'lossy' expects 'on' or 'off'",
		"none":                          "",
		":1,password-secret=s,to=x":     "Parameter 'to' expects a number",
		":1,password,password-secret=s": "'password' flag is redundant with 'password-secret'",
	} {
		_, err := Parse(value)
		if got := strings.TrimSpace(errText(err)); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// FuzzClient gives the server whatever a client might send after its initialisation.
func FuzzClient(f *testing.F) {
	f.Add([]byte{msgSetEncodings, 0, 0, 1, 0, 0, 0, 7, msgUpdateRequest, 0, 0, 0, 0, 0, 0, 200, 0, 120})
	f.Add([]byte{msgSetPixelFormat, 0, 0, 0, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, msgUpdateRequest, 0, 0, 0, 0, 0, 0, 200, 0, 120})
	f.Add([]byte{msgCutText, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{msgSetDesktopSize, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0})
	r := newRig(f, ",power-control=on,lossy=on")
	r.s.Power = func(byte) {}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := net.Dial("unix", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write(append([]byte("RFB 003.008\n\x01\x01"), data...))
		_ = c.(*net.UnixConn).CloseWrite()
		if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
			t.Error("the server hangs")
		}
	})
}
