// Package nbd is the NBD server: it exports nodes over the protocol of package nbdproto, in fixed newstyle with structured replies.
package nbd

import (
	"context"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"goemu/block"
	"goemu/block/bitmap"
	"goemu/block/export"
	proto "goemu/block/nbdproto"

	"golang.org/x/sys/unix"
)

// Kind is the type of this package's exports.
const Kind = "nbd"

// handshakeTime is how long a client may take to open an export.
const handshakeTime = 10 * time.Second

// DefaultMaxConnections is the number of clients of a server that was not told another.
const DefaultMaxConnections = 100

// sectorSize is the unit of an export's size.
const sectorSize = 512

// Server accepts clients and offers them its exports.
type Server struct {
	// StartTLS makes an accepted connection secure; nil for a server without TLS.
	StartTLS func(c net.Conn) (net.Conn, error)
	// MaxConnections bounds the number of clients at a time; 0 does not.
	MaxConnections int
	// Report gets the errors of clients; nil drops them.
	Report func(text string)
	// Closed is called when a client has gone; negotiated tells whether it had opened an export. It may be nil.
	Closed func(negotiated bool)

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	room    sync.Cond // signalled when a client went
	exports []*Export // guarded by mu
	conns   map[net.Conn]bool
	stopped bool
	ls      []net.Listener
}

// NewServer makes a server without exports.
func NewServer() *Server {
	s := &Server{MaxConnections: DefaultMaxConnections, conns: map[net.Conn]bool{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.room.L = &s.mu
	return s
}

func (s *Server) report(text string) {
	if s.Report != nil {
		s.Report(text)
	}
}

// Serve accepts clients until Stop. It returns at once.
func (s *Server) Serve(l net.Listener) {
	s.mu.Lock()
	s.ls = append(s.ls, l)
	s.mu.Unlock()
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		s.accept(l)
	}()
}

func (s *Server) accept(l net.Listener) {
	for {
		s.mu.Lock()
		for !s.stopped && s.MaxConnections > 0 && len(s.conns) >= s.MaxConnections {
			s.room.Wait()
		}
		stopped := s.stopped
		s.mu.Unlock()
		if stopped {
			return
		}
		c, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors: others may close some
			continue
		}
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.conns[c] = true
		s.wg.Add(1)
		s.mu.Unlock()
		go s.serveConn(c)
	}
}

// Connections is the number of clients now.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// serveConn talks to a client until it goes.
func (s *Server) serveConn(raw net.Conn) {
	defer s.wg.Done()
	c := &client{srv: s, raw: raw, conn: raw}
	negotiated := c.run()
	raw.Close()
	s.mu.Lock()
	delete(s.conns, raw)
	s.room.Broadcast()
	s.mu.Unlock()
	if s.Closed != nil {
		s.Closed(negotiated)
	}
}

// Stop stops accepting clients, disconnects those that are there and waits until they have gone. Exports are not removed.
func (s *Server) Stop() {
	s.mu.Lock()
	s.stopped = true
	ls, conns := s.ls, s.conns
	s.cancel()
	for _, l := range ls {
		l.Close()
	}
	for c := range conns {
		c.Close()
	}
	s.room.Broadcast()
	s.mu.Unlock()
	s.wg.Wait()
}

// keepSockets leaves the files of sockets where they are when the server stops.
func (s *Server) keepSockets() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.ls {
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
	}
}

// BitmapRef names a bitmap to export: by its name anywhere in the chain of the exported node, or on a certain node.
type BitmapRef struct {
	Name string
	Node *block.Node // nil to search the chain
}

// ExportOptions are what an NBD export is made from besides the general options.
type ExportOptions struct {
	Name            string
	Description     string
	Bitmaps         []BitmapRef
	AllocationDepth bool
}

// Export is a node that clients can open.
type Export struct {
	srv         *Server
	exp         *export.Export
	name        string
	description string
	size        int64
	flags       uint16
	depth       bool
	bitmaps     []*bitmap.Bitmap
	data        dataCache

	clients map[*client]bool // guarded by srv.mu
	offered bool             // guarded by srv.mu
}

// Add offers a node to clients.
// Preconditions: the graph lock is held.
func (s *Server) Add(ctx context.Context, list *export.List, o export.Options, no ExportOptions) (*export.Export, error) {
	o.Type = Kind
	return list.Add(ctx, o, func(e *export.Export) (export.Impl, error) { return s.newExport(ctx, e, o, no) })
}

