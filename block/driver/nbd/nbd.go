// Package nbd holds the protocol driver nbd: a disk that a server on the network, or on a local socket, offers.
package nbd

import (
	"context"
	"math"
	"net"
	"sync"
	"time"

	"goemu/block"
	proto "goemu/block/nbdproto"
	"goemu/internal/sockaddr"
	"goemu/internal/tlscreds"

	"golang.org/x/sys/unix"
)

const name = "nbd"

var options = []block.Option{
	{Name: "host", Help: "TCP host to connect to"},
	{Name: "port", Help: "TCP port to connect to"},
	{Name: "path", Help: "Unix socket path to connect to"},
	{Name: "server", Help: "address of the server", Prefix: true},
	{Name: "export", Help: "Name of the NBD export to open"},
	{Name: "tls-creds", Help: "ID of the TLS credentials to use"},
	{Name: "tls-hostname", Help: "Override hostname for validating TLS x509 certificate"},
	{Name: "x-dirty-bitmap", Help: "experimental: expose named dirty bitmap in place of block status"},
	{Name: "reconnect-delay", Type: block.OptNumber, Help: "seconds during which requests wait for a lost server to come back"},
	{Name: "open-timeout", Type: block.OptNumber, Help: "seconds during which opening is tried"},
}

// Drivers are the protocols of this package.
var Drivers = []*block.Driver{{
	Name: name, Protocol: true, Schemes: []string{name, "nbd+tcp", "nbd+unix"}, ParseFilename: parseFilename, Options: options, Open: open,
	Create: block.CreateByOpening(name), CreateOptions: block.SimpleCreateOptions,
	StrongOptions: []string{"path", "host", "port", "export", "tls-creds", "tls-hostname", "server."},
}}

