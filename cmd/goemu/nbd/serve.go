package nbd

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"goemu/block"
	"goemu/block/export"
	server "goemu/block/export/nbd"
	proto "goemu/block/nbdproto"

	"golang.org/x/sys/unix"
)

// session is a running server.
type session struct {
	*command
	srv  *server.Server
	pid  *os.File      // --pid-file, open while the server runs for its lock
	stop chan struct{} // closed when the last client has gone or a signal came
	once sync.Once
}

func (s *session) end() { s.once.Do(func() { close(s.stop) }) }

// serve runs the server until its last client has gone or a signal comes.
func (c *command) serve() int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if c.device != "" && c.socket == "" {
		c.socket = "/var/lock/qemu-nbd-" + filepath.Base(c.device)
	}
	l, err := c.listen()
	if err != nil {
		c.Report("", err)
		return 1
	}
	s := &session{command: c, srv: server.NewServer(), stop: make(chan struct{})}
	list := export.NewList(c.Graph)
	b, status := s.open(list)
	if status != 0 {
		return status
	}
	defer c.Close(b)
	defer list.CloseAll("")
	deviceStatus := make(chan int, 1)
	if c.device != "" {
		go func() { deviceStatus <- c.connectDevice(); s.end() }()
	}
	s.srv.Serve(l)
	if status := s.ready(); status != 0 {
		return status
	}
	select {
	case <-signals:
	case <-s.stop:
	}
	list.CloseAll("")
	s.srv.Stop()
	if c.socket != "" {
		os.Remove(c.socket)
	}
	if c.device != "" {
		return <-deviceStatus
	}
	return 0
}

func (c *command) listen() (net.Listener, error) {
	if c.activated > 0 {
		l, err := passedListener()
		if err != nil {
			return nil, fmt.Errorf("Failed to use socket activation: %w", err)
		}
		return l, nil
	}
	listen := func() (net.Listener, error) {
		l, err := c.address().Listen(c.Ctx)
		return l, proto.AddrError(err)
	}
	if c.selinux != "" {
		return listenAs(c.selinux, listen)
	}
	return listen()
}

// open opens the image and offers it. The status is not 0 after a message.
func (s *session) open(list *export.List) (*block.Backend, int) {
	c := s.command
	o := block.NewOptions()
	name := c.file
	if c.imageOpts {
		if c.format != "" {
			c.Errorf("--image-opts and -f are mutually exclusive")
			return nil, 1
		}
		o, name = c.ParseOptions(c.file, "file"), ""
	} else if c.format != "" {
		o.Set("driver", c.format)
	}
	mode := c.mode
	if c.snapshot {
		mode.ReadOnly = true
	}
	b, err := c.OpenBackend(name, o, mode, false, false)
	if err != nil {
		c.Report("Failed to blk_new_open '"+c.file+"': ", err)
		return nil, 1
	}
	n := b.Node()
	if c.snapshot {
		if n, err = s.temporary(b); err != nil {
			c.Report("", err)
			return nil, 1
		}
	}
	if c.offset != 0 {
		if n, err = s.offsetNode(b); err != nil {
			c.Report("", err)
			return nil, 1
		}
	}
	b.SetWriteCache(!c.writethrough)
	if c.load {
		if err := c.loadInternal(n); err != nil {
			c.Report("Failed to load snapshot: ", err)
			return nil, 1
		}
	}
	if err := s.offer(list, n); err != nil {
		c.Report("", err)
		return nil, 1
	}
	return b, 0
}

