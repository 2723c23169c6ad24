package vnc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"goemu/internal/mainloop"
	"goemu/internal/sockaddr"
	"goemu/internal/tlscreds"
	"goemu/qapi"
	"goemu/ui"
	"goemu/ui/input"
	"goemu/ui/keymap"
)

// Largest picture that clients get, and the times between two looks at the guest's.
const (
	maxWidth, maxHeight = 5120, 2160
	refreshStep         = 50 * time.Millisecond
)

// Server is one VNC display.
type Server struct {
	Options
	// Name is the machine's name, Emit tells of clients that come and go, Object finds objects for TLS.
	Name   string
	Emit   func(qapi.Event)
	Object func(id string) any
	Input  *input.Router
	// Layout is the keyboard's for clients that name keys by their symbols; nil is a US keyboard.
	Layout keymap.Layout
	// Power carries out what clients with power control ask for: shutdown, reboot, reset.
	Power func(what byte)

	console  *ui.Console // under the machine lock, as the next two
	watching bool        // of the console
	interval time.Duration
	creds    *tlscreds.X509

	mu        sync.Mutex
	listeners []listener
	clients   []*client
	closed    bool
	width     int
	height    int
	pix       []uint32 // what clients are to see
	guest     *ui.Surface
	changed   region // of guest, since the last refresh
	password  *string
	expires   time.Time // zero: never
	failures  int
	down      map[input.Key]bool
	caps      bool
	num       bool
}

type listener struct {
	net.Listener
	webSocket bool
}

// Open makes the server show a console and listen. Without Display it shows the active one from then on. Preconditions: the machine lock is
// held.
func (s *Server) Open(ctx context.Context, c *ui.Console) error {
	s.console, s.down, s.interval = c, map[input.Key]bool{}, ui.RefreshDefault
	if s.Layout == nil {
		s.Layout = keymap.US
	}
	s.guest = c.Surface()
	s.resize()
	if s.Creds != "" {
		creds, err := tlscreds.Find(s.Object, s.Creds, tlscreds.Server)
		if err != nil {
			return err
		}
		s.creds = creds
	}
	s.Input.OnMode = append(s.Input.OnMode, func(bool) { s.each(func(c *client) { c.pointerType() }) })
	if s.Display == "" {
		ui.Main.OnSelect = append(ui.Main.OnSelect, s.show)
	}
	if s.LockKeySync {
		s.Input.OnLEDs = append(s.Input.OnLEDs, s.setLEDs)
	}
	list, err := s.addresses()
	if err != nil {
		return err
	}
	for _, a := range list {
		if err := s.listen(ctx, a); err != nil {
			s.Close()
			return err
		}
	}
	return nil
}

func (s *Server) listen(ctx context.Context, a listenAddress) error {
	socket, err := a.Listen(ctx)
	if err != nil {
		return err
	}
	l := listener{socket, a.webSocket}
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	go s.accept(l)
	return nil
}

// Relisten ends listening, but for websockets, and listens at other addresses from then on. Clients stay. After an error some or all of the
// addresses are left out.
func (s *Server) Relisten(ctx context.Context, list []*sockaddr.Addr) error {
	s.mu.Lock()
	s.listeners = slices.DeleteFunc(s.listeners, func(l listener) bool {
		if !l.webSocket {
			_ = l.Close()
		}
		return !l.webSocket
	})
	s.mu.Unlock()
	for _, a := range list {
		if err := s.listen(ctx, listenAddress{Addr: *a}); err != nil {
			return err
		}
	}
	return nil
}

// ReloadCreds reads the credentials for TLS again.
func (s *Server) ReloadCreds() error {
	if s.creds == nil {
		return errors.New("vnc tls is not enabled")
	}
	return s.creds.Reload()
}

// Close ends listening and disconnects all clients.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, l := range s.listeners {
		_ = l.Close()
	}
	list := slices.Clone(s.clients)
	s.mu.Unlock()
	for _, c := range list {
		c.close()
	}
}

func (s *Server) accept(l listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, say
			time.Sleep(100 * time.Millisecond)
			continue
		}
		s.add(conn, l, false)
	}
}

