package nbd

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	proto "goemu/block/nbdproto"
)

var be = binary.BigEndian

// errAbort ends the negotiation without an error: the client asked for that.
var errAbort = fmt.Errorf("the client gave up")

// errShutdown ends a connection because the server is going away.
var errShutdown = fmt.Errorf("shutting down")

// negotiation is a connection before its export is open.
type negotiation struct {
	c        *client
	opt      proto.Opt
	left     uint32 // bytes of the option that were not read yet
	fixed    bool
	noZeroes bool
	done     bool
}

// negotiate talks to the client until it has opened an export.
func (c *client) negotiate() error {
	c.raw.SetDeadline(time.Now().Add(handshakeTime))
	defer c.raw.SetDeadline(time.Time{})
	head := be.AppendUint64(be.AppendUint64(nil, proto.MagicInit), proto.MagicOption)
	head = be.AppendUint16(head, proto.HandshakeFixedNewstyle|proto.HandshakeNoZeroes)
	if err := proto.Write(c.conn, head); err != nil {
		return proto.Error("write failed: %v", err)
	}
	n := &negotiation{c: c}
	err := n.run()
	if err != nil && err != errAbort {
		return proto.Error("option negotiation failed: %v", err)
	}
	return err
}

func (n *negotiation) run() error {
	c := n.c
	var b [proto.OptionSize]byte
	if err := proto.ReadFull(c.conn, b[:4], "flags"); err != nil {
		return err
	}
	flags := be.Uint32(b[:])
	n.fixed = flags&proto.HandshakeFixedNewstyle != 0
	n.noZeroes = flags&proto.HandshakeNoZeroes != 0
	if flags &^= proto.HandshakeFixedNewstyle | proto.HandshakeNoZeroes; flags != 0 {
		return proto.Error("Unknown client flags 0x%x received", flags)
	}
	for !n.done {
		if err := proto.ReadFull(c.conn, b[:8], "opts magic"); err != nil {
			return err
		}
		if be.Uint64(b[:]) != proto.MagicOption {
			return proto.Error("Bad magic received")
		}
		if err := proto.ReadFull(c.conn, b[8:12], "option"); err != nil {
			return err
		}
		if err := proto.ReadFull(c.conn, b[12:], "option length"); err != nil {
			return err
		}
		n.opt, n.left = proto.Opt(be.Uint32(b[8:])), be.Uint32(b[12:])
		if n.left > proto.MaxBuffer {
			return proto.Error("len (%d ) is larger than max len (%d)", n.left, proto.MaxBuffer)
		}
		if err := n.option(); err != nil {
			return err
		}
	}
	return nil
}

// option handles one option.
func (n *negotiation) option() error {
	insecure := n.c.srv.StartTLS != nil && n.c.conn == n.c.raw
	switch {
	case insecure:
		return n.beforeTLS()
	case n.opt == proto.OptExportName:
		return n.exportName()
	case !n.fixed:
		return proto.Error("Unsupported option %d (%s)", uint32(n.opt), n.opt)
	}
	h, ok := handlers[n.opt]
	switch {
	case !ok:
		return n.drop(proto.RepErrUnsup, "Unsupported option %d (%s)", uint32(n.opt), n.opt)
	case h.empty && n.left > 0:
		return n.rejectLength()
	}
	return h.f(n)
}

// handler is what the server does about an option.
type handler struct {
	f     func(n *negotiation) error
	empty bool // the option has no payload
}

var handlers = map[proto.Opt]handler{
	proto.OptList:            {(*negotiation).list, true},
	proto.OptAbort:           {(*negotiation).abort, false},
	proto.OptInfo:            {(*negotiation).info, false},
	proto.OptGo:              {(*negotiation).info, false},
	proto.OptStartTLS:        {(*negotiation).lateTLS, true},
	proto.OptStructuredReply: {(*negotiation).structuredReply, true},
	proto.OptListMetaContext: {(*negotiation).metaContexts, false},
	proto.OptSetMetaContext:  {(*negotiation).metaContexts, false},
}

