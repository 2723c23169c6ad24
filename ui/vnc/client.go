package vnc

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"

	"goemu/internal/mainloop"
	"goemu/qapi"
	"goemu/ui"
	"goemu/ui/input"
)

// Messages of clients and of the server.
const (
	msgSetPixelFormat, msgSetEncodings, msgUpdateRequest = 0, 2, 3
	msgKey, msgPointer, msgCutText                       = 4, 5, 6
	msgXVP, msgSetDesktopSize, msgQEMU                   = 250, 251, 255
	qemuExtKey                                           = 0

	msgUpdate, msgColorMap = 0, 1
)

// Limits on what clients may send, and how much is sent at once.
const (
	maxCutText    = 1 << 20
	maxQueue      = 64
	rectsPerRound = 512
	defaultLevel  = 9 // as QEMU's; of small data only
	zlibLevel     = 6 // unless a client asks for another: zlib gets all pixels
)

// features are the extensions that a client knows.
type features struct {
	resize, extResize, pointerType, richCursor, alphaCursor, extKey, leds, power bool
}

// client is a connection.
type client struct {
	s       *Server
	local   listener
	trusted bool // needs no authentication
	remote  net.Addr
	here    net.Addr // the server's end

	connMu sync.Mutex
	conn   net.Conn // as it is spoken on; what it wraps goes with it

	// Under the server's mu.
	cond          *sync.Cond
	ready, closed bool
	exclusive     bool
	dirty         region
	width, height int // as the client knows them
	asked, force  bool
	format        pixelFormat
	encoding      int32
	level         int // of compression, -1 for the encoding's usual one
	quality       int // of JPEG, -1 for none
	has           features
	absolute      int      // what the client was told of the pointer: 0, 1, or -1
	queue         [][]byte // messages that wait to be sent

	// Of the reader.
	buttons      uint32
	lastX, lastY int
}

func (c *client) setConn(n net.Conn) {
	c.connMu.Lock()
	defer c.connMu.Unlock()
	c.conn = n
}

func (c *client) close() {
	c.connMu.Lock()
	_ = c.conn.Close()
	c.connMu.Unlock()
	c.s.mu.Lock()
	c.closed = true
	c.cond.Broadcast()
	c.s.mu.Unlock()
}

func (c *client) send(b []byte) error {
	_, err := c.conn.Write(b)
	return err
}

// info describes the client.
func (c *client) info() *qapi.VncClientInfo {
	b := basicInfo(c.remote, c.local.webSocket)
	return &qapi.VncClientInfo{Host: b.Host, Service: b.Service, Family: b.Family, Websocket: b.Websocket}
}

// run serves the client to its end.
func (c *client) run() {
	b := basicInfo(c.remote, c.local.webSocket)
	c.s.Emit(&qapi.VncConnectedEvent{Server: c.s.serverInfo(c), Client: &b})
	if err := c.handshake(); err == nil && c.begin() == nil {
		c.s.Emit(&qapi.VncInitializedEvent{Server: c.s.serverInfo(c), Client: c.info()})
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.write()
		}()
		c.read()
		c.close()
		<-done
	}
	info := c.info()
	c.close()
	c.s.remove(c)
	c.s.Emit(&qapi.VncDisconnectedEvent{Server: c.s.serverInfo(c), Client: info})
}

// begin is the client's initialisation: it may want to be alone.
func (c *client) begin() error {
	var shared [1]byte
	if _, err := io.ReadFull(c.conn, shared[:]); err != nil {
		return err
	}
	c.exclusive = shared[0] == 0
	if !c.admit() {
		return errAuth
	}
	c.s.watch()
	c.s.refresh()
	c.s.mu.Lock()
	c.width, c.height = c.s.width, c.s.height
	c.dirty = newRegion(c.width, c.height)
	c.s.mu.Unlock()
	name := "QEMU"
	if c.s.Name != "" {
		name += " (" + c.s.Name + ")"
	}
	var m []byte
	m = binary.BigEndian.AppendUint16(m, uint16(c.width))
	m = binary.BigEndian.AppendUint16(m, uint16(c.height))
	m = c.format.append16(m)
	m = binary.BigEndian.AppendUint32(m, uint32(len(name)))
	if err := c.send(append(m, name...)); err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.ready = true
	if c.s.width != c.width || c.s.height != c.height {
		c.resized()
	}
	return nil
}