// temporary puts an image over the disk that keeps all changes and vanishes with the process.
func (s *session) temporary(b *block.Backend) (*block.Node, error) {
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		dir = "/var/tmp" // it may become large, and /tmp often lies in memory
	}
	f, err := os.CreateTemp(dir, "vl.")
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Could not get temporary filename")
	}
	defer os.Remove(f.Name())
	f.Close()
	g := s.Graph
	g.Lock()
	defer g.Unlock()
	length, err := b.Length(s.Ctx)
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Could not get image size")
	}
	d := g.FindDriver("qcow2")
	if err := g.CreateFile(s.Ctx, f.Name(), 0, block.NewOptions()); err != nil {
		return nil, err
	}
	if err := g.Create(s.Ctx, d, f.Name(), length, block.NewOptions()); err != nil {
		return nil, block.Errorf(block.Errno(err), "Could not create temporary overlay '%s': %s", f.Name(), err)
	}
	o := block.OptionsOf("driver", d.Name, "file.driver", "file", "file.filename", f.Name(), "backing", b.Node().Name())
	n, err := g.Open(s.Ctx, "", o, block.Mode{NoFlush: true, Unmap: true, Temporary: true, DetectZeroes: s.mode.DetectZeroes})
	if err != nil {
		return nil, err
	}
	b.Remove()
	err = b.Insert(n)
	g.Unref(n)
	return n, err
}

// offsetNode puts a raw node that begins at the offset over the image.
func (s *session) offsetNode(b *block.Backend) (*block.Node, error) {
	g := s.Graph
	g.Lock()
	defer g.Unlock()
	o := block.OptionsOf("driver", "raw", "file", b.Node().Name(), "offset", s.offset)
	n, err := g.Open(s.Ctx, "", o, s.mode)
	if err != nil {
		return nil, err
	}
	b.Remove()
	err = b.Insert(n)
	g.Unref(n)
	return n, err
}

// loadInternal switches the image to an internal snapshot.
func (c *command) loadInternal(n *block.Node) error {
	sn, ok := n.State().(block.Snapshotter)
	if !ok {
		return block.Errorf(unix.ENOTSUP, "Device '%s' does not support internal snapshots", n.Name())
	}
	if !c.loadEither {
		return sn.SnapshotLoadTmp(c.Ctx, c.loadID, c.loadName)
	}
	err := sn.SnapshotLoadTmp(c.Ctx, c.loadName, "")
	if err != nil && block.Errno(err) == unix.ENOENT {
		err = sn.SnapshotLoadTmp(c.Ctx, "", c.loadName)
	}
	return err
}

// offer makes the export.
func (s *session) offer(list *export.List, n *block.Node) error {
	s.srv.MaxConnections = s.shared
	s.srv.Report = func(text string) { s.Errorf("%s", text) }
	s.srv.Closed = s.clientGone
	if s.creds != nil {
		s.srv.StartTLS = func(conn net.Conn) (net.Conn, error) { return s.creds.StartServer(conn, s.authz) }
	}
	no := server.ExportOptions{Name: s.name, Description: s.description, AllocationDepth: s.depth}
	for _, name := range s.bitmaps {
		no.Bitmaps = append(no.Bitmaps, server.BitmapRef{Name: name})
	}
	s.Graph.Lock()
	defer s.Graph.Unlock()
	o := export.Options{ID: "qemu-nbd-export", Node: n, Writable: !s.readOnly, WriteThrough: s.writethrough}
	_, err := s.srv.Add(s.Ctx, list, o, no)
	return err
}

// clientGone ends the server after its last client, unless it is to stay.
func (s *session) clientGone(negotiated bool) {
	if negotiated && !s.persistent && s.srv.Connections() == 0 {
		s.end()
	}
}

// ready does what is left once clients can come.
func (s *session) ready() int {
	if s.pidFile != "" {
		var err error
		if s.pid, err = writePID(s.pidFile); err != nil {
			s.Report("", err)
			return 1
		}
	}
	if err := os.Chdir("/"); err != nil {
		s.Report("", block.Errnof(block.Errno(err), "Could not chdir to root directory"))
		return 1
	}
	if forked() && s.fork {
		if err := detach(); err != nil {
			s.Errorf("Failed to daemonize: %v", err)
			return 1
		}
	}
	return 0
}
