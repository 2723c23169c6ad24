package chardev

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"goemu/internal/fdset"
	"goemu/internal/sockaddr"
	"goemu/internal/tlscreds"
)

// socketEnd is a stream socket, as a server for one client at a time or as a client.
type socketEnd struct {
	b         *Backend
	addr      socketAddr
	server    bool
	nodelay   bool
	reconnect time.Duration
	telnet    bool
	websocket bool
	creds     *tlscreds.X509
	authz     tlscreds.Authorizer
	listener  net.Listener

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	cur  *pump
	gone chan struct{} // closed when cur has ended
	peer string        // address of the other side

	tell   func(text string) // gives the user a message
	failed bool              // a failure to connect was told, and there has been no connection since
}

// socketAddr is where to listen or connect.
type socketAddr struct {
	network, address string // of package net: tcp or unix
	to               int    // tcp server: the last port to try, 0 for none
	fd               int    // an inherited socket, -1 for none
}

func (a socketAddr) String() string {
	if a.fd >= 0 {
		return "fd:" + strconv.Itoa(a.fd)
	}
	return a.network + ":" + a.address
}

// text is the address as error texts have it.
func (a socketAddr) text() string {
	if a.fd >= 0 {
		return strconv.Itoa(a.fd)
	}
	return a.address
}

func openSocket(b *Backend, s *Spec) error {
	e := &socketEnd{b: b, tell: s.tell}
	wait, err := e.parse(s)
	if err != nil {
		return err
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	b.end, b.discard = e, true
	if !e.server {
		return e.startClient()
	}
	if e.listener, err = e.addr.listen(); err != nil {
		return err
	}
	if wait {
		s.inform(fmt.Sprintf("info: QEMU waiting for connection on: %s", e.name()))
		c, err := e.listener.Accept()
		if err != nil {
			e.listener.Close()
			return err
		}
		if c, err = e.upgrade(c); err != nil {
			e.listener.Close()
			return err
		}
		e.serve(c)
	}
	e.wg.Add(1)
	go e.acceptLoop()
	return nil
}

// handshakeTime is how long a client may take for what comes before data.
const handshakeTime = 10 * time.Second

// upgrade begins the protocols that lie between the socket and the data.
func (e *socketEnd) upgrade(c net.Conn) (net.Conn, error) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetNoDelay(e.nodelay)
	}
	raw := c
	if u, ok := c.(*net.UnixConn); ok {
		c = fdConn{u, e.b}
	}
	_ = raw.SetDeadline(time.Now().Add(handshakeTime))
	var err error
	switch {
	case e.creds == nil:
	case e.server:
		c, err = e.creds.StartServer(c, e.authz)
	default:
		c, err = e.creds.StartClient(c, e.addr.host())
	}
	if err == nil && e.websocket {
		c, err = startWebsocket(c)
	}
	if err == nil && e.telnet && e.server {
		c, err = startTelnet(c, e.b)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	_ = raw.SetDeadline(time.Time{})
	return c, nil
}

// host is the name of the machine that a client connects to.
func (a socketAddr) host() string {
	host, _, _ := net.SplitHostPort(a.address)
	return host
}

// parse reads the options.
func (e *socketEnd) parse(s *Spec) (wait bool, err error) {
	for _, o := range []struct {
		name string
		to   *bool
		def  bool
	}{{"server", &e.server, false}, {"delay", &e.nodelay, true}} {
		if *o.to, err = s.boolean(o.name, o.def); err != nil {
			return false, err
		}
	}
	e.nodelay = !e.nodelay
	if s.has("nodelay") {
		if e.nodelay, err = s.boolean("nodelay", false); err != nil {
			return false, err
		}
	}
	if wait, err = s.boolean("wait", e.server); err != nil {
		return false, err
	}
	seconds, err := s.number("reconnect", 0)
	if err != nil {
		return false, err
	}
	e.reconnect = time.Duration(seconds) * time.Second
	switch {
	case e.server && seconds != 0:
		return false, errors.New("'reconnect' option is incompatible with socket in server listen mode")
	case !e.server && s.has("wait"):
		return false, errors.New("'wait' option is incompatible with socket in client connect mode")
	}
	if on, err := s.boolean("tn3270", false); err != nil || on {
		return false, errors.New("chardev: socket: option 'tn3270' is not supported")
	}
	if e.telnet, err = s.boolean("telnet", false); err != nil {
		return false, err
	}
	if e.websocket, err = s.boolean("websocket", false); err != nil {
		return false, err
	}
	if e.addr, err = parseSocketAddr(s); err != nil {
		return false, err
	}
	return wait, e.parseSecurity(s)
}