// add serves a connection. Who comes when too many are on their way takes the place of the first of them.
func (s *Server) add(conn net.Conn, l listener, trusted bool) {
	c := &client{s: s, conn: conn, remote: conn.RemoteAddr(), here: conn.LocalAddr(), local: l, trusted: trusted, lastX: -1, format: nativeFormat}
	if l.Listener != nil {
		c.here = l.Addr()
	}
	c.level, c.quality = -1, -1
	c.cond = sync.NewCond(&s.mu)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		conn.Close()
		return
	}
	s.clients = append(s.clients, c)
	connecting := 0
	var first *client
	for _, o := range s.clients {
		if !o.ready {
			connecting++
			if first == nil {
				first = o
			}
		}
	}
	s.mu.Unlock()
	if connecting > s.Connections {
		first.close()
	}
	go c.run()
}

// AddClient serves a connection that was made elsewhere; trusted ones need no authentication.
func (s *Server) AddClient(conn net.Conn, trusted bool) { s.add(conn, listener{}, trusted) }

// remove forgets a client.
func (s *Server) remove(c *client) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	s.mu.Lock()
	s.clients = slices.DeleteFunc(s.clients, func(o *client) bool { return o == c })
	left := len(s.clients)
	s.mu.Unlock()
	if left == 0 && s.watching {
		s.watching = false
		s.console.Unwatch(s)
	}
	s.liftKeys()
}

// watch begins to follow the console.
func (s *Server) watch() {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	s.interval = ui.RefreshDefault
	if !s.watching {
		s.watching = true
		s.console.Watch(s)
	}
}

// show changes to another console. Preconditions: the machine lock is held.
func (s *Server) show(c *ui.Console) {
	if s.watching {
		s.console.Unwatch(s)
		c.Watch(s)
	} else {
		s.Switched(c.Surface())
	}
	s.console = c
	s.hurry()
}

// refresh brings the picture up to date. It is called without the machine lock.
func (s *Server) refresh() {
	mainloop.Lock.Lock()
	c := s.console
	mainloop.Lock.Unlock()
	c.Refresh()
}

// hurry makes the next look at the guest's picture come soon. Preconditions: the machine lock is held.
func (s *Server) hurry() {
	s.interval = ui.RefreshDefault
	ui.Main.Kick()
}

func (s *Server) each(f func(*client)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		if c.ready {
			f(c)
		}
	}
}

// resize takes over the size of the guest's picture. Preconditions: mu is held, or no client is there.
func (s *Server) resize() {
	s.width, s.height = min(s.guest.Width, maxWidth), min(s.guest.Height, maxHeight)
	s.pix = make([]uint32, s.width*s.height)
	s.changed = newRegion(s.width, s.height)
	for y := range s.height {
		copy(s.pix[y*s.width:(y+1)*s.width], s.guest.Row(y))
	}
}

// Switched implements ui.Listener.
func (s *Server) Switched(g *ui.Surface) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := s.guest != nil && min(g.Width, maxWidth) == s.width && min(g.Height, maxHeight) == s.height
	s.guest = g
	if same {
		s.changed.add(0, 0, s.width, s.height)
		return
	}
	s.resize()
	for _, c := range s.clients {
		if c.ready {
			c.resized()
		}
	}
}

// Changed implements ui.Listener.
func (s *Server) Changed(x, y, w, h int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.add(x, y, w, h)
}

// Refreshed implements ui.Listener: it takes over what really differs.
func (s *Server) Refreshed() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	any := false
	s.changed.take(s.height*s.width, func(x, y, w, h int) {
		for ; h > 0; y, h = y+1, h-1 {
			for at := x; at < x+w; at += cell {
				end := min(at+cell, x+w)
				from, to := s.guest.Row(y)[at:end], s.pix[y*s.width+at:y*s.width+end]
				if slices.Equal(from, to) {
					continue
				}
				copy(to, from)
				any = true
				for _, c := range s.clients {
					if c.ready {
						c.dirty.add(at, y, end-at, 1)
					}
				}
			}
		}
	})
	if any {
		for _, c := range s.clients {
			c.cond.Signal()
		}
		s.interval = max(s.interval/2, ui.RefreshDefault)
	} else {
		s.interval = min(s.interval+refreshStep, ui.RefreshIdle)
	}
	return s.interval
}