// admit applies the policy about sharing.
func (c *client) admit() bool {
	var leave []*client
	c.s.mu.Lock()
	n, alone := 0, false
	for _, o := range c.s.clients {
		if o.ready && o != c {
			n++
			alone = alone || o.exclusive
			leave = append(leave, o)
		}
	}
	c.s.mu.Unlock()
	switch {
	case c.s.Share == ShareForceShared && c.exclusive, c.s.Share == ShareAllowExclusive && !c.exclusive && alone:
		return false
	case c.s.Share == ShareAllowExclusive && c.exclusive:
		for _, o := range leave {
			o.close()
		}
		return true
	}
	return n < c.s.Connections
}

// read takes the client's messages until one is wrong or the connection ends.
func (c *client) read() {
	r := bufio.NewReader(c.conn)
	for {
		kind, err := r.ReadByte()
		if err != nil || c.message(kind, r) != nil {
			return
		}
	}
}

// bytes reads n bytes of a message.
func take(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// fixed are the lengths of messages after their first byte.
var fixed = map[byte]int{msgSetPixelFormat: 19, msgSetEncodings: 3, msgUpdateRequest: 9, msgKey: 7, msgPointer: 5, msgCutText: 7, msgXVP: 3,
	msgSetDesktopSize: 7, msgQEMU: 1}

func (c *client) message(kind byte, r *bufio.Reader) error {
	n, ok := fixed[kind]
	if !ok {
		return errProtocol
	}
	b, err := take(r, n)
	if err != nil {
		return err
	}
	u16 := func(at int) int { return int(binary.BigEndian.Uint16(b[at:])) }
	switch kind {
	case msgSetPixelFormat:
		return c.setFormat(b[3:])
	case msgSetEncodings:
		list, err := take(r, 4*u16(1))
		if err != nil {
			return err
		}
		c.setEncodings(list)
	case msgUpdateRequest:
		c.request(b[0] != 0, u16(1), u16(3), u16(5), u16(7))
	case msgKey:
		c.key(func() { c.s.keysym(binary.BigEndian.Uint32(b[3:]), b[0] != 0, !c.has.leds) })
	case msgPointer:
		c.pointer(uint32(b[0]), u16(1), u16(3))
	case msgCutText:
		size := binary.BigEndian.Uint32(b[3:])
		if size > maxCutText { // extended messages have negative sizes; they were not offered
			return errProtocol
		}
		_, err := r.Discard(int(size))
		return err
	case msgXVP:
		if !c.has.power {
			return errProtocol
		}
		c.s.Power(b[2])
	case msgSetDesktopSize:
		if _, err := r.Discard(16 * int(b[5])); err != nil {
			return err
		}
		c.wish(u16(1), u16(3))
	case msgQEMU:
		if b[0] != qemuExtKey {
			return errProtocol
		}
		if b, err = take(r, 10); err != nil {
			return err
		}
		c.key(func() {
			sym, code := binary.BigEndian.Uint32(b[2:]), binary.BigEndian.Uint32(b[6:])
			if down := b[1] != 0; code == 0 {
				c.s.keysym(sym, down, !c.has.leds)
			} else {
				c.s.key(input.Number(extCode(code)), sym, down, !c.has.leds)
			}
		})
	}
	return nil
}

// extCode is the number of a key of an extended message.
func extCode(v uint32) int { return int(min(v, 0x100)) }

func (c *client) key(f func()) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	f()
	c.s.hurry()
}

// pointerButtons are the buttons' bits in the client's message.
var pointerButtons = map[input.Button]uint32{input.Left: 1, input.Middle: 2, input.Right: 4, input.WheelUp: 8, input.WheelDown: 16}

// relativeCentre is what clients send for no movement when they were told to send movements.
const relativeCentre = 0x7fff

func (c *client) pointer(buttons uint32, x, y int) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	c.s.mu.Lock()
	width, height, relative := c.s.width, c.s.height, c.has.pointerType
	c.s.mu.Unlock()
	r, screen := c.s.Input, c.s.screen()
	r.Buttons(screen, pointerButtons, c.buttons, buttons)
	c.buttons = buttons
	switch {
	case r.Absolute():
		r.Abs(screen, input.AxisX, x, width)
		r.Abs(screen, input.AxisY, y, height)
	case relative:
		r.Rel(screen, input.AxisX, x-relativeCentre)
		r.Rel(screen, input.AxisY, y-relativeCentre)
	default:
		if c.lastX >= 0 {
			r.Rel(screen, input.AxisX, x-c.lastX)
			r.Rel(screen, input.AxisY, y-c.lastY)
		}
		c.lastX, c.lastY = x, y
	}
	r.Sync()
	c.s.hurry()
}

