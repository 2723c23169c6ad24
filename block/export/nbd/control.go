package nbd

import (
	"context"
	"math"
	"net"
	"strconv"

	"goemu/block"
	"goemu/block/export"
	proto "goemu/block/nbdproto"
	"goemu/internal/sockaddr"
	"goemu/internal/tlscreds"

	"golang.org/x/sys/unix"
)

// Control is the NBD server of a program that is told at run time what to export (nbd-server-start, block-export-add, …). It has one
// server at a time. Methods are not called concurrently.
type Control struct {
	Graph *block.Graph
	// List holds the exports, of all kinds.
	List *export.List
	// Report gets the errors of clients; nil drops them.
	Report func(text string)

	srv *Server
}

// Running tells whether the server was started.
func (c *Control) Running() bool { return c.srv != nil }

// Start starts the server. o has the members of QAPI's NbdServerOptions: addr.*, tls-creds, tls-authz, max-connections.
func (c *Control) Start(ctx context.Context, o *block.Options) error {
	if c.srv != nil {
		return block.Errorf(unix.EBUSY, "NBD server already running")
	}
	members := o.Extract("addr")
	if members.Len() == 0 {
		return block.Errorf(unix.EINVAL, "Parameter 'addr' is missing")
	}
	addr, err := sockaddr.FromOptions(members)
	if err != nil {
		return proto.AddrError(err)
	}
	credsID, hasCreds := o.TakeString("tls-creds")
	authz, hasAuthz := o.TakeString("tls-authz")
	most, err := o.TakeUint("max-connections", DefaultMaxConnections)
	if err != nil {
		return err
	}
	if names := o.Names(); len(names) > 0 {
		return block.Errorf(unix.EINVAL, "Parameter '%s' is unexpected", names[0])
	}
	l, err := addr.Listen(ctx)
	if err != nil {
		return proto.AddrError(err)
	}
	s := NewServer()
	s.MaxConnections, s.Report = int(min(most, math.MaxInt32)), c.Report
	if hasCreds {
		creds, err := tlscreds.Find(c.Graph.Object, credsID, tlscreds.Server)
		if err != nil {
			l.Close()
			return block.Errorf(unix.EINVAL, "%s", err.Error())
		}
		var a tlscreds.Authorizer
		if hasAuthz {
			a = tlscreds.Late{Object: c.Graph.Object, ID: authz}
		}
		s.StartTLS = func(conn net.Conn) (net.Conn, error) { return creds.StartServer(conn, a) }
	}
	c.srv = s
	s.Serve(l)
	return nil
}

// Stop removes all NBD exports and stops the server.
// Preconditions: the graph lock is not held.
func (c *Control) Stop() error {
	if c.srv == nil {
		return block.Errorf(unix.EINVAL, "NBD server not running")
	}
	c.List.CloseAll(Kind)
	c.srv.Stop()
	c.srv = nil
	return nil
}

// End stops the server, if there is one, as the program ends. The file of a socket stays then, as those of QEMU's do.
// Preconditions: the graph lock is not held.
func (c *Control) End() {
	if c.srv == nil {
		return
	}
	c.srv.keepSockets()
	_ = c.Stop() // which only fails if there is no server
}

// Add makes an export. o has the members of QAPI's BlockExportOptions for NBD besides "type": id, node-name, writable, writethrough, name,
// description, allocation-depth, and bitmaps.N or bitmaps.N.node and bitmaps.N.name.
// Preconditions: the graph lock is held.
func (c *Control) Add(ctx context.Context, o *block.Options) error {
	var eo export.Options
	var no ExportOptions
	nodeName := ""
	for _, m := range []struct {
		name string
		to   *string
	}{{"id", &eo.ID}, {"node-name", &nodeName}} {
		s, ok := o.TakeString(m.name)
		if !ok {
			return block.Errorf(unix.EINVAL, "Parameter '%s' is missing", m.name)
		}
		*m.to = s
	}
	var err error
	for _, m := range []struct {
		name string
		to   *bool
	}{{"writable", &eo.Writable}, {"writethrough", &eo.WriteThrough}, {"allocation-depth", &no.AllocationDepth}} {
		if *m.to, err = o.TakeBool(m.name, false); err != nil {
			return err
		}
	}
	name, hasName := o.TakeString("name")
	if no.Name = name; !hasName {
		no.Name = nodeName
	}
	no.Description, _ = o.TakeString("description")
	if err := c.takeBitmaps(o, &no); err != nil {
		return err
	}
	if names := o.Names(); len(names) > 0 {
		return block.Errorf(unix.EINVAL, "Parameter '%s' is unexpected", names[0])
	}
	if eo.Node, err = c.Graph.Lookup("", nodeName); err != nil {
		return err
	}
	if c.srv == nil {
		return block.Errorf(unix.EINVAL, "NBD server not running")
	}
	_, err = c.srv.Add(ctx, c.List, eo, no)
	return err
}

// takeBitmaps takes the list of bitmaps.
func (c *Control) takeBitmaps(o *block.Options, no *ExportOptions) error {
	for i := 0; ; i++ {
		key := "bitmaps." + strconv.Itoa(i)
		if name, ok := o.TakeString(key); ok {
			no.Bitmaps = append(no.Bitmaps, BitmapRef{Name: name})
			continue
		}
		if !o.HasPrefix(key) {
			return nil
		}
		node, _ := o.TakeString(key + ".node")
		name, _ := o.TakeString(key + ".name")
		n := c.Graph.Find(node)
		if n == nil {
			return block.Errorf(unix.ENOENT, "Node '%s' not found", node)
		}
		no.Bitmaps = append(no.Bitmaps, BitmapRef{Name: name, Node: n})
	}
}