// parseSecurity checks what goes together and finds the TLS credentials.
func (e *socketEnd) parseSecurity(s *Spec) (err error) {
	creds, hasCreds := s.get("tls-creds")
	authz, hasAuthz := s.get("tls-authz")
	switch {
	case hasAuthz && !hasCreds:
		return errors.New("'tls_authz' option requires 'tls_creds' option")
	case e.websocket && !e.server:
		return errors.New("Websocket client is not implemented")
	case hasCreds && e.addr.network == "unix":
		return errors.New("'tls_creds' option is incompatible with 'unix' address type")
	case !hasCreds:
		return nil
	}
	want := tlscreds.Client
	if e.server {
		want = tlscreds.Server
	}
	if e.creds, err = tlscreds.Find(s.Object, creds, want); err != nil {
		return err
	}
	if hasAuthz {
		e.authz = tlscreds.Late{Object: s.Object, ID: authz}
	}
	return nil
}

func parseSocketAddr(s *Spec) (a socketAddr, err error) {
	path, hasPath := s.get("path")
	host, hasHost := s.get("host")
	fd, hasFD := s.get("fd")
	n := 0
	for _, has := range []bool{hasPath, hasHost, hasFD} {
		if has {
			n++
		}
	}
	a.fd = -1
	switch {
	case n > 1:
		return a, errors.New("None or one of 'path', 'fd' or 'host' option required.")
	case hasPath:
		a.network, a.address = "unix", path
		if path == "" {
			a.address = temporaryPath()
		}
		abstract, err := s.boolean("abstract", false)
		if err != nil {
			return a, err
		}
		if abstract {
			a.address = "@" + path
		}
	case hasHost:
		return parseInet(s, host)
	default:
		if fd != "" && (fd[0] < '0' || fd[0] > '9') {
			if a.fd, hasFD = fdset.Default.TakeNamed(fd); !hasFD {
				return a, fmt.Errorf("File descriptor named '%s' has not been found", fd)
			}
			return a, nil
		}
		if a.fd, err = strconv.Atoi(fd); err != nil || a.fd < 0 {
			return a, fmt.Errorf("Unable to parse FD number %s", fd)
		}
		if _, err := unix.GetsockoptInt(a.fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
			return a, fmt.Errorf("File descriptor '%s' is not a socket", fd)
		}
	}
	return a, nil
}

// temporaryPath is a name that nothing has, for a socket that was given none.
func temporaryPath() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("qemu-socket-%08x", rand.Uint32()))
}

func parseInet(s *Spec, host string) (a socketAddr, err error) {
	a.fd, a.network = -1, "tcp"
	port, ok := s.get("port")
	if !ok {
		return a, errors.New("chardev: socket: no port given")
	}
	v4, err := s.boolean("ipv4", false)
	if err != nil {
		return a, err
	}
	v6, err := s.boolean("ipv6", false)
	if err != nil {
		return a, err
	}
	switch {
	case v4 && !v6:
		a.network = "tcp4"
	case v6 && !v4:
		a.network = "tcp6"
	}
	to, err := s.number("to", 0)
	a.to = int(min(to, 65535))
	a.address = joinHostPort(host, port)
	return a, err
}

// joinHostPort is an address for package net, which knows less forms of numbers than the C library.
func joinHostPort(host, port string) string {
	if ip, ok := sockaddr.ParseIP(host); ok {
		host = ip.String()
	}
	return net.JoinHostPort(host, port)
}

// listen opens the listening socket.
func (a socketAddr) listen() (net.Listener, error) {
	if a.fd >= 0 {
		f := os.NewFile(uintptr(a.fd), "socket")
		l, err := net.FileListener(f)
		if err != nil {
			return nil, fmt.Errorf("Failed to listen on socket: %s", reason(err))
		}
		return l, nil
	}
	if a.network == "unix" && a.address[0] != '@' {
		// Whatever is there is in the way of bind: a socket of an earlier run, or a file that keeps the name for us.
		if err := syscall.Unlink(a.address); err != nil && err != syscall.ENOENT {
			return nil, fmt.Errorf("Failed to unlink socket %s: %s", a.address, reason(err))
		}
	}
	host, port, _ := net.SplitHostPort(a.address)
	if host == "" && a.network == "tcp" {
		a.network = "tcp4" // as QEMU, which listens on the first of the wildcard addresses
	}
	first, numErr := strconv.Atoi(port)
	for p := first; ; p++ {
		address := a.address
		if a.to > 0 && numErr == nil {
			address = net.JoinHostPort(host, strconv.Itoa(p))
		}
		l, err := net.Listen(a.network, address)
		if err == nil {
			return l, nil
		}
		if p < a.to && errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if a.network == "unix" {
			return nil, fmt.Errorf("Failed to bind socket to %s: %s", a.address, netReason(err))
		}
		return nil, a.resolveError(err, "Failed to find an available port")
	}
}