func (s *Server) newExport(ctx context.Context, e *export.Export, o export.Options, no ExportOptions) (*Export, error) {
	switch {
	case len(no.Name) > proto.MaxString:
		return nil, block.Errorf(unix.EINVAL, "export name '%s' too long", no.Name)
	case len(no.Description) > proto.MaxString:
		return nil, block.Errorf(unix.EINVAL, "description '%s' too long", no.Description)
	case s.find(no.Name) != nil:
		return nil, block.Errorf(unix.EEXIST, "NBD server already has export named '%s'", no.Name)
	}
	size, err := e.Backend().Length(ctx)
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Failed to determine the NBD export's length")
	}
	x := &Export{srv: s, exp: e, name: no.Name, description: no.Description, size: size &^ (sectorSize - 1), depth: no.AllocationDepth,
		clients: map[*client]bool{}, offered: true}
	x.flags = proto.FlagHasFlags | proto.FlagSendFlush | proto.FlagSendFUA | proto.FlagSendCache
	if s.MaxConnections != 1 {
		x.flags |= proto.FlagCanMultiConn
	}
	if o.Writable {
		x.flags |= proto.FlagSendTrim | proto.FlagSendWriteZeroes | proto.FlagSendFastZero
	} else {
		x.flags |= proto.FlagReadOnly
	}
	if err := x.findBitmaps(o, no.Bitmaps); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.exports = append(s.exports, x)
	s.mu.Unlock()
	return x, nil
}

// findBitmaps takes the bitmaps into use.
func (x *Export) findBitmaps(o export.Options, refs []BitmapRef) error {
	for _, r := range refs {
		n, b := r.Node, (*bitmap.Bitmap)(nil)
		if n != nil {
			if b = n.FindBitmap(r.Name); b == nil {
				return block.Errorf(unix.ENOENT, "Dirty bitmap '%s' not found", r.Name)
			}
		} else {
			for n = o.Node; b == nil && n != nil; {
				if b = n.FindBitmap(r.Name); b == nil {
					n = below(n)
				}
			}
			if b == nil {
				return block.Errorf(unix.ENOENT, "Bitmap '%s' is not found", r.Name)
			}
			if !o.Writable && !n.ReadOnly() && b.State().Enabled {
				return block.Errorf(unix.EINVAL, "Enabled bitmap '%s' incompatible with readonly export", r.Name)
			}
		}
		if err := block.CheckBitmap(b, block.BitmapRead); err != nil {
			return err
		}
		x.bitmaps = append(x.bitmaps, b)
	}
	for _, b := range x.bitmaps {
		b.Change(func(s *bitmap.State) { s.Busy = true })
	}
	return nil
}

// below is the next node of a chain of images, or nil.
func below(n *block.Node) *block.Node {
	if c := n.FilterOrCOW(); c != nil {
		return c.Node()
	}
	return nil
}

// find finds an offered export by its name.
func (s *Server) find(name string) *Export {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.exports, func(x *Export) bool { return x.name == name })
	if i < 0 {
		return nil
	}
	return s.exports[i]
}

// attach makes a client a user of the export; it is false if the export is going away.
func (x *Export) attach(c *client) bool {
	if !x.exp.Ref() {
		return false
	}
	x.srv.mu.Lock()
	ok := x.offered
	if ok {
		x.clients[c] = true
	}
	x.srv.mu.Unlock()
	if !ok {
		x.exp.Unref()
	}
	return ok
}

func (x *Export) detach(c *client) {
	x.srv.mu.Lock()
	delete(x.clients, c)
	x.srv.mu.Unlock()
	x.exp.Unref()
}

// Shutdown implements export.Impl.
func (x *Export) Shutdown() {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	x.offered = false
	s.exports = slices.DeleteFunc(s.exports, func(y *Export) bool { return y == x })
	for c := range x.clients {
		c.raw.Close()
	}
}

// Delete implements export.Impl.
func (x *Export) Delete() {
	for _, b := range x.bitmaps {
		b.Change(func(s *bitmap.State) { s.Busy = false })
	}
}

// blockSizes are the minimum, preferred and maximum size of requests.
func (x *Export) blockSizes() (least, preferred, most uint32) {
	const usual = 4096
	align, maxTransfer := int64(1), int64(math.MaxInt32)
	if n := x.exp.Backend().Node(); n != nil {
		l := n.Limits()
		align = max(1, l.RequestAlign)
		if l.MaxTransfer > 0 {
			maxTransfer = min(maxTransfer, l.MaxTransfer)
		}
	}
	most = uint32(min(maxTransfer-maxTransfer%align, proto.MaxBuffer))
	return uint32(align), uint32(max(align, usual)), most
}