func (c *client) setFormat(b []byte) error {
	f, mapped, ok := readFormat(b)
	if !ok {
		return errProtocol
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.format = f
	if mapped {
		m := []byte{msgColorMap, 0, 0, 0, 1, 0}
		for i := range 256 {
			for _, ch := range []channel{f.r, f.g, f.b} {
				m = binary.BigEndian.AppendUint16(m, uint16((uint32(i)>>ch.pos&uint32(ch.max)*0xffff+uint32(ch.max)/2)/uint32(ch.max)))
			}
		}
		c.push(m)
	}
	c.dirty.add(0, 0, c.width, c.height)
	c.cond.Signal()
	return nil
}

// setEncodings takes the client's list; the first encoding that there is counts.
func (c *client) setEncodings(list []byte) {
	mainloop.Lock.Lock() // for the pointer's picture and kind, and the lights
	defer mainloop.Lock.Unlock()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.has, c.encoding, c.level, c.quality, c.absolute = features{}, encRaw, -1, -1, -1
	chosen, ext := false, false
	for ; len(list) >= 4; list = list[4:] {
		switch e := int32(binary.BigEndian.Uint32(list)); {
		case e == encRaw, e == encHextile, e == encZlib, e == encTight, e == encZRLE:
			if !chosen {
				c.encoding, chosen = e, true
			}
		case e == encDesktopSize:
			c.has.resize = true
		case e == encExtDesktopSize:
			c.has.extResize = true
		case e == encPointerType:
			c.has.pointerType = true
		case e == encRichCursor:
			c.has.richCursor = true
		case e == encAlphaCursor:
			c.has.alphaCursor = true
		case e == encLEDs:
			c.has.leds = true
		case e == encExtKey:
			ext = true
		case e == encXVP && c.s.PowerControl:
			c.has.power = true
		case e >= encCompress0 && e < encCompress0+10:
			c.level = int(e - encCompress0)
		case e >= encQuality0 && e < encQuality0+10 && c.s.Lossy:
			c.quality = int(e - encQuality0)
		}
	}
	if ext {
		c.has.extKey = true
		c.push(pseudo(0, 0, c.width, c.height, encExtKey))
	}
	if c.has.power {
		c.push([]byte{msgXVP, 0, 1, 1})
	}
	if c.has.extResize {
		c.push(c.screens(0, 0))
	}
	c.pointerType()
	c.leds(c.s.Input.LEDs())
	c.cursor(c.s.console.Cursor())
	c.cond.Signal()
}

// request is a wish for updates.
func (c *client) request(incremental bool, x, y, w, h int) {
	c.s.mu.Lock()
	c.asked = true
	if !incremental {
		c.force = true
		c.dirty.add(x, y, w, h)
	}
	c.cond.Signal()
	c.s.mu.Unlock()
	if !incremental {
		c.key(func() {})
	}
}

// wish asks the adapter for a size.
func (c *client) wish(w, h int) {
	mainloop.Lock.Lock()
	ok := w > 0 && h > 0 && c.s.console.Prefer(w, h)
	mainloop.Lock.Unlock()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if !c.has.extResize {
		return
	}
	if ok {
		c.push(c.screens(1, 4)) // was handed on
	} else {
		c.push(c.screens(1, 3)) // cannot be
	}
}

// push queues a message. Who does not take them is disconnected. Preconditions: the server's mu is held.
func (c *client) push(m []byte) {
	if len(c.queue) >= maxQueue {
		go c.close()
		return
	}
	c.queue = append(c.queue, m)
	c.cond.Signal()
}

// pseudo is an update of one rectangle.
func pseudo(x, y, w, h int, encoding int32) []byte {
	e := encoder{out: []byte{msgUpdate, 0, 0, 1}}
	e.header(x, y, w, h, encoding)
	return e.out
}

// screens describes the one screen to clients that can ask for another size.
func (c *client) screens(reason, status int) []byte {
	m := append(pseudo(reason, status, c.width, c.height, encExtDesktopSize), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	m = binary.BigEndian.AppendUint16(m, uint16(c.width))
	m = binary.BigEndian.AppendUint16(m, uint16(c.height))
	return append(m, 0, 0, 0, 0)
}

// resized tells of another size. A client that cannot take it goes on with its own. Preconditions: the server's mu is held.
func (c *client) resized() {
	if c.has.extResize || c.has.resize {
		c.width, c.height = c.s.width, c.s.height
		if c.has.extResize {
			c.push(c.screens(0, 0))
		} else {
			c.push(pseudo(0, 0, c.width, c.height, encDesktopSize))
		}
	}
	c.dirty = newRegion(min(c.width, c.s.width), min(c.height, c.s.height))
	c.dirty.add(0, 0, c.width, c.height)
	c.cond.Signal()
}

// pointerType tells whether the pointer's positions or movements are wanted. Preconditions: the server's mu is held.
func (c *client) pointerType() {
	absolute := 0
	if c.s.Input.Absolute() {
		absolute = 1
	}
	if c.has.pointerType && c.absolute != absolute {
		c.push(pseudo(absolute, 0, c.width, c.height, encPointerType))
	}
	c.absolute = absolute
}

// leds tells of the keyboard's lights. Preconditions: the server's mu is held.
func (c *client) leds(l input.LEDs) {
	if c.has.leds {
		c.push(append(pseudo(0, 0, 1, 1, encLEDs), byte(l)))
	}
}

// cursor gives the pointer another picture. Preconditions: the server's mu is held.
func (c *client) cursor(p *ui.Cursor) {
	switch {
	case p == nil:
	case c.has.alphaCursor:
		m := append(pseudo(p.HotX, p.HotY, p.Width, p.Height, encAlphaCursor), 0, 0, 0, encRaw)
		for _, v := range p.Pix {
			m = append(m, byte(v>>16), byte(v>>8), byte(v), byte(v>>24))
		}
		c.push(m)
	case c.has.richCursor:
		m := pseudo(p.HotX, p.HotY, p.Width, p.Height, encRichCursor)
		for _, v := range p.Pix {
			m = c.format.append(m, v)
		}
		for y := range p.Height {
			line := make([]byte, (p.Width+7)/8)
			for x := range p.Width {
				if p.Pix[y*p.Width+x]>>31 != 0 {
					line[x/8] |= 0x80 >> (x & 7)
				}
			}
			m = append(m, line...)
		}
		c.push(m)
	}
}

// write sends messages and updates until the client is closed.
func (c *client) write() {
	e := &encoder{}
	for {
		queue, patches, ok := c.next(e)
		if !ok {
			return
		}
		e.out = e.out[:0]
		for _, m := range queue {
			e.out = append(e.out, m...)
		}
		if len(patches) > 0 {
			mark, n := len(e.out), 0
			e.out = append(e.out, msgUpdate, 0, 0, 0)
			for i := range patches {
				n += e.patch(&patches[i])
			}
			binary.BigEndian.PutUint16(e.out[mark+2:], uint16(n))
		}
		if c.send(e.out) != nil {
			c.close()
			return
		}
	}
}

// next waits for something to send and takes it.
func (c *client) next(e *encoder) (queue [][]byte, patches []patch, ok bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for !c.closed && len(c.queue) == 0 && (!c.asked || !c.force && c.dirty.empty()) {
		c.cond.Wait()
	}
	if c.closed {
		return nil, nil, false
	}
	queue, c.queue = c.queue, nil
	if !c.asked || c.dirty.empty() {
		c.force = c.force && !c.dirty.empty()
		return queue, nil, true
	}
	c.dirty.take(rectsPerRound, func(x, y, w, h int) {
		p := patch{x, y, w, h, make([]uint32, 0, w*h)}
		for i := range h {
			at := (y+i)*c.s.width + x
			p.pix = append(p.pix, c.s.pix[at:at+w]...)
		}
		patches = append(patches, p)
	})
	c.asked, c.force = false, false
	e.format, e.encoding, e.level, e.quality = c.format, c.encoding, c.level, c.quality
	if e.level < 0 {
		if e.level = defaultLevel; e.encoding == encZlib {
			e.level = zlibLevel
		}
	}
	return queue, patches, true
}