// CursorDefined implements ui.Listener.
func (s *Server) CursorDefined(p *ui.Cursor) {
	s.each(func(c *client) { c.cursor(p) })
}

// CursorMoved implements ui.Listener; clients draw the pointer where they have it.
func (s *Server) CursorMoved(int, int, bool) {}

func (s *Server) setLEDs(l input.LEDs) {
	s.mu.Lock()
	s.caps, s.num = l&input.CapsLED != 0, l&input.NumLED != 0
	s.mu.Unlock()
	s.each(func(c *client) { c.leds(l) })
}

// authKind is how clients prove who they are.
func (s *Server) authKind(webSocket bool) (auth byte, sub uint32) {
	auth = authNone
	if s.Password || s.PasswordSecret != "" {
		auth = authVNC
	}
	if s.Creds == "" || webSocket {
		return auth, 0
	}
	if auth == authVNC {
		return authVeNCrypt, subX509VNC
	}
	return authVeNCrypt, subX509None
}

// AuthName is the name of the kind of authentication.
func (s *Server) AuthName() string {
	switch auth, sub := s.authKind(false); {
	case sub == subX509None:
		return "vencrypt+x509+none"
	case sub == subX509VNC:
		return "vencrypt+x509+vnc"
	case auth == authVNC:
		return "vnc"
	}
	return "none"
}

// SetPassword changes the password; it fails without the option for it.
func (s *Server) SetPassword(p string) error {
	if auth, sub := s.authKind(false); auth == authNone || sub == subX509None {
		return errors.New("Could not set password")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.password = &p
	return nil
}

// SetExpiry lets the password be good until t; the zero time is for ever.
func (s *Server) SetExpiry(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expires = t
}

func (s *Server) checkPassword() (p string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.password == nil || !s.expires.IsZero() && s.expires.Before(time.Now()) {
		return "", false
	}
	return *s.password, true
}

// basicInfo describes one end of a connection.
func basicInfo(a net.Addr, webSocket bool) (b qapi.VncBasicInfo) {
	b = qapi.VncBasicInfo{Family: qapi.NetworkAddressFamilyUnix, Websocket: webSocket}
	t, ok := a.(*net.TCPAddr)
	if !ok {
		b.Service = a.String()
		return b
	}
	b.Family, b.Host, b.Service = qapi.NetworkAddressFamilyIpv4, t.IP.String(), strconv.Itoa(t.Port)
	if t.IP.To4() == nil {
		b.Family = qapi.NetworkAddressFamilyIpv6
	}
	if len(t.IP) == 0 {
		b.Host = "::"
	}
	return b
}

func (s *Server) serverInfo(c *client) *qapi.VncServerInfo {
	b := basicInfo(c.here, c.local.webSocket)
	auth := s.AuthName()
	return &qapi.VncServerInfo{Host: b.Host, Service: b.Service, Family: b.Family, Websocket: b.Websocket, Auth: &auth}
}

// Clients describes the clients, Listening where the server listens.
func (s *Server) Clients() (list []*qapi.VncClientInfo) {
	list = []*qapi.VncClientInfo{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		list = append(list, c.info())
	}
	return list
}

// Listening is described with Clients.
func (s *Server) Listening() (list []*qapi.VncServerInfo2) {
	list = []*qapi.VncServerInfo2{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		b := basicInfo(l.Addr(), l.webSocket)
		auth, sub := s.authNames(l.webSocket)
		list = append(list, &qapi.VncServerInfo2{Host: b.Host, Service: b.Service, Family: b.Family, Websocket: b.Websocket, Auth: auth, Vencrypt: sub})
	}
	return list
}

func (s *Server) authNames(webSocket bool) (a qapi.VncPrimaryAuth, v *qapi.VncVencryptSubAuth) {
	auth, sub := s.authKind(webSocket)
	switch auth {
	case authVNC:
		return qapi.VncPrimaryAuthVnc, nil
	case authVeNCrypt:
		name := qapi.VncVencryptSubAuthX509None
		if sub == subX509VNC {
			name = qapi.VncVencryptSubAuthX509Vnc
		}
		return qapi.VncPrimaryAuthVencrypt, &name
	}
	return qapi.VncPrimaryAuthNone, nil
}

// Info describes the server.
func (s *Server) Info() *qapi.VncInfo2 {
	auth, sub := s.authNames(false)
	i := &qapi.VncInfo2{Id: s.ID, Server: s.Listening(), Clients: s.Clients(), Auth: auth, Vencrypt: sub}
	if s.Display != "" {
		i.Display = &s.Display
	}
	return i
}

// Where says where the first listener is, for people; "" for none or a local one.
func (s *Server) Where() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.listeners) == 0 {
		return ""
	}
	b := basicInfo(s.listeners[0].Addr(), false)
	if b.Family == qapi.NetworkAddressFamilyUnix {
		return ""
	}
	return fmt.Sprintf("%s:%s", b.Host, b.Service)
}