// beforeTLS handles an option of a client that has to start TLS first.
func (n *negotiation) beforeTLS() error {
	switch {
	case !n.fixed:
		return proto.Error("Unsupported option 0x%x", uint32(n.opt))
	case n.opt == proto.OptExportName:
		return proto.Error("Option 0x%x not permitted before TLS", uint32(n.opt))
	case n.opt != proto.OptStartTLS:
		err := n.drop(proto.RepErrTLSReqd, "Option 0x%x not permitted before TLS", uint32(n.opt))
		if n.opt == proto.OptAbort {
			return errAbort
		}
		return err
	case n.left > 0:
		if err := n.rejectLength(); err != nil {
			return err
		}
		return proto.Error("option '%s' has unexpected length", n.opt)
	}
	if err := n.reply(proto.RepAck, nil); err != nil {
		return err
	}
	conn, err := n.c.srv.StartTLS(n.c.raw)
	if err == nil {
		n.c.conn = conn
	}
	return err
}

// reply sends a reply to the option.
func (n *negotiation) reply(t proto.Rep, payload []byte) error {
	return proto.Write(n.c.conn, append(proto.AppendOptionReply(nil, n.opt, t, len(payload)), payload...))
}

func (n *negotiation) replyErr(t proto.Rep, format string, a ...any) error {
	return n.reply(t, fmt.Appendf(nil, format, a...))
}

// drop skips what is left of the option and sends an error reply.
func (n *negotiation) drop(t proto.Rep, format string, a ...any) error {
	err := proto.Drop(n.c.conn, int64(n.left))
	n.left = 0
	if err != nil {
		return err
	}
	return n.replyErr(t, format, a...)
}

func (n *negotiation) rejectLength() error {
	return n.drop(proto.RepErrInvalid, "option '%s' has unexpected length", n.opt)
}

// answered is the "error" of a malformed option after the client was told.
type answered struct{ err error }

func (a answered) Error() string { return "answered" }

// unless gives the error behind an answered option.
func unless(err error) error {
	if a, ok := err.(answered); ok {
		return a.err
	}
	return err
}

// read takes bytes of the option's payload; text must be free of NUL.
func (n *negotiation) read(size uint32, text bool) ([]byte, error) {
	if size > n.left {
		return nil, answered{n.drop(proto.RepErrInvalid, "Inconsistent lengths in option %s", n.opt)}
	}
	b := make([]byte, size)
	n.left -= size
	if _, err := io.ReadFull(n.c.conn, b); err != nil {
		return nil, proto.Error("%s", proto.IOText(n.c.conn, "read from", err))
	}
	for _, x := range b {
		if text && x == 0 {
			return nil, answered{n.drop(proto.RepErrInvalid, "Unexpected embedded NUL in option %s", n.opt)}
		}
	}
	return b, nil
}

func (n *negotiation) readUint32() (uint32, error) {
	b, err := n.read(4, false)
	if err != nil {
		return 0, err
	}
	return be.Uint32(b), nil
}

// readName takes a length and as many bytes of text.
func (n *negotiation) readName() (string, error) {
	length, err := n.readUint32()
	if err != nil {
		return "", err
	}
	if length > proto.MaxString {
		return "", answered{n.drop(proto.RepErrInvalid, "Invalid name length: %d", length)}
	}
	b, err := n.read(length, true)
	return string(b), err
}

func (n *negotiation) abort() error {
	n.reply(proto.RepAck, nil) // the client may have gone
	return errAbort
}

func (n *negotiation) list() error {
	n.c.srv.mu.Lock()
	exports := append([]*Export(nil), n.c.srv.exports...)
	n.c.srv.mu.Unlock()
	for _, x := range exports {
		payload := be.AppendUint32(nil, uint32(len(x.name)))
		payload = append(append(payload, x.name...), x.description...)
		if err := n.reply(proto.RepServer, payload); err != nil {
			return err
		}
	}
	return n.reply(proto.RepAck, nil)
}

func (n *negotiation) lateTLS() error {
	if n.c.srv.StartTLS != nil {
		return n.replyErr(proto.RepErrInvalid, "TLS already enabled")
	}
	return n.replyErr(proto.RepErrPolicy, "TLS not configured")
}