// dial connects.
func (a socketAddr) dial(ctx context.Context) (net.Conn, error) {
	if a.fd >= 0 {
		f := os.NewFile(uintptr(a.fd), "socket")
		c, err := net.FileConn(f)
		if err != nil {
			return nil, fmt.Errorf("Failed to use socket %d: %s", a.fd, reason(err))
		}
		return c, nil
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, a.network, a.address)
	if err != nil {
		return nil, a.resolveError(err, fmt.Sprintf("Failed to connect to '%s'", a.text()))
	}
	return c, nil
}

// resolveError tells a name that cannot be resolved from everything else.
func (a socketAddr) resolveError(err error, what string) error {
	var dns *net.DNSError
	var addr *net.AddrError
	switch {
	case errors.As(err, &dns) && dns.Err == "unknown port":
		return fmt.Errorf("address resolution failed for %s: Servname not supported for ai_socktype", a.text())
	case errors.As(err, &dns), errors.As(err, &addr):
		return fmt.Errorf("address resolution failed for %s: Name or service not known", a.text())
	}
	return fmt.Errorf("%s: %s", what, netReason(err))
}

// netReason is strerror's text for an error of package net.
func netReason(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return reason(no)
	}
	return reason(err)
}

// name implements endpoint.
func (e *socketEnd) name() string {
	s := ""
	if !e.b.Connected() {
		s = "disconnected:"
	}
	addr := e.addr
	if e.listener != nil && addr.fd < 0 && addr.network != "unix" {
		addr.address = e.listener.Addr().String()
	}
	if addr.network != "unix" && addr.fd < 0 {
		addr.network = "tcp"
	}
	text := addr.String()
	switch {
	case addr.network != "tcp" || addr.fd >= 0:
	case e.websocket:
		text = "websocket:" + addr.address
	case e.telnet:
		text = "telnet:" + addr.address
	}
	s += text
	if e.server {
		s += ",server=on"
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.peer != "" && addr.network == "tcp" {
		s += " <-> " + e.peer
	}
	return s
}

func (e *socketEnd) wrote() { e.b.outCond.Broadcast() }

// serve starts the pump on a new connection.
func (e *socketEnd) serve(c net.Conn) {
	gone := make(chan struct{})
	e.mu.Lock()
	e.gone = gone
	if a := c.RemoteAddr(); a != nil {
		e.peer = a.String()
	}
	e.b.setConnected(true, true)
	e.cur = startPump(e.b, c, true, func() { close(gone) })
	e.mu.Unlock()
}

// ended waits until the present connection is over and cleans up after it; false when the backend closes.
func (e *socketEnd) ended() bool {
	e.mu.Lock()
	gone, p := e.gone, e.cur
	e.mu.Unlock()
	if p == nil {
		return true
	}
	select {
	case <-gone:
	case <-e.ctx.Done():
		return false
	}
	p.stop(false)
	e.mu.Lock()
	e.cur, e.peer = nil, ""
	e.mu.Unlock()
	e.b.setConnected(false, true)
	return true
}

func (e *socketEnd) acceptLoop() {
	defer e.wg.Done()
	for e.ended() {
		c, err := e.listener.Accept()
		if err != nil {
			return
		}
		if c, err = e.upgrade(c); err == nil {
			e.serve(c)
		}
	}
}

// startClient connects; with reconnect= a failure is tried again later.
func (e *socketEnd) startClient() error {
	err := e.connect()
	if err != nil && e.reconnect == 0 {
		return err
	}
	e.report(err)
	e.wg.Add(1)
	go e.clientLoop()
	return nil
}

func (e *socketEnd) clientLoop() {
	defer e.wg.Done()
	for e.ended() && e.reconnect > 0 {
		select {
		case <-e.ctx.Done():
			return
		case <-time.After(e.reconnect):
		}
		e.report(e.connect())
	}
}

// report tells the user that there is no connection, once until there is one. Only one goroutine at a time connects.
func (e *socketEnd) report(err error) {
	if err != nil && !e.failed {
		say(e.tell, fmt.Sprintf("Unable to connect character device %s: %v", e.b.ID, err))
	}
	e.failed = err != nil
}

func (e *socketEnd) connect() error {
	c, err := e.addr.dial(e.ctx)
	if err == nil {
		c, err = e.upgrade(c)
	}
	if err == nil {
		e.serve(c)
	}
	return err
}

// yank cuts the connection.
func (e *socketEnd) yank() {
	e.mu.Lock()
	p := e.cur
	e.mu.Unlock()
	if p != nil {
		p.c.Close()
	}
}

// stop implements endpoint.
func (e *socketEnd) stop(drain bool) {
	e.cancel()
	if e.listener != nil {
		e.listener.Close()
	}
	e.wg.Wait()
	e.mu.Lock()
	p := e.cur
	e.mu.Unlock()
	if p != nil {
		p.stop(drain)
	}
	if e.server && e.addr.network == "unix" && e.addr.address[0] != '@' {
		_ = unix.Unlink(e.addr.address)
	}
}