// key brings a key and its symbol to who they are for; sync lets the lock keys follow the client's. Preconditions: the machine lock is held.
func (s *Server) key(k input.Key, sym uint32, down, sync bool) {
	const first, last = 2, 10 // the numbers of the keys 1 to 9
	if n := k.Num(); s.Display == "" && down && n >= first && n <= last && s.held(input.KeyCtrl, input.KeyCtrlR) && s.held(input.KeyAlt, input.KeyAltR) {
		s.liftKeys()
		ui.Main.Select(n - first)
		return
	}
	if down && sync && s.LockKeySync {
		s.syncLocks(sym, k)
	}
	s.sendKey(k, down)
	if t := s.console.Typist(); t != nil && down {
		s.typeKey(t, k, sym)
	}
}

func (s *Server) held(k, other input.Key) bool { return s.down[k] || s.down[other] }

// sendKey brings a key to the machine, unless a text console is shown. Preconditions: the machine lock is held.
func (s *Server) sendKey(k input.Key, down bool) {
	if k == input.KeyUnmapped || !down && !s.down[k] {
		return
	}
	if down {
		s.down[k] = true
		switch k {
		case input.KeyCapsLock:
			s.caps = !s.caps
		case input.KeyNumLock:
			s.num = !s.num
		}
	} else {
		delete(s.down, k)
	}
	if s.console.Typist() != nil {
		return
	}
	s.Input.SendKey(s.screen(), k, down)
	if s.KeyDelay > 0 {
		s.Input.Pause(s.KeyDelay)
	}
}

// screen is the console whose devices get input; nil for all.
func (s *Server) screen() any {
	if s.Display == "" {
		return nil
	}
	return s.console
}

// liftKeys lets go of all keys. Preconditions: the machine lock is held.
func (s *Server) liftKeys() {
	for k := range s.down {
		s.sendKey(k, false)
	}
}

// keysym brings a key that a client has named by its symbol. Preconditions: the machine lock is held.
func (s *Server) keysym(sym uint32, down, sync bool) {
	lower := sym
	if sym >= 'A' && sym <= 'Z' {
		lower += 'a' - 'A'
	}
	s.key(s.Layout.Key(lower, down, s.mods(), func(k input.Key) bool { return s.down[k] }), sym, down, sync)
}

// mods are the modifiers that are held, as layouts know them.
func (s *Server) mods() (m keymap.Mods) {
	if s.held(input.KeyShift, input.KeyShiftR) {
		m |= keymap.Shift
	}
	if s.down[input.KeyAltR] {
		m |= keymap.AltGr
	}
	if s.held(input.KeyCtrl, input.KeyCtrlR) {
		m |= keymap.Ctrl
	}
	return m
}

// syncLocks presses the lock keys where the client's differ from the guest's.
func (s *Server) syncLocks(sym uint32, k input.Key) {
	press := func(k input.Key) {
		s.sendKey(k, true)
		s.sendKey(k, false)
	}
	upper, letter := sym >= 'A' && sym <= 'Z', sym >= 'A' && sym <= 'Z' || sym >= 'a' && sym <= 'z'
	shift := s.held(input.KeyShift, input.KeyShiftR)
	switch {
	case keypad(k) && numeric(sym) != s.num:
		press(input.KeyNumLock)
	case letter && s.caps == (upper == shift):
		press(input.KeyCapsLock)
	}
}