// disk is an export of a server.
type disk struct {
	node      *block.Node
	addr      *sockaddr.Addr
	export    string
	hasExport bool
	creds     *tlscreds.X509
	host      string // that the server's certificate must have
	bitmap    string // x-dirty-bitmap
	delay     time.Duration

	ctx    context.Context // ends when the disk is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup // the connector

	// info is what the server said when the disk was opened. After reconnecting the export may not differ.
	info proto.ExportInfo

	mu         sync.Mutex
	link       *link         // guarded by mu
	broken     bool          // guarded by mu: the server does not keep to the protocol
	connecting bool          // guarded by mu
	lost       time.Time     // guarded by mu: when link was lost
	changed    chan struct{} // guarded by mu: closed when the connector succeeded
	hurry      bool          // guarded by mu: requests do not wait for this connector
	hurried    chan struct{} // guarded by mu: closed when hurry is set
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	d := &disk{node: n}
	timeout, err := d.takeOptions(n.Graph(), o)
	if err != nil {
		return nil, err
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	l, err := d.connectFor(ctx, timeout)
	if err != nil {
		d.cancel()
		return nil, err
	}
	d.link, d.info = l, l.info
	if err := d.accept(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// accept checks whether the export is what the user wants.
func (d *disk) accept() error {
	if d.bitmap != "" && !d.info.Context {
		return block.Errorf(unix.EINVAL, "requested x-dirty-bitmap %s not found", d.bitmap)
	}
	if d.info.Size > math.MaxInt64 {
		return block.Errorf(unix.EFBIG, "export size %d is too large", d.info.Size)
	}
	if d.info.Flags&proto.FlagReadOnly != 0 && d.node.ApplyAutoReadOnly("") != nil {
		return unix.EACCES // QEMU says no more than that
	}
	return nil
}

// retryFirst and retryMost bound the time between two attempts to connect.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = time.Second
)

// connectFor connects, again and again until the timeout unless that is 0.
func (d *disk) connectFor(ctx context.Context, timeout time.Duration) (*link, error) {
	if timeout == 0 {
		return d.connect(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return d.connectUntil(ctx)
}

// connectUntil connects, again and again until ctx ends.
func (d *disk) connectUntil(ctx context.Context) (*link, error) {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		l, err := d.connect(ctx)
		if err == nil {
			return l, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// connect makes a connection and opens the export.
func (d *disk) connect(ctx context.Context) (*link, error) {
	raw, err := d.addr.Connect(ctx)
	if err != nil {
		return nil, convert(err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() }) // a server that does not answer
	dialer := proto.Dialer{Context: proto.ContextAllocation, RequestSizes: true}
	if d.bitmap != "" {
		dialer.Context = d.bitmap
	}
	if d.creds != nil {
		dialer.StartTLS = func(c net.Conn) (net.Conn, error) { return d.creds.StartClient(c, d.host) }
	}
	conn, info, err := dialer.Negotiate(raw, d.export)
	if !stop() && err == nil {
		err = block.Errorf(unix.ECANCELED, "Connection attempt cancelled by other operation")
	}
	if err != nil {
		raw.Close()
		return nil, convert(err)
	}
	return newLink(raw, conn, *info), nil
}

// convert gives an error the type that carries hints.
func convert(err error) error {
	if e, ok := proto.AddrError(err).(*block.Error); ok {
		return e
	}
	return block.Errorf(unix.EINVAL, "%s", err.Error())
}

// current gives the connection to use. After a loss it waits for a new one as long as the user wants.
func (d *disk) current() (*link, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		switch {
		case d.broken || d.ctx.Err() != nil:
			return nil, unix.EIO
		case d.link != nil && !d.link.failed.Load():
			return d.link, nil
		}
		d.noteLoss()
		if !d.connecting {
			d.connecting = true
			d.changed, d.hurried, d.hurry = make(chan struct{}), make(chan struct{}), false
			d.wg.Add(1)
			go d.reconnect()
		}
		wait := time.Until(d.lost.Add(d.delay))
		if wait <= 0 || d.hurry {
			return nil, unix.EIO
		}
		changed, hurried := d.changed, d.hurried
		d.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-changed:
		case <-hurried:
		case <-t.C:
		}
		t.Stop()
		d.mu.Lock()
	}
}

// CancelInFlight implements block.InFlightCanceller: nobody waits any longer for a lost server to come back.
func (d *disk) CancelInFlight() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.connecting && !d.hurry {
		d.hurry = true
		close(d.hurried)
	}
}

// noteLoss forgets a lost connection.
// Preconditions: mu is held.
func (d *disk) noteLoss() {
	if d.link == nil {
		return
	}
	d.broken = d.link.broken.Load()
	d.link.close()
	d.link, d.lost = nil, time.Now()
}

// reconnect connects again until that succeeds or the disk is closed.
func (d *disk) reconnect() {
	defer d.wg.Done()
	l, err := d.connectUntil(d.ctx)
	if err == nil && (l.info.Size != d.info.Size || l.info.Flags&proto.FlagReadOnly != d.info.Flags&proto.FlagReadOnly) {
		l.close() // another export: nothing that is known of the old one holds
		l = nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.connecting = false
	if l == nil {
		d.broken = true
	} else if d.ctx.Err() != nil {
		l.close()
	} else {
		d.link = l
	}
	close(d.changed)
}

// do sends a request and waits for its reply; after a lost connection it is sent again if the user wants to wait.
func (d *disk) do(c *call) error {
	for {
		l, err := d.current()
		if err != nil {
			return err
		}
		lost := l.do(c)
		if lost == nil {
			if c.errno != 0 {
				return c.errno
			}
			return nil
		}
		if d.delay == 0 || l.broken.Load() {
			return unix.EIO
		}
	}
}

// Close implements block.Instance.
func (d *disk) Close() {
	d.cancel()
	d.wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link != nil {
		d.link.disconnect()
		d.link = nil
	}
}

// Length implements block.Lengther.
func (d *disk) Length(context.Context) (int64, error) { return int64(d.info.Size), nil }

// RefreshLimits implements block.Limiter. A server that tells no alignment but the status of blocks can be asked for any bytes; so can one
// whose size is not a multiple of a sector. An older one is better not asked for parts of sectors.
func (d *disk) RefreshLimits(l *block.Limits) error {
	const sector = 512
	align, most := int64(d.info.MinBlock), int64(proto.MaxBuffer)
	if m := int64(d.info.MaxBlock); m != 0 {
		most = min(most, m)
	}
	if align == 0 {
		align = sector
		if d.info.Size%sector != 0 || d.info.Context {
			align = 1
		}
	}
	l.RequestAlign = align
	l.MaxDiscard = math.MaxInt32 / align * align
	l.MaxWriteZeroes, l.MaxTransfer = most, most
	l.OptTransfer = max(l.OptTransfer, int64(d.info.OptBlock))
	if d.info.Flags&proto.FlagSendFUA != 0 {
		l.WriteFlags |= block.FUA
		l.ZeroFlags |= block.FUA
	}
	if d.info.Flags&proto.FlagSendWriteZeroes != 0 {
		l.ZeroFlags |= block.MayUnmap
		if d.info.Flags&proto.FlagSendFastZero != 0 {
			l.ZeroFlags |= block.NoFallback
		}
	}
	return nil
}

// Truncate implements block.Truncater: nothing can be changed, but asking for nothing is no mistake.
func (d *disk) Truncate(_ context.Context, n int64, exact bool, _ block.Prealloc, _ bool) error {
	switch {
	case n != int64(d.info.Size) && exact:
		return block.Errorf(unix.ENOTSUP, "Cannot resize NBD nodes")
	case n > int64(d.info.Size):
		return block.Errorf(unix.EINVAL, "Cannot grow NBD nodes")
	}
	return nil
}

// ReopenPrepare implements block.Reopener.
func (d *disk) ReopenPrepare(_ context.Context, _ *block.Options, m block.Mode) error {
	if !m.ReadOnly && d.info.Flags&proto.FlagReadOnly != 0 {
		return block.Errorf(unix.EACCES, "Can't reopen read-only NBD mount as read/write")
	}
	return nil
}

// ReopenCommit implements block.Reopener.
func (*disk) ReopenCommit() {}

// ReopenAbort implements block.Reopener.
func (*disk) ReopenAbort() {}

// Dirname implements block.Dirnamer.
func (*disk) Dirname() (string, error) {
	return "", block.Errorf(unix.ENOTSUP, "Cannot generate a base directory for NBD nodes")
}

// ExactFilename implements block.FileNamer.
func (d *disk) ExactFilename() (string, bool) {
	a := d.addr
	slash := ""
	if d.hasExport {
		slash = "/" + d.export
	}
	switch {
	case a.Type == sockaddr.Unix && d.hasExport:
		return "nbd+unix:///" + d.export + "?socket=" + a.Path, true
	case a.Type == sockaddr.Unix:
		return "nbd+unix://?socket=" + a.Path, true
	case a.Type == sockaddr.Inet && a.IPv4 == nil && a.IPv6 == nil && a.To == 0:
		return "nbd://" + a.Host + ":" + a.Port + slash, true
	}
	return "", false
}

// ReadV implements block.Reader. What the block layer sees beyond a size that is no multiple of a sector reads as zeroes.
func (d *disk) ReadV(_ context.Context, off int64, iov [][]byte, _ block.Flags) error {
	n := block.IovLen(iov)
	if rest := int64(d.info.Size) - off; n > rest {
		rest = max(rest, 0)
		block.IovZero(block.IovSlice(nil, iov, rest, n-rest))
		iov, n = block.IovSlice(nil, iov, 0, rest), rest
	}
	if n == 0 {
		return nil
	}
	return d.do(&call{req: proto.Request{Type: proto.CmdRead, From: uint64(off), Len: uint32(n)}, in: iov})
}

// WriteV implements block.Writer.
func (d *disk) WriteV(_ context.Context, off int64, iov [][]byte, fl block.Flags) error {
	n := block.IovLen(iov)
	if n == 0 {
		return nil
	}
	return d.do(&call{req: proto.Request{Type: proto.CmdWrite, Flags: fua(fl), From: uint64(off), Len: uint32(n)}, out: iov})
}

func fua(fl block.Flags) uint16 {
	if fl&block.FUA != 0 {
		return proto.CmdFlagFUA
	}
	return 0
}

// WriteZeroes implements block.ZeroWriter.
func (d *disk) WriteZeroes(_ context.Context, off, n int64, fl block.Flags) error {
	if d.info.Flags&proto.FlagSendWriteZeroes == 0 {
		return unix.ENOTSUP
	}
	if n == 0 {
		return nil
	}
	flags := fua(fl)
	if fl&block.MayUnmap == 0 {
		flags |= proto.CmdFlagNoHole
	}
	if fl&block.NoFallback != 0 {
		flags |= proto.CmdFlagFastZero
	}
	return d.do(&call{req: proto.Request{Type: proto.CmdWriteZeroes, Flags: flags, From: uint64(off), Len: uint32(n)}})
}

// Discard implements block.Discarder.
func (d *disk) Discard(_ context.Context, off, n int64) error {
	if d.info.Flags&proto.FlagSendTrim == 0 || n == 0 {
		return nil
	}
	return d.do(&call{req: proto.Request{Type: proto.CmdTrim, From: uint64(off), Len: uint32(n)}})
}

// FlushToOS implements block.Flusher.
func (d *disk) FlushToOS(context.Context) error {
	if d.info.Flags&proto.FlagSendFlush == 0 {
		return nil
	}
	return d.do(&call{req: proto.Request{Type: proto.CmdFlush}})
}

// BlockStatus implements block.BlockStatuser.
func (d *disk) BlockStatus(_ context.Context, _ bool, off, n int64) (block.Status, error) {
	s := block.Status{Flags: block.StatusOffsetValid, N: n, Offset: off, File: d.node}
	if !d.info.Context {
		s.Flags |= block.StatusData
		return s, nil
	}
	rest := int64(d.info.Size) - off
	if rest <= 0 {
		return block.Status{Flags: block.StatusZero, N: n}, nil
	}
	align := max(1, int64(d.info.MinBlock))
	length := min(math.MaxInt32/align*align, n, rest)
	c := &call{req: proto.Request{Type: proto.CmdBlockStatus, Flags: proto.CmdFlagReqOne, From: uint64(off), Len: uint32(length)}}
	if err := d.do(c); err != nil {
		return s, err
	}
	got, flags := int64(c.extentLen), c.extentFlags
	if got%align != 0 { // some servers see the end of a file within a block
		if got > align {
			got -= got % align
		} else {
			got, flags = align, 0
		}
	}
	if d.bitmap == proto.ContextAllocationDepth {
		flags = min(flags, 2)
	}
	s.N = min(got, n)
	if flags&proto.StateHole == 0 {
		s.Flags |= block.StatusData
	}
	if flags&proto.StateZero != 0 {
		s.Flags |= block.StatusZero
	}
	return s, nil
}