func (n *negotiation) structuredReply() error {
	if n.c.structured {
		return n.replyErr(proto.RepErrInvalid, "structured reply already negotiated")
	}
	n.c.structured = true
	return n.reply(proto.RepAck, nil)
}

// flags are the transmission flags of the export for this client.
func (n *negotiation) flags(x *Export) uint16 {
	if n.c.structured {
		return x.flags | proto.FlagSendDF
	}
	return x.flags
}

// open ends the negotiation.
func (n *negotiation) open(x *Export) error {
	if !x.attach(n.c) {
		return errShutdown
	}
	n.c.exp, n.done = x, true
	if n.c.meta.exp != x {
		n.c.meta = metaContexts{}
	}
	return nil
}

func (n *negotiation) exportName() error {
	if n.left > proto.MaxString {
		return proto.Error("Bad length received")
	}
	name := make([]byte, n.left)
	if err := proto.ReadFull(n.c.conn, name, "export name"); err != nil {
		return err
	}
	x := n.c.srv.find(string(name))
	if x == nil {
		return proto.Error("export not found")
	}
	b := be.AppendUint16(be.AppendUint64(nil, uint64(x.size)), n.flags(x))
	if !n.noZeroes {
		b = append(b, make([]byte, proto.ReservedSize)...)
	}
	if err := n.open(x); err != nil {
		return err
	}
	if err := proto.Write(n.c.conn, b); err != nil {
		return proto.Error("write failed: %v", err)
	}
	return nil
}

// shorten makes a name fit for an error message.
func shorten(name string) string {
	const most = 80
	if len(name) < most {
		return name
	}
	return name[:most] + "..."
}

// info handles OptInfo and OptGo.
func (n *negotiation) info() error {
	name, wantName, wantSizes, err := n.readInfoRequest()
	if err != nil {
		return unless(err)
	}
	if n.left > 0 {
		return n.rejectLength()
	}
	x := n.c.srv.find(name)
	if x == nil {
		return n.replyErr(proto.RepErrUnknown, "export '%s' not present", shorten(name))
	}
	var out net.Buffers
	piece := func(kind uint16, payload []byte) {
		out = append(out, append(be.AppendUint16(proto.AppendOptionReply(nil, n.opt, proto.RepInfo, 2+len(payload)), kind), payload...))
	}
	if wantName {
		piece(proto.InfoName, []byte(name))
	}
	if x.description != "" {
		piece(proto.InfoDescription, []byte(x.description))
	}
	least, preferred, most := x.blockSizes()
	shown := uint32(1) // clients that did not ask may not obey
	if n.opt == proto.OptInfo || wantSizes {
		shown = least
	}
	piece(proto.InfoBlockSize, be.AppendUint32(be.AppendUint32(be.AppendUint32(nil, shown), preferred), most))
	piece(proto.InfoExport, be.AppendUint16(be.AppendUint64(nil, uint64(x.size)), n.flags(x)))
	refused := n.opt == proto.OptInfo && !wantSizes && least > 1
	if n.opt == proto.OptGo {
		if err := n.open(x); err != nil {
			return err
		}
	}
	for _, b := range out {
		if err := proto.Write(n.c.conn, b); err != nil {
			return err
		}
	}
	if refused {
		return n.replyErr(proto.RepErrBlockSizeReqd, "request NBD_INFO_BLOCK_SIZE to use this export")
	}
	return n.reply(proto.RepAck, nil)
}

// readInfoRequest reads the payload of OptInfo and OptGo: the export's name and what the client wants to know.
func (n *negotiation) readInfoRequest() (name string, wantName, wantSizes bool, err error) {
	if name, err = n.readName(); err != nil {
		return "", false, false, err
	}
	b, err := n.read(2, false)
	if err != nil {
		return "", false, false, err
	}
	for range be.Uint16(b) {
		if b, err = n.read(2, false); err != nil {
			return "", false, false, err
		}
		switch be.Uint16(b) {
		case proto.InfoName:
			wantName = true
		case proto.InfoBlockSize:
			wantSizes = true
		}
	}
	return name, wantName, wantSizes, nil
}
